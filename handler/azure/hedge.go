package azure

import (
	"context"
	"time"
)

// maxAttempts is the most attempts of one read.
const maxAttempts = 3

// Hedge calls read, and calls it again whenever a time, silence, has passed without an
// answer, at most three times in all. The first answer wins and cancels the other
// attempts; if all fail, Hedge returns the last error. read must have no side effects.
func Hedge[T any](ctx context.Context, silence time.Duration, read func(context.Context) (T, error)) (T, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	type result struct {
		value T
		err   error
	}
	results := make(chan result, maxAttempts) // has room for late attempts, whose results are dropped
	running := 0
	try := func() {
		running++
		go func() {
			value, err := read(ctx)
			results <- result{value, err}
		}()
	}
	try()
	silent := time.NewTicker(silence)
	defer silent.Stop()
	for tries := 1; ; {
		select {
		case r := <-results:
			running--
			if r.err == nil || answered(r.err) || running == 0 {
				return r.value, r.err
			}
		case <-ctx.Done():
			var none T
			return none, ctx.Err()
		case <-silent.C:
			if tries < maxAttempts {
				tries++
				try()
			}
		}
	}
}

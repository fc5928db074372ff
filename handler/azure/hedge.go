package azure

import (
	"context"
	"time"
)

// maxAttempts is the most attempts of a read that run at once.
const maxAttempts = 3

// Hedge reads. While no answer has come, it starts another attempt after each silence,
// up to three in all. The first answer wins and cancels the others; if all attempts
// fail, Hedge returns the last error. The read must have no side effects.
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

package azure

import (
	"context"
	"time"
)

// maxAttempts is the most attempts of one Hedge.
const maxAttempts = 3

// Hedge calls read, and calls it again after each interval without an answer, at most three
// times in all. The first answer wins, and cancels the other attempts. If all fail, Hedge
// returns the last error. read must have no side effects.
func Hedge[T any](ctx context.Context, interval time.Duration, read func(context.Context) (T, error)) (T, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	type result struct {
		value T
		err   error
	}
	results := make(chan result, maxAttempts) // has room for the results of late attempts, which nobody receives
	running := 0
	try := func() {
		running++
		go func() {
			value, err := read(ctx)
			results <- result{value, err}
		}()
	}
	try()
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
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
		case <-ticker.C:
			if tries < maxAttempts {
				tries++
				try()
			}
		}
	}
}

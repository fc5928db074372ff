package azure

import (
	"context"
	"time"
)

// sideBySide is how many of a read's tries may be under way at once.
const sideBySide = 3

// Hedge reads, and while no answer has come reads once more after each silence,
// up to three times side by side. The first that is answered counts, and ends
// the others; where all fail, the last one's error is returned. Reading twice
// must do no harm.
func Hedge[T any](ctx context.Context, silence time.Duration, read func(context.Context) (T, error)) (T, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	type result struct {
		value T
		err   error
	}
	results := make(chan result, sideBySide) // whoever is late finds room, and is not waited for
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
			if r.err == nil || Answered(r.err) || running == 0 {
				return r.value, r.err
			}
		case <-ctx.Done():
			var none T
			return none, ctx.Err()
		case <-silent.C:
			if tries < sideBySide {
				tries++
				try()
			}
		}
	}
}

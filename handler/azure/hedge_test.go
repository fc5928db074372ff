package azure

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
)

// In each case every attempt answers after its time with its error, or never.
func TestHedgeReadsAgainWhileNoAnswerComes(t *testing.T) {
	type try struct {
		takes time.Duration
		err   error
	}
	broken, refused := errors.New("connection reset"), &azcore.ResponseError{StatusCode: 404}
	const interval, never = 400 * time.Millisecond, -1
	for name, c := range map[string]struct {
		tries []try
		tried int64
		took  time.Duration
		want  error
	}{
		"answered at once":           {[]try{{10 * time.Millisecond, nil}}, 1, 10 * time.Millisecond, nil},
		"one is silent":              {[]try{{never, nil}, {10 * time.Millisecond, nil}}, 2, 410 * time.Millisecond, nil},
		"two are silent":             {[]try{{never, nil}, {never, nil}, {10 * time.Millisecond, nil}}, 3, 810 * time.Millisecond, nil},
		"all are silent":             {[]try{{never, nil}, {never, nil}, {never, nil}}, 3, 2 * time.Second, context.DeadlineExceeded},
		"slow, and slow again":       {[]try{{900 * time.Millisecond, nil}, {900 * time.Millisecond, nil}, {900 * time.Millisecond, nil}}, 3, 900 * time.Millisecond, nil},
		"the row isn't there":        {[]try{{10 * time.Millisecond, refused}}, 1, 10 * time.Millisecond, refused},
		"one breaks":                 {[]try{{10 * time.Millisecond, broken}}, 1, 10 * time.Millisecond, broken},
		"one breaks, one answers":    {[]try{{500 * time.Millisecond, broken}, {300 * time.Millisecond, nil}}, 2, 700 * time.Millisecond, nil},
		"one refuses, one is silent": {[]try{{never, nil}, {10 * time.Millisecond, refused}}, 2, 410 * time.Millisecond, refused},
	} {
		synctest.Test(t, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
			defer cancel()
			began := time.Now()
			var tried atomic.Int64
			next := make(chan try, len(c.tries))
			for _, one := range c.tries {
				next <- one
			}
			_, err := Hedge(ctx, interval, func(ctx context.Context) (int, error) {
				tried.Add(1)
				one := <-next
				if one.takes == never {
					<-ctx.Done()
					return 0, ctx.Err()
				}
				select {
				case <-time.After(one.takes):
					return 1, one.err
				case <-ctx.Done():
					return 0, ctx.Err()
				}
			})
			if took := time.Since(began); !errors.Is(err, c.want) || took != c.took || tried.Load() != c.tried {
				t.Errorf("%s: got %v in %s after %d tries; want %v in %s after %d", name, err, took, tried.Load(), c.want, c.took, c.tried)
			}
		})
	}
}

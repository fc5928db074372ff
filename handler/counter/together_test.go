package counter_test

import (
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"tollgate/handler/counter"
	"tollgate/handler/limit"
)

// Each of two instances leases of one counter what its calls ask, and finds that the
// other has leased the rest of the next. Their calls go on coming, so neither is idle.
func TestInstancesThatNeedTheSameCountersAdmitCalls(t *testing.T) {
	for seed := range uint64(20) {
		synctest.Test(t, func(t *testing.T) {
			store := newPerKey()
			for _, key := range []string{"a", "b", "c"} {
				store.slow[key] = 10 * time.Millisecond
			}
			terms := counter.Terms{Limits: limit.Limits{Quota: 100, Period: limit.Daily, Version: 1}}
			instances := []*counter.Counter{instance(store), instance(store)}
			keys := [][]string{{"a", "b"}, {"c", "b"}}
			var admitted atomic.Int64
			var wg sync.WaitGroup
			for i := range 60 {
				random := rand.New(rand.NewPCG(seed, uint64(i)))
				wg.Go(func() {
					for range 80 {
						held, _, err := instances[i%2].Reserve(t.Context(), parts(terms, 30, keys[i/2%2]...))
						if err != nil {
							t.Error(err)
						}
						if held != nil {
							admitted.Add(1)
						}
						for _, h := range held {
							h.Settle(30)
						}
						time.Sleep(time.Duration(random.IntN(200)) * time.Millisecond)
					}
				})
			}
			wg.Wait()
			if got, want := admitted.Load(), int64(3); got != want {
				t.Errorf("seed %d: calls admitted, of 4,800 that ask for 30 of a quota of 100: got %d, want %d", seed, got, want)
			}
		})
	}
}

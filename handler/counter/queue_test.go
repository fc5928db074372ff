package counter_test

import (
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"tollgate/handler/counter"
	"tollgate/handler/counter/memstore"
	"tollgate/handler/limit"
)

// TestACallBehindCallsThatWaitForTheQuotaWaitsForItToo: without a limit per
// minute, its refusal is QuotaExceeded.
func TestACallBehindCallsThatWaitForTheQuotaWaitsForItToo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := instance(memstore.New())
		terms := counter.Terms{Limits: limit.Limits{Quota: 100, Period: limit.Hourly, Version: 1}, MaxWait: 2 * time.Minute}
		time.Sleep(59 * time.Minute)
		r, _ := reserve(t, c, terms, 70)
		r.Settle(70)
		var calls sync.WaitGroup
		for _, amount := range []int64{60, 10} { // the second would fit before the first
			calls.Go(func() {
				if r, d, err := c.One(t.Context(), "key", terms, limit.Ask{Amount: amount}); err != nil || r == nil {
					t.Errorf("a call for %d: got %+v, %v; want it granted", amount, d, err)
				}
			})
			synctest.Wait()
		}
		terms.MaxWait = 10 * time.Second
		began := time.Now()
		r, d := reserve(t, c, terms, 10)
		if r != nil || d.Verdict != limit.QuotaExceeded || d.RetryAfter > time.Minute || time.Since(began) > time.Second {
			t.Errorf("a call that can't wait so long: got %+v after %v, want QuotaExceeded within a second, RetryAfter at most a minute", d, time.Since(began))
		}
		calls.Wait()
	})
}

// TestARaisedTierRetriesQueuedCallsAtOnce, whether a call or a request for the
// standing brings the new limits.
func TestARaisedTierRetriesQueuedCallsAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, terms := queueing(t, 2*time.Minute, 90)
		var call sync.WaitGroup
		call.Go(func() { reserve(t, c, terms, 60) })
		synctest.Wait()
		began := time.Now()
		raised := terms
		raised.PerMinute, raised.Version = 200, 2
		for _, asked := range []counter.Terms{terms, raised} { // the second gets what the first has read
			if _, err := c.Standing(t.Context(), "key", asked); err != nil {
				t.Error(err)
			}
		}
		call.Wait()
		if waited := time.Since(began); waited > time.Second {
			t.Errorf("wait of a call that fits now: got %v, want at most a second", waited)
		}
	})
}

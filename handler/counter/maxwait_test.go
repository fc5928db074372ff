package counter_test

import (
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"tollgate/handler/counter"
	"tollgate/handler/limit"
)

// The read that could grant the call takes longer than the call may wait.
func TestACallThatDoesNotFitIsRefusedWhenItsTimeEndsDuringAnOperation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newPerKey()
		store.slow["a"] = 200 * time.Millisecond
		other, c := instance(store), instance(store)
		use(t, other, "a", 10) // a refusal is remembered for 2 s only, as another instance shares the counter
		time.Sleep(10 * time.Second)
		use(t, c, "a", 90)
		time.Sleep(10 * time.Second)
		patient := hundred
		patient.MaxWait = 100 * time.Millisecond
		began := time.Now()
		r, d, err := c.One(t.Context(), "a", patient, limit.Ask{Amount: 30})
		if took := time.Since(began); r != nil || err != nil || d.Verdict != limit.RateExceeded || took != patient.MaxWait {
			t.Errorf("a call that may wait 100ms: got %+v, %v after %v; want it refused after 100ms", d, err, took)
		}
		for _, instance := range []*counter.Counter{other, c} {
			if err := instance.Close(t.Context()); err != nil {
				t.Error(err)
			}
		}
	})
}

// While the store is slow, the time of calls may end before their first decision. Those that
// fit together, as far as is known, are not refused.
func TestCallsThatFitTogetherOutlastTheirMaxWaitWhileTheStoreIsSlow(t *testing.T) {
	for name, limits := range map[string]limit.Limits{
		"a quota":  {Quota: 1000, Period: limit.Daily, Version: 1},
		"a minute": {PerMinute: 1000, Version: 1},
	} {
		synctest.Test(t, func(t *testing.T) {
			store := newPerKey()
			c, patient := instance(store), counter.Terms{Limits: limits, MaxWait: 100 * time.Millisecond}
			r, _, err := c.One(t.Context(), "a", patient, limit.Ask{Amount: 1})
			if err != nil || r == nil {
				t.Fatalf("%s: the first call: got %v, %v; want it granted", name, r, err)
			}
			r.Settle(1)
			store.slow["a"] = 500 * time.Millisecond // a read and a write at most, or the store would be down
			var calls sync.WaitGroup
			for i, amount := range []int64{300, 300, 300, 300} {
				calls.Go(func() {
					r, d, err := c.One(t.Context(), "a", patient, limit.Ask{Amount: amount})
					if fits := i < 3; err != nil || fits != (r != nil) {
						t.Errorf("%s of 1000, of which 1 is used: call %d for 300: got %+v, %v; want it granted: %t", name, i, d, err, fits)
					}
					if r != nil {
						r.Settle(amount)
					}
				})
				synctest.Wait()
			}
			calls.Wait()
			if err := c.Close(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
}

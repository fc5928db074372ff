package counter_test

import (
	"testing"
	"testing/synctest"
	"time"

	"tollgate/handler/counter"
	"tollgate/handler/counter/countertest"
	"tollgate/handler/counter/memstore"
	"tollgate/handler/limit"
)

// A call whose caller left is charged its bound before the next call is decided, and later
// what it used.
func TestARaiseIsChargedAtOnceAndCorrectedOnce(t *testing.T) {
	quota := counter.Terms{Limits: limit.Limits{PerMinute: 300, Quota: 3000, Period: limit.Daily, Version: 1}}
	for name, wait := range map[string]time.Duration{
		"before it is written": 0, "in the same minute": 20 * time.Second, "in the next minute": 70 * time.Second, "long after": 5 * time.Minute,
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				store := memstore.New()
				a, b := instance(store), instance(store)
				time.Sleep(5 * time.Second)
				left, _ := reserve(t, a, quota, 25)
				if s := left.Raise(2000); s.Used != 2000 || s.Remaining != 0 {
					t.Errorf("Raise to 2000: got %d used and %d left, want 2000 and 0", s.Used, s.Remaining)
				}
				if s := left.Raise(1000); s.QuotaUsed != 2000 {
					t.Errorf("Raise to less: got %d of the quota used, want 2000", s.QuotaUsed)
				}
				if _, d := reserve(t, a, quota, 1); d.Verdict != limit.RateExceeded {
					t.Errorf("the next call of the instance: got %+v, want RateExceeded", d)
				}
				if wait > 0 {
					synctest.Wait()
					if _, d := reserve(t, b, quota, 1); d.Verdict != limit.RateExceeded {
						t.Errorf("the next call of another instance: got %+v, want RateExceeded", d)
					}
				}
				time.Sleep(wait)
				left.Settle(25 + 75)
				left.Settle(1)
				left.Cancel()
				left.Raise(5000)
				time.Sleep(20 * time.Second)
				s := written(t, store)
				if s.PeriodSpent != 100 {
					t.Errorf("charged to the quota: got %d, want 100", s.PeriodSpent)
				}
				if wait < time.Minute && s.Spent != 100 {
					t.Errorf("charged to the minute: got %d, want 100", s.Spent)
				}
			})
		})
	}
}

// Until the store is back, the raise counts towards this instance's share.
func TestARaiseWithoutTheStoreIsChargedLater(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store, broken, c := breakable()
		terms := onDown(limit.Degrade, limit.Limits{PerMinute: 400, Quota: 4000, Period: limit.Daily})
		broken.Store(true)
		r, d := reserve(t, c, terms, 30) // of a quarter of the limit
		if r == nil || !d.Degraded {
			t.Fatalf("a call without the store: got %+v, want it granted, degraded", d)
		}
		r.Raise(100)
		if again, d := reserve(t, c, terms, 1); again != nil {
			t.Errorf("a call over the share: got %+v, want it refused", d)
		}
		r.Settle(60)
		if again, d := reserve(t, c, terms, 40); again == nil {
			t.Errorf("a call within the share: got %+v, want it granted", d)
		} else {
			again.Cancel()
		}
		broken.Store(false)
		time.Sleep(20 * time.Second)
		if s := written(t, store); s.PeriodSpent != 60 {
			t.Errorf("charged to the quota: got %d, want 60", s.PeriodSpent)
		}
	})
}

// The answer to the write that charges the raise is lost. The correction waits until the
// instance knows whether the write was applied.
func TestARaiseIsCorrectedOnceThoughAnAnswerIsLost(t *testing.T) {
	for _, applied := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			lose := false
			store, link := linked(func(op countertest.Operation) countertest.Fate {
				switch {
				case !op.Swap || !lose:
					return countertest.Fine
				case applied:
					lose = false
					return countertest.AppliedBusy
				}
				lose = false
				return countertest.Busy
			})
			c := instance(link)
			r, _ := reserve(t, c, minute, 25)
			lose = true
			r.Raise(1000)
			synctest.Wait() // until the answer is lost
			if other, _ := reserve(t, instance(store), minute, 1); other != nil {
				other.Cancel() // its write voids the lost one, unless that was applied
			}
			r.Settle(40)
			time.Sleep(20 * time.Second)
			if s := written(t, store); s.Spent != 40 {
				t.Errorf("a lost answer to a write that was applied (%t): got %d charged, want 40", applied, s.Spent)
			}
		})
	}
}

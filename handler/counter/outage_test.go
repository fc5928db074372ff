package counter_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"tollgate/handler/counter"
	"tollgate/handler/counter/countertest"
	"tollgate/handler/counter/memstore"
	"tollgate/handler/lease"
	"tollgate/handler/limit"
)

// breakable returns a store that can be broken, and an instance that uses it.
func breakable() (store *memstore.Store, broken *atomic.Bool, c *counter.Counter) {
	store, broken, link := breakableLink()
	return store, broken, instance(link)
}

func breakableLink() (store *memstore.Store, broken *atomic.Bool, link *countertest.Link) {
	broken = new(atomic.Bool)
	store, link = linked(func(string) countertest.Fate {
		if broken.Load() {
			return countertest.Busy
		}
		return countertest.Fine
	})
	return store, broken, link
}

func onDown(mode limit.StoreDown, limits limit.Limits) counter.Terms {
	limits.Version = 1
	return counter.Terms{Limits: limits, OnStoreDown: mode}
}

func TestDegradeAdmitsThisInstancesShareAndChargesItLater(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store, broken, c := breakable()
		terms := onDown(limit.Degrade, limit.Limits{PerMinute: 400})
		broken.Store(true)
		var granted []*counter.Reservation
		for range 10 { // 25% of the limit, because no other instance is known
			r, d := reserve(t, c, terms, 30)
			if !d.Degraded {
				t.Errorf("a call without the store: got %+v, want it degraded", d)
			}
			if r != nil {
				granted = append(granted, r)
			}
		}
		if len(granted) != 3 {
			t.Errorf("calls of 30 admitted: got %d, want 3: a quarter of 400 tokens", len(granted))
		}
		for _, r := range granted {
			r.Settle(20 + 5)
		}
		if r, _ := reserve(t, c, terms, 25); r == nil {
			t.Error("a call for the tokens that others reserved and didn't use: got it refused, want it granted")
		} else {
			r.Cancel()
		}
		broken.Store(false)
		time.Sleep(10 * time.Second)
		if s := written(t, store); s.Spent != 75 {
			t.Errorf("charged after the outage: got %d tokens, want 75", s.Spent)
		}
		if _, d := reserve(t, c, terms, 1); d.Degraded || d.Verdict != limit.Granted {
			t.Errorf("a call when the store is back: got %+v, want it granted, not degraded", d)
		}
		if stats := c.Stats(); stats.DegradedTime <= 0 {
			t.Errorf("stats: got %+v, want a DegradedTime above 0", stats)
		}
	})
}

func TestTheFirstMinutesShareIsOfTheTokensLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, broken, c := breakable()
		terms := onDown(limit.Degrade, limit.Limits{PerMinute: 400})
		r, _ := reserve(t, c, terms, 350)
		r.Settle(350)
		time.Sleep(10 * time.Second) // until it is reported
		broken.Store(true)
		if r, d := reserve(t, c, terms, 40); r == nil || !d.Degraded {
			t.Errorf("a call for 40 of the 50 that are left: got %+v, want it granted, degraded", d)
		}
		if r, d := reserve(t, c, terms, 20); r != nil || !d.Degraded || d.Verdict != limit.RateExceeded || d.RetryAfter > time.Minute {
			t.Errorf("a call for 20 of the 10 that are left: got %+v, want RateExceeded, degraded, for at most a minute", d)
		}
		time.Sleep(time.Minute)
		if r, d := reserve(t, c, terms, 300); r == nil {
			t.Errorf("a call for 300 of the next minute's 400, as the only instance: got %+v, want it granted", d)
		}
		broken.Store(false)
		time.Sleep(10 * time.Second)
	})
}

// passed makes a hundred calls of 30 tokens and returns the tokens granted.
func passed(t *testing.T, c *counter.Counter, terms counter.Terms) (amount int64) {
	t.Helper()
	for range 100 {
		if r, _ := reserve(t, c, terms, 30); r != nil {
			r.Settle(30)
			amount += 30
		}
	}
	return amount
}

// TestAnInstanceThatNeverReadTheCounterAdmitsAQuarterOfEachMinute, not just of the
// first.
func TestAnInstanceThatNeverReadTheCounterAdmitsAQuarterOfEachMinute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, broken, c := breakable()
		terms := onDown(limit.Degrade, limit.Limits{PerMinute: 400})
		broken.Store(true)
		for range 3 {
			c.Known("key") // as the gateway does for an answer's headers
			if got := passed(t, c, terms); got != 90 {
				t.Errorf("tokens admitted: got %d, want 90 of the quarter of 400", got)
			}
			time.Sleep(time.Minute)
		}
		if _, d := reserve(t, c, terms, 101); d.Standing.PerMinute != 400 || d.Standing.Used != 0 || d.Standing.Remaining != 400 {
			t.Errorf("a refusal's standing: got %+v, want 0 used and 400 left of 400", d.Standing)
		}
		if _, err := c.Standing(t.Context(), "key", terms); !errors.Is(err, counter.ErrUnavailable) {
			t.Errorf("the standing of a counter that was never read: got %v, want ErrUnavailable", err)
		}
		broken.Store(false)
		time.Sleep(10 * time.Second)
	})
}

// TestAQuotasShareIsForTheWholeOutage, not for each minute. When it is used up,
// calls are refused.
func TestAQuotasShareIsForTheWholeOutage(t *testing.T) {
	for name, test := range map[string]struct {
		limits limit.Limits
		seen   bool
		want   int64 // tokens admitted in three minutes
	}{
		"a quota alone":                              {limit.Limits{Quota: 1000, Period: limit.Daily}, true, 960},
		"a quota alone, never read":                  {limit.Limits{Quota: 1000, Period: limit.Daily}, false, 240},
		"a quota and a limit per minute":             {limit.Limits{PerMinute: 700, Quota: 1000, Period: limit.Daily}, true, 960},
		"a quota and a limit per minute, never read": {limit.Limits{PerMinute: 700, Quota: 1000, Period: limit.Daily}, false, 240},
		"a quota larger than the minutes use":        {limit.Limits{PerMinute: 100, Quota: 9000, Period: limit.Daily}, true, 60 + 2*90},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				store, broken, c := breakable()
				terms := onDown(limit.Degrade, test.limits)
				sum := int64(0)
				if test.seen {
					r, _ := reserve(t, c, terms, 30)
					r.Settle(30)
					time.Sleep(10 * time.Second) // until it is reported
					sum = 30
				}
				broken.Store(true)
				under, d := reserve(t, c, terms, 30) // lasts as long as the outage
				if under == nil || !d.Degraded {
					t.Fatalf("a call without the store: got %+v, want it granted, degraded", d)
				}
				got := int64(30)
				for range 3 {
					got += passed(t, c, terms)
					time.Sleep(time.Minute)
				}
				if got != test.want {
					t.Errorf("tokens admitted: got %d, want %d", got, test.want)
				}
				under.Settle(30)
				broken.Store(false)
				time.Sleep(10 * time.Second)
				if s := written(t, store); s.PeriodSpent != sum+got {
					t.Errorf("charged to the quota after the outage: got %d, want %d", s.PeriodSpent, sum+got)
				}
			})
		})
	}
}

func TestOpenGrantsAndClosedRefusesWhileTheStoreIsDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store, broken, c := breakable()
		broken.Store(true)
		closed := onDown(limit.FailClosed, limit.Limits{PerMinute: 400})
		if _, _, err := c.One(t.Context(), "other", closed, limit.Ask{Amount: 1}); !errors.Is(err, counter.ErrUnavailable) {
			t.Errorf("a call with closed: got %v, want ErrUnavailable", err)
		}
		r, d := reserve(t, c, onDown(limit.FailOpen, limit.Limits{PerMinute: 400}), 4000)
		if r == nil || !d.Degraded {
			t.Fatalf("a call with open: got %+v, want it granted, degraded", d)
		}
		r.Settle(500)
		broken.Store(false)
		time.Sleep(10 * time.Second)
		if s := written(t, store); s.Spent != 500 {
			t.Errorf("charged after the outage: got %d, want 500", s.Spent)
		}
	})
}

// TestALeaseCanBeSpentWhileTheStoreIsDown: calls that a lease covers need no store.
func TestALeaseCanBeSpentWhileTheStoreIsDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, broken, c := breakable()
		terms := onDown(limit.FailClosed, limit.Limits{PerMinute: 400})
		first, _ := reserve(t, c, terms, 25)
		broken.Store(true)
		second, d := reserve(t, c, terms, 25)
		if second == nil || d.Degraded {
			t.Fatalf("a call from the lease: got %+v, want it granted, not degraded", d)
		}
		broken.Store(false)
		first.Cancel()
		second.Cancel()
	})
}

// TestAStoreThatCanOnlyBeReadCountsAsDown, so calls don't wait for writes that
// fail.
func TestAStoreThatCanOnlyBeReadCountsAsDown(t *testing.T) {
	for mode, want := range map[limit.StoreDown]error{limit.FailClosed: counter.ErrUnavailable, limit.Degrade: nil, limit.FailOpen: nil} {
		t.Run(string(mode), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var readOnly atomic.Bool
				_, link := linked(func(operation string) countertest.Fate {
					if operation == "swap" && readOnly.Load() {
						return countertest.Busy
					}
					return countertest.Fine
				})
				c, terms := instance(link), onDown(mode, limit.Limits{PerMinute: 400})
				readOnly.Store(true)
				for range 3 {
					ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
					r, d, err := c.One(ctx, "key", terms, limit.Ask{Amount: 10})
					cancel()
					if !errors.Is(err, want) || (r != nil) != (want == nil) || d.Degraded != (want == nil) {
						t.Errorf("a call while writes fail: got %+v, %v; want error %v, and degraded only without one", d, err, want)
					}
					if r != nil {
						r.Settle(10)
					}
					time.Sleep(3 * time.Second)
				}
				readOnly.Store(false)
				time.Sleep(10 * time.Second)
				if r, d := reserve(t, c, terms, 10); r == nil || d.Degraded {
					t.Errorf("a call after the outage: got %+v, want it granted, not degraded", d)
				} else {
					r.Cancel()
				}
			})
		})
	}
}

// TestAMinutesShareIsGivenOnlyOnce although the store can be read for a moment
// during the outage.
func TestAMinutesShareIsGivenOnlyOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		shared := memstore.New()
		store, others := &fading{Store: shared}, &fading{Store: shared}
		c, other := instance(store), instance(others)
		terms := onDown(limit.Degrade, limit.Limits{PerMinute: 400})
		time.Sleep(58 * time.Second)
		for _, one := range []*counter.Counter{other, c} {
			r, _ := reserve(t, one, terms, 30)
			defer r.Cancel()
		}
		others.down.Store(true) // it still counts as alive for a while
		time.Sleep(2 * time.Second)
		store.down.Store(true)
		got := passed(t, c, terms)
		store.loads.Store(1)
		time.Sleep(5 * time.Second)
		if store.loads.Load() > 0 {
			t.Error("reads while the store was back: got none, want one")
		}
		if got += passed(t, c, terms); got != 180 {
			t.Errorf("tokens admitted: got %d, want 180 of the half of 400", got)
		}
		store.down.Store(false)
		others.down.Store(false)
		time.Sleep(10 * time.Second)
	})
}

// fading is a store that is down, except for the next few reads.
type fading struct {
	*memstore.Store
	down  atomic.Bool
	loads atomic.Int64 // reads that still succeed
}

func (f *fading) Load(ctx context.Context, key string) (lease.Row, counter.Version, time.Time, error) {
	if f.down.Load() && f.loads.Add(-1) < 0 {
		return lease.Row{}, "", time.Time{}, errors.New("down")
	}
	return f.Store.Load(ctx, key)
}

func (f *fading) Swap(ctx context.Context, key string, state lease.Row, version counter.Version) (counter.Version, time.Time, error) {
	if f.down.Load() {
		return "", time.Time{}, errors.New("down")
	}
	return f.Store.Swap(ctx, key, state, version)
}

// TestAChangedTierAppliesAtOnceWhileTheStoreIsDown: the share is computed anew
// from the new limits.
func TestAChangedTierAppliesAtOnceWhileTheStoreIsDown(t *testing.T) {
	for name, changed := range map[string]limit.Limits{
		"raised": {PerMinute: 4000, Version: 2},
		"lifted": {Version: 2},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				_, broken, c := breakable()
				terms := onDown(limit.Degrade, limit.Limits{PerMinute: 400, Quota: 400, Period: limit.Daily})
				r, _ := reserve(t, c, terms, 30)
				r.Settle(30)
				time.Sleep(10 * time.Second) // until it is reported
				broken.Store(true)
				if got := passed(t, c, terms); got != 360 {
					t.Errorf("tokens admitted: got %d, want 360 of the 370 that are left", got)
				}
				terms.Limits = changed
				if got := passed(t, c, terms); got != 3000 {
					t.Errorf("tokens admitted by the raised tier: got %d, want 3000", got)
				}
				broken.Store(false)
				time.Sleep(10 * time.Second)
			})
		})
	}
}

// TestAChangedTierGivesNoShareTwice: tokens that this minute's share gave out
// under the older tier count against the new one.
func TestAChangedTierGivesNoShareTwice(t *testing.T) {
	for name, known := range map[string]bool{"a counter that was seen": true, "one that was not": false} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				_, broken, c := breakable()
				terms := onDown(limit.Degrade, limit.Limits{PerMinute: 400})
				share := int64(100)
				if known {
					r, _ := reserve(t, c, terms, 30)
					r.Settle(30)
					time.Sleep(time.Minute)
					share = 400
				}
				broken.Store(true)
				got := passed(t, c, terms)
				terms.Version = 2
				if got += passed(t, c, terms); got > share {
					t.Errorf("tokens admitted in one minute: got %d, want at most the share of %d", got, share)
				}
				broken.Store(false)
				time.Sleep(10 * time.Second)
			})
		})
	}
}

// TestStandingAnswersThroughoutAnOutage to every caller, not just the first.
func TestStandingAnswersThroughoutAnOutage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, broken, c := breakable()
		terms := onDown(limit.Degrade, limit.Limits{PerMinute: 400})
		if r, _ := reserve(t, c, terms, 30); r != nil {
			r.Settle(30)
		}
		time.Sleep(10 * time.Second)
		broken.Store(true)
		for i := range 12 {
			if s, err := c.Standing(t.Context(), "key", terms); err != nil || s.Remaining != 370 {
				t.Errorf("Standing %d: got %+v, %v; want 370 remaining", i+1, s, err)
			}
			if _, known := c.Known("key"); !known {
				t.Errorf("Known after Standing %d: got unknown, want known", i+1)
			}
			time.Sleep(time.Second)
		}
	})
}

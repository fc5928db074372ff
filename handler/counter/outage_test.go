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
	"tollgate/handler/limit"
)

func TestDegradeAdmitsThisInstancesShareAndChargesItLater(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store, broken, c := breakable()
		terms := onDown(limit.Degrade, limit.Limits{PerMinute: 400})
		broken.Store(true)
		var granted []*counter.Reservation
		for range 10 {
			r, d := reserve(t, c, terms, 30)
			if !d.Degraded {
				t.Errorf("a call without the store: got %+v, want it degraded", d)
			}
			if r != nil {
				granted = append(granted, r)
			}
		}
		if len(granted) != 3 {
			t.Errorf("calls of 30 admitted: got %d, want 3, within a quarter of 400 tokens", len(granted))
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
			t.Errorf("Stats: got %+v, want a DegradedTime above 0", stats)
		}
	})
}

func TestInTheFirstMinuteOfAnOutageTheShareIsOfTheTokensLeft(t *testing.T) {
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

// spendAll makes a hundred calls of 30 tokens, and returns how many tokens were granted.
func spendAll(t *testing.T, c *counter.Counter, terms counter.Terms) (amount int64) {
	t.Helper()
	for range 100 {
		if r, _ := reserve(t, c, terms, 30); r != nil {
			r.Settle(30)
			amount += 30
		}
	}
	return amount
}

func TestAnInstanceThatNeverReadTheCounterAdmitsAQuarterOfEachMinute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, broken, c := breakable()
		terms := onDown(limit.Degrade, limit.Limits{PerMinute: 400})
		broken.Store(true)
		for range 3 {
			c.Known("key") // as the gateway does for an answer's headers
			if got := spendAll(t, c, terms); got != 90 {
				t.Errorf("tokens admitted: got %d, want 90, within a quarter of 400", got)
			}
			time.Sleep(time.Minute)
		}
		if _, d := reserve(t, c, terms, 101); d.Standing.PerMinute != 400 || d.Standing.Used != 0 || d.Standing.Remaining != 400 {
			t.Errorf("a refusal's standing: got %+v, want 0 used and 400 left of 400", d.Standing)
		}
		if _, err := c.Standing(t.Context(), "key", terms); !errors.Is(err, counter.ErrUnavailable) {
			t.Errorf("Standing of a counter that was never read: got %v, want ErrUnavailable", err)
		}
		broken.Store(false)
		time.Sleep(10 * time.Second)
	})
}

// When the share is used up, later minutes bring no more.
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
				open, d := reserve(t, c, terms, 30) // until the outage is over
				if open == nil || !d.Degraded {
					t.Fatalf("a call without the store: got %+v, want it granted, degraded", d)
				}
				got := int64(30)
				for range 3 {
					got += spendAll(t, c, terms)
					time.Sleep(time.Minute)
				}
				if got != test.want {
					t.Errorf("tokens admitted: got %d, want %d", got, test.want)
				}
				open.Settle(30)
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

// Calls must not wait for writes that fail.
func TestAStoreThatCanOnlyBeReadCountsAsDown(t *testing.T) {
	for mode, want := range map[limit.StoreDown]error{limit.FailClosed: counter.ErrUnavailable, limit.Degrade: nil, limit.FailOpen: nil} {
		t.Run(string(mode), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var readOnly atomic.Bool
				_, link := linked(func(op countertest.Operation) countertest.Fate {
					if op.Swap && readOnly.Load() {
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
						t.Errorf("a call while writes fail: got %+v, %v; want the error %v, or without one a degraded grant", d, err, want)
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

// The store can be read for a moment during the outage. The row doesn't show yet what was
// admitted without it.
func TestAMinutesShareIsGivenOnlyOnceThoughTheStoreCanBeRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		network := countertest.NewNetwork(0)
		link, others := network.Link(), network.Link()
		var down, othersDown atomic.Bool
		var reads atomic.Int64 // that still succeed while the store is down
		link.Fate = func(op countertest.Operation) countertest.Fate {
			if down.Load() && (op.Swap || reads.Add(-1) < 0) {
				return countertest.Busy
			}
			return countertest.Fine
		}
		others.Fate = func(countertest.Operation) countertest.Fate {
			if othersDown.Load() {
				return countertest.Busy
			}
			return countertest.Fine
		}
		c, other := instance(link), instance(others)
		terms := onDown(limit.Degrade, limit.Limits{PerMinute: 400})
		time.Sleep(58 * time.Second)
		for _, one := range []*counter.Counter{other, c} {
			r, _ := reserve(t, one, terms, 30)
			defer r.Cancel()
		}
		othersDown.Store(true) // it still counts as alive for a while
		time.Sleep(2 * time.Second)
		down.Store(true)
		got := spendAll(t, c, terms)
		reads.Store(1)
		time.Sleep(5 * time.Second)
		if reads.Load() > 0 {
			t.Error("reads while the store could be read: got none, want one")
		}
		if got += spendAll(t, c, terms); got != 180 {
			t.Errorf("tokens admitted: got %d, want 180, within half of 400", got)
		}
		down.Store(false)
		othersDown.Store(false)
		time.Sleep(10 * time.Second)
	})
}

func TestAChangedLimitAppliesAtOnceWhileTheStoreIsDown(t *testing.T) {
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
				if got := spendAll(t, c, terms); got != 360 {
					t.Errorf("tokens admitted: got %d, want 360, within the 370 that are left", got)
				}
				terms.Limits = changed
				if got := spendAll(t, c, terms); got != 3000 {
					t.Errorf("tokens admitted by the changed limit: got %d, want 3000", got)
				}
				broken.Store(false)
				time.Sleep(10 * time.Second)
			})
		})
	}
}

// What this minute's share gave out under the older limit counts against the new one.
func TestAChangedLimitGivesNoShareTwice(t *testing.T) {
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
				got := spendAll(t, c, terms)
				terms.Version = 2
				if got += spendAll(t, c, terms); got > share {
					t.Errorf("tokens admitted in one minute: got %d, want at most %d", got, share)
				}
				broken.Store(false)
				time.Sleep(10 * time.Second)
			})
		})
	}
}

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
				t.Errorf("Known after Standing %d: got false, want true", i+1)
			}
			time.Sleep(time.Second)
		}
	})
}

package counter_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"tollgate/handler/counter"
	"tollgate/handler/counter/countertest"
	"tollgate/handler/counter/memstore"
	"tollgate/handler/lease"
	"tollgate/handler/limit"
)

func TestTwoInstancesShareOneLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := memstore.New()
		a, b := instance(store), instance(store)
		first, _ := reserve(t, a, minute, 25)
		if s := first.Settle(25 + 233); s.Remaining != 42 {
			t.Errorf("remaining after the first call: got %d, want 42", s.Remaining)
		}
		synctest.Wait()
		second, d := reserve(t, b, minute, 25)
		if d.Standing.Remaining != 17 {
			t.Errorf("remaining as the other instance sees it: got %d, want 17", d.Standing.Remaining)
		}
		if s := second.Settle(25 + 184); s.Remaining != 0 {
			t.Errorf("remaining after the second call: got %d, want 0", s.Remaining)
		}
		synctest.Wait()
		if _, d := reserve(t, a, minute, 25); d.Verdict != limit.RateExceeded || d.RetryAfter <= 0 {
			t.Errorf("a call over the limit: got %+v, want RateExceeded with a RetryAfter", d)
		}
	})
}

// However operations and answers are lost or delayed, the row is charged the sum of what calls
// settled.
func TestEachTokenIsChargedOnce(t *testing.T) {
	for seed := range uint64(200) {
		synctest.Test(t, func(t *testing.T) {
			random := rand.New(rand.NewPCG(seed, 0))
			var mu sync.Mutex
			faulty := true
			store, link := linked(func(countertest.Operation) countertest.Fate {
				mu.Lock()
				defer mu.Unlock()
				if !faulty || random.IntN(3) > 0 {
					return countertest.Fine
				}
				return []countertest.Fate{countertest.Busy, countertest.AppliedBusy}[random.IntN(2)]
			})
			limits := counter.Terms{Limits: limit.Limits{PerMinute: 1e9, Quota: 1e12, Period: limit.Yearly, Version: 1}}
			var settled int64
			var calls sync.WaitGroup
			for range 3 {
				c := instance(link)
				for call := range int64(8) {
					calls.Go(func() {
						time.Sleep(time.Duration(call) * 3 * time.Millisecond)
						r, _, err := c.One(context.Background(), "key", limits, limit.Ask{Amount: 10})
						if err != nil {
							return // it was not decided: nothing may be charged
						}
						if call == 7 {
							r.Cancel()
							return
						}
						r.Settle(5 + call)
						r.Settle(999) // only the first counts
						mu.Lock()
						defer mu.Unlock()
						settled += 5 + call
					})
				}
			}
			calls.Wait()
			mu.Lock()
			faulty = false
			mu.Unlock()
			time.Sleep(10 * time.Second) // until the last back-off is over
			if row := written(t, store); row.Spent != settled || row.PeriodSpent != settled {
				t.Errorf("seed %d: got %d charged to the minute and %d to the quota, want the %d settled in each", seed, row.Spent, row.PeriodSpent, settled)
			}
		})
	}
}

func TestReservationsNeverExceedWhatIsLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := memstore.New()
		var mu sync.Mutex
		var granted int64
		var calls sync.WaitGroup
		for range 4 {
			c := instance(store)
			for range 16 {
				calls.Go(func() {
					_, d, err := c.One(t.Context(), "key", minute, limit.Ask{Amount: 7})
					mu.Lock()
					defer mu.Unlock()
					if err != nil {
						t.Error(err)
					}
					granted += d.Amount
				})
			}
		}
		calls.Wait()
		var leased int64
		for _, slot := range written(t, store).Slots {
			leased += slot.Leased
		}
		if granted > 300 || 300-granted-leased >= 7 {
			t.Errorf("calls of 7: got %d granted and %d leased, want at most 300 granted, and fewer than 7 neither granted nor leased", granted, leased)
		}
	})
}

// The caller leaves during the write that its call waits for. If the write takes no time,
// Reserve may still answer; then the caller cancels.
func TestACallerThatLeavesReturnsItsGrant(t *testing.T) {
	for _, write := range []time.Duration{0, 100 * time.Millisecond} {
		for range 50 {
			synctest.Test(t, func(t *testing.T) {
				ctx, leave := context.WithCancel(t.Context())
				_, link := linked(func(countertest.Operation) countertest.Fate {
					leave()
					time.Sleep(write)
					return countertest.Fine
				})
				c := instance(link)
				r, _, err := c.One(ctx, "key", minute, limit.Ask{Amount: 50})
				if err == nil {
					r.Cancel()
				} else if !errors.Is(err, context.Canceled) {
					t.Errorf("Reserve after its caller left: got %v, want context.Canceled", err)
				}
				if write > 0 && err == nil {
					t.Error("Reserve after its caller left during a long write: got a decision, want context.Canceled at once")
				}
				time.Sleep(time.Second)
				if s, e := c.Standing(t.Context(), "key", minute); s.Remaining != 300 || e != nil {
					t.Errorf("remaining after a write of %v, of which Reserve returned %v: got %d, %v; want 300, no error", write, err, s.Remaining, e)
				}
			})
		}
	}
}

func TestAFloodOfRefusalsCostsNoWrites(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		network := countertest.NewNetwork(0)
		c := instance(network.Link())
		r, _ := reserve(t, c, minute, 300)
		synctest.Wait()
		before := network.Begun()
		for range 1000 {
			reserve(t, c, minute, 1)
			time.Sleep(10 * time.Millisecond)
		}
		if operations := network.Begun() - before; operations > 10 {
			t.Errorf("operations in 10s of refusals: got %d, want at most 10", operations)
		}
		r.Settle(300)
	})
}

func TestCloseWritesSettledUsage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := memstore.New()
		c := instance(store)
		r, _ := reserve(t, c, minute, 10)
		r.Settle(90)
		if err := c.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		if s := written(t, store); s.Spent != 90 {
			t.Errorf("spent after Close: got %d, want 90", s.Spent)
		}
		if _, _, err := c.One(t.Context(), "key", minute, limit.Ask{Amount: 1}); !errors.Is(err, counter.ErrUnavailable) {
			t.Errorf("a call after Close: got %v, want ErrUnavailable", err)
		}
	})
}

func TestARowFromTheFutureIsRepaired(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := memstore.New()
		edited := lease.New(minute.Limits, time.Now().Add(24*time.Hour), "old")
		if _, _, err := store.Swap(t.Context(), "key", edited, ""); err != nil {
			t.Fatal(err)
		}
		c := instance(store)
		if _, d := reserve(t, c, minute, 1); d.Verdict != limit.RateExceeded {
			t.Errorf("a call in this minute: got %v, want RateExceeded", d.Verdict)
		}
		time.Sleep(time.Minute)
		if _, d := reserve(t, c, minute, 1); d.Verdict != limit.Granted {
			t.Errorf("a call in the next minute: got %v, want Granted", d.Verdict)
		}
	})
}

func TestAnIdleInstanceReturnsItsLeaseOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		network := countertest.NewNetwork(0)
		c := instance(network.Link())
		for range 20 {
			r, _ := reserve(t, c, minute, 2)
			r.Settle(2)
			time.Sleep(50 * time.Millisecond)
		}
		time.Sleep(lease.Horizon(1))
		s := written(t, network.Store)
		if s.Spent != 40 || len(s.Slots) != 1 || s.Slots[0].Leased != 0 {
			t.Errorf("a horizon after the last call: got %d spent and slots %+v, want 40 spent and one slot with nothing leased", s.Spent, s.Slots)
		}
		before := network.Begun()
		time.Sleep(10 * time.Minute)
		if operations := network.Begun() - before; operations > 1 {
			t.Errorf("operations in ten idle minutes: got %d, want at most 1", operations)
		}
	})
}

// A refusal once reported tokens as left that the same write had granted.
func TestARefusalsStandingIncludesCallsGrantedInTheSameWrite(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		terms := counter.Terms{Limits: limit.Limits{PerMinute: 100, Quota: 1000, Period: limit.Daily, Version: 1}}
		c := instance(timedNetwork(1).Link())
		var calls sync.WaitGroup
		refused := 0
		for range 2 {
			calls.Go(func() {
				held, d := reserve(t, c, terms, 60)
				if held != nil {
					held.Cancel()
					return
				}
				refused++
				if s := d.Standing; s.Used != 60 || s.Remaining != 40 || s.QuotaUsed != 60 || s.QuotaRemaining != 940 {
					t.Errorf("a refusal's standing: got %+v, want 60 used and 40 left of the minute, 60 used and 940 left of the quota", s)
				}
			})
		}
		calls.Wait()
		if refused != 1 {
			t.Errorf("calls refused: got %d, want 1", refused)
		}
		if err := c.Close(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

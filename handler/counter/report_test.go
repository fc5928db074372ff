package counter_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"tollgate/handler/counter"
	"tollgate/handler/counter/memstore"
	"tollgate/handler/lease"
	"tollgate/handler/limit"
)

func TestAReportThatConflictsIsRetriedAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store, rivals, link := contested(t)
		c := instance(link)
		r, _ := reserve(t, c, counter.Terms{Limits: limit.Limits{PerMinute: 3000, Version: 1}}, 10)
		synctest.Wait()
		rivals.Store(3)
		r.Settle(7)
		time.Sleep(lease.Horizon(1))
		if s := written(t, store); s.Spent != 7 {
			t.Errorf("tokens charged a horizon later, after %d of 3 conflicts: got %d, want 7", 3-rivals.Load(), s.Spent)
		}
	})
}

// Other instances must soon see the tokens as used.
func TestLargeExcessWhoseWriteConflictsIsRetriedAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store, rivals, link := contested(t)
		c := instance(link)
		r, _ := reserve(t, c, minute, 25)
		synctest.Wait()
		rivals.Store(2)
		r.Settle(25 + 233)
		time.Sleep(time.Second)
		if s := written(t, store); s.Spent != 258 {
			t.Errorf("tokens charged a second later, after %d of 2 conflicts: got %d, want 258", 2-rivals.Load(), s.Spent)
		}
	})
}

// Another write comes before each attempt.
func TestReclaimOfACounterInUseIsNoError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, rivals, link := contested(t)
		c := instance(link)
		r, _ := reserve(t, c, minute, 25)
		r.Settle(25)
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		rivals.Store(1000)
		if deletable, err := instance(link).Reclaim(t.Context(), "key"); err != nil || deletable != "" {
			t.Errorf("Reclaim of a counter in use: got version %q, %v; want none, no error", deletable, err)
		}
		rivals.Store(0)
	})
}

// The report is due before the call would have been tried again.
func TestACallThatLeavesTheQueueDelaysNoReport(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := memstore.New()
		c := instance(store)
		terms := counter.Terms{Limits: limit.Limits{PerMinute: 100, Version: 1}, MaxWait: 2 * time.Minute}
		first, _ := reserve(t, c, terms, 60)
		time.Sleep(10 * time.Second) // until its reservation is reported
		ctx, leave := context.WithCancel(t.Context())
		go func() { _, _, _ = c.One(ctx, "key", terms, limit.Ask{Amount: 60}) }()
		synctest.Wait()
		leave()
		synctest.Wait()
		first.Settle(50)
		time.Sleep(lease.Horizon(1))
		if s := written(t, store); s.Spent != 50 {
			t.Errorf("tokens charged: got %d, want 50", s.Spent)
		}
	})
}

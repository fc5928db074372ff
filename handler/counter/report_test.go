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

// rival is a store in which another writer comes before each of the next swaps.
type rival struct {
	*memstore.Store
	before int // number of swaps left that another writer precedes
}

func (r *rival) Swap(ctx context.Context, key string, state lease.Row, version counter.Version) (counter.Version, time.Time, error) {
	if r.before > 0 && version != "" {
		r.before--
		stored, current, _, err := r.Load(ctx, key)
		if err == nil {
			stored.Rev++
			_, _, _ = r.Store.Swap(ctx, key, stored, current)
		}
	}
	return r.Store.Swap(ctx, key, state, version)
}

// TestAReportThatConflictsIsRetriedAtOnce, however often other instances write
// first.
func TestAReportThatConflictsIsRetriedAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &rival{Store: memstore.New()}
		c := instance(store)
		r, _ := reserve(t, c, counter.Terms{Limits: limit.Limits{PerMinute: 3000, Version: 1}}, 10)
		synctest.Wait()
		store.before = 3
		r.Settle(7)
		time.Sleep(lease.Horizon(1))
		if s := written(t, store); s.Spent != 7 {
			t.Errorf("tokens charged a horizon later: got %d, want 7; %d writes were late", s.Spent, 3-store.before)
		}
	})
}

// TestLargeExcessWhoseWriteConflictsIsRetriedAtOnce, because other instances must
// soon see the tokens as used.
func TestLargeExcessWhoseWriteConflictsIsRetriedAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &rival{Store: memstore.New()}
		c := instance(store)
		r, _ := reserve(t, c, minute, 25)
		synctest.Wait()
		store.before = 2
		r.Settle(25 + 233)
		time.Sleep(time.Second)
		if s := written(t, store); s.Spent != 258 {
			t.Errorf("tokens charged a second later: got %d, want 258; %d writes were late", s.Spent, 2-store.before)
		}
	})
}

// TestFlushingACounterInUseIsNoError even if other writes always come first.
func TestFlushingACounterInUseIsNoError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &rival{Store: memstore.New()}
		c := instance(store)
		r, _ := reserve(t, c, minute, 25)
		r.Settle(25)
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		store.before = 1000
		if spare, err := instance(store).FlushIdle(t.Context(), "key"); err != nil || spare != "" {
			t.Errorf("FlushIdle of a counter in use: got version %q, %v; want none, no error", spare, err)
		}
	})
}

// TestACallThatLeavesTheQueueDelaysNoReport: settled tokens are reported on time,
// not when the call would have been tried again.
func TestACallThatLeavesTheQueueDelaysNoReport(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := memstore.New()
		c := instance(store)
		terms := counter.Terms{Limits: limit.Limits{PerMinute: 100, Version: 1}, MaxWait: 2 * time.Minute}
		under, _ := reserve(t, c, terms, 60)
		time.Sleep(10 * time.Second) // until its reservation is reported
		ctx, leave := context.WithCancel(t.Context())
		go func() { _, _, _ = c.One(ctx, "key", terms, limit.Ask{Amount: 60}) }()
		synctest.Wait()
		leave()
		synctest.Wait()
		under.Settle(50)
		time.Sleep(5 * time.Second) // a horizon
		if s := written(t, store); s.Spent != 50 {
			t.Errorf("tokens charged: got %d, want 50", s.Spent)
		}
	})
}

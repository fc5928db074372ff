package gateway

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"tollgate/handler/ledger"
	"tollgate/handler/limit"
)

// An archive is a ledger with a row in each minute. Reading it takes a second.
type archive struct {
	reads atomic.Int64
}

func (a *archive) Rows(_ context.Context, subscription string, from, _ time.Time) (rows []ledger.Row, err error) {
	a.reads.Add(1)
	time.Sleep(time.Second)
	for minute := limit.Minute(from); minute < limit.Minute(time.Now()); minute++ {
		rows = append(rows, ledger.Row{Key: ledger.Key{Subscription: subscription, Span: ledger.Minute, Start: minute}, Process: "P1", Revision: 1})
	}
	return rows, nil
}

// The 168 values of hours must not cost a reading each, nor must concurrent callers.
func TestAllSpansTogetherNeedThreeReadsOfTheLedger(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store, now := new(archive), time.Now()
		g := &Gateway{recentRows: newRecentRows(store)}
		var all sync.WaitGroup
		for i := range int64(3 * maxHours) {
			all.Go(func() {
				hours := i%maxHours + 1
				if _, err := g.recentRows.Get(t.Context(), usageSpan{"team-a", spanOf(time.Duration(hours) * time.Hour)}); err != nil {
					t.Errorf("%d hours: got %v, want no error", hours, err)
				}
			})
		}
		all.Wait()
		for _, hours := range []int64{1, defaultHours, defaultHours + 1, 24, 25, maxHours} {
			from := now.Add(-time.Duration(hours) * time.Hour).Truncate(time.Minute)
			used, err := g.usage(t.Context(), "team-a", from, now)
			if want := int(limit.Minute(now) - limit.Minute(from)); err != nil || len(used) != want || used[0].Start != limit.Minute(from) {
				t.Errorf("%d hours: got %d minutes, %v; want %d from minute %d on", hours, len(used), err, want, limit.Minute(from))
			}
		}
		if n := store.reads.Load(); n != 3 {
			t.Errorf("got %d readings for %d questions, want 3", n, 3*maxHours+6)
		}
	})
}

func TestUsageReadsAreRateLimitedBySubscription(t *testing.T) {
	var a usageLimiter
	now, allowed := time.Now(), 0
	for i := range 10_000 { // in 10 s
		if a.allow("team-a", now.Add(time.Duration(i)*time.Millisecond)) == nil {
			allowed++
		}
	}
	if allowed < usageReadBurst+9*usageReadsPerSecond || allowed > usageReadBurst+10*usageReadsPerSecond+1 {
		t.Errorf("got %d of 10,000 questions in 10 s answered, want from %d to %d", allowed, usageReadBurst+9*usageReadsPerSecond, usageReadBurst+10*usageReadsPerSecond+1)
	}
	if err := a.allow("team-b", now); err != nil {
		t.Errorf("another subscription: got %v, want no error", err)
	}
	for i := range 3 * maxUsageReaders {
		if err := a.allow(fmt.Sprint(i), now.Add(time.Minute)); err != nil {
			t.Fatalf("subscription %d: got %v, want no error", i, err)
		}
	}
	if n := len(a.limiters); n > maxUsageReaders {
		t.Errorf("got %d subscriptions remembered, want %d at most", n, maxUsageReaders)
	}
}

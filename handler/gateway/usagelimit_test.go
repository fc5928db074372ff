package gateway

import (
	"context"
	"errors"
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
	fault error
}

func (a *archive) Rows(_ context.Context, subscription string, from, _ time.Time) (rows []ledger.Row, err error) {
	a.reads.Add(1)
	time.Sleep(time.Second)
	for minute := limit.Minute(from); minute < limit.Minute(time.Now()); minute++ {
		rows = append(rows, ledger.Row{Key: ledger.Key{Subscription: subscription, Span: ledger.Minute, Start: minute}, Process: "P1", Revision: 1})
	}
	return rows, a.fault
}

// The 168 values of hours must not cost a reading each, nor must concurrent callers.
func TestAllSpansTogetherNeedThreeReadsOfTheLedger(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store, now := new(archive), time.Now()
		g := &Gateway{config: Config{Usage: store}}
		var all sync.WaitGroup
		for range 3 {
			for hours := range int64(maxHours) {
				all.Go(func() {
					from := now.Add(-time.Duration(hours+1) * time.Hour).Truncate(time.Minute)
					used, err := g.usage(t.Context(), "team-a", from, now)
					if want := int(limit.Minute(now) - limit.Minute(from)); err != nil || len(used) != want || used[0].Start != limit.Minute(from) {
						t.Errorf("%d hours: got %d minutes, %v; want %d from minute %d on", hours+1, len(used), err, want, limit.Minute(from))
					}
				})
			}
		}
		all.Wait()
		if n := store.reads.Load(); n != 3 {
			t.Errorf("got %d readings for 504 questions, want 3", n)
		}
	})
}

// A reader that leaves doesn't cancel the reading: others still get its rows or its error.
func TestAReadingGoesOnWhenItsFirstReaderLeaves(t *testing.T) {
	for _, fault := range []error{nil, errors.New("down")} {
		synctest.Test(t, func(t *testing.T) {
			store, now := &archive{fault: fault}, time.Now()
			var u usageCache
			ctx, leave := context.WithCancel(t.Context())
			gone := make(chan error)
			go func() {
				_, err := u.rows(ctx, store, "team-a", now.Add(-time.Hour), now)
				gone <- err
			}()
			synctest.Wait()
			leave()
			if err := <-gone; !errors.Is(err, context.Canceled) {
				t.Errorf("the first: got %v, want %v", err, context.Canceled)
			}
			if rows, err := u.rows(t.Context(), store, "team-a", now.Add(-time.Hour), now); !errors.Is(err, fault) || len(rows) != defaultHours*60 || store.reads.Load() != 1 {
				t.Errorf("the second: got %d rows, %v after %d readings; want %d, %v after 1", len(rows), err, store.reads.Load(), defaultHours*60, fault)
			}
		})
	}
}

// Each reading may hold a week of minutes, and an old one is never used again.
func TestOldReadingsOfTheLedgerAreDropped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := new(archive)
		var u usageCache
		for range 10 {
			now := time.Now()
			if _, err := u.rows(t.Context(), store, "team-a", now.Add(-time.Hour), now); err != nil {
				t.Fatal(err)
			}
			time.Sleep(usageMaxAge)
		}
		if len(u.readings) != 1 || store.reads.Load() != 10 {
			t.Errorf("got %d readings kept of %d, want the last alone of 10", len(u.readings), store.reads.Load())
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

package gateway

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"tollgate/handler/counter"
	"tollgate/handler/counter/usage"
	"tollgate/handler/limit"
)

// An archive is a history with a row in each minute. Reading it takes a second.
type archive struct {
	reads, rows atomic.Int64
	fault       error
}

func (a *archive) Rows(_ context.Context, q usage.Query) iter.Seq2[usage.Row, error] {
	return func(yield func(usage.Row, error) bool) {
		a.reads.Add(1)
		time.Sleep(time.Second)
		if a.fault != nil {
			yield(usage.Row{}, a.fault)
			return
		}
		for minute := q.From.Unix() / 60; minute < time.Now().Unix()/60; minute++ {
			a.rows.Add(1)
			if !yield(usage.Row{Counter: q.Counter, Closed: limit.Closed{Minute: minute}}, nil) {
				return
			}
		}
	}
}

// The 168 values of hours must not cost a reading each, nor must concurrent callers.
func TestAllSpansTogetherNeedThreeReadsOfTheHistory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store, now := new(archive), time.Now()
		var h historyCache
		var all sync.WaitGroup
		for range 3 {
			for hours := range int64(maxHours) {
				all.Go(func() {
					from := now.Add(-time.Duration(hours+1) * time.Hour).Truncate(time.Minute)
					rows, err := h.rows(t.Context(), store, usage.Query{Counter: "team-a", From: from}, counter.Recent{}, now)
					if want := int(limit.Minute(now) - from.Unix()/60); err != nil || len(rows) != want || rows[0].Minute != from.Unix()/60 {
						t.Errorf("%d hours: got %d rows, %v; want %d from minute %d on", hours+1, len(rows), err, want, from.Unix()/60)
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
			var h historyCache
			q := usage.Query{Counter: "team-a", From: now.Add(-time.Hour).Truncate(time.Minute)}
			ctx, leave := context.WithCancel(t.Context())
			gone := make(chan error)
			go func() {
				_, err := h.rows(ctx, store, q, counter.Recent{}, now)
				gone <- err
			}()
			synctest.Wait()
			leave()
			if err := <-gone; !errors.Is(err, context.Canceled) {
				t.Errorf("the first: got %v, want %v", err, context.Canceled)
			}
			if rows, err := h.rows(t.Context(), store, q, counter.Recent{}, now); !errors.Is(err, fault) || err == nil && len(rows) != 60 || store.reads.Load() != 1 {
				t.Errorf("the second: got %d rows, %v after %d readings; want %v after 1, with 60 rows if that is nil", len(rows), err, store.reads.Load(), fault)
			}
		})
	}
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

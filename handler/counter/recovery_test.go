package counter_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
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

// newer is a store whose rows were written by a later release.
type newer struct{ counter.Store }

func (newer) Load(context.Context, string) (lease.Row, counter.Version, time.Time, error) {
	return lease.Row{}, "etag", time.Now(), counter.ErrNewer
}

func TestARowOfALaterReleaseIsLeftAloneAndLogged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		_, link := linked(func(operation string) countertest.Fate {
			t.Errorf("a row that a later release wrote: got %s, want it left alone", operation)
			return countertest.Busy
		})
		c := counter.New(counter.Config{Store: newer{link}, Log: slog.New(slog.NewTextHandler(&log, nil))})
		if _, _, err := c.One(t.Context(), "key", minute, limit.Ask{Amount: 1}); !errors.Is(err, counter.ErrUnavailable) {
			t.Errorf("a call to a row of a later release: got %v, want ErrUnavailable", err)
		}
		time.Sleep(time.Minute) // until it is no longer tried
		synctest.Wait()
		if !strings.Contains(log.String(), counter.ErrNewer.Error()) || !strings.Contains(log.String(), "counter=key") {
			t.Errorf("log: got %s, want %q and the counter's key", log.String(), counter.ErrNewer)
		}
	})
}

// TestACounterThatCannotBeUsedIsLoggedOnce, not at each attempt to write its
// usage.
func TestACounterThatCannotBeUsedIsLoggedOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		store := &newerUntil{Store: memstore.New()}
		store.later.Store(true)
		c := counter.New(counter.Config{Store: store, Log: slog.New(slog.NewTextHandler(&log, nil))})
		r, d := reserve(t, c, counter.Terms{Limits: daily.Limits, OnStoreDown: limit.FailOpen}, 25)
		if r == nil || !d.Degraded {
			t.Fatalf("a call to the unusable counter: got %+v, want it granted, degraded", d)
		}
		r.Settle(25)
		time.Sleep(time.Minute)
		store.later.Store(false) // the row is written by this release again
		time.Sleep(time.Minute)
		synctest.Wait()
		if lines := strings.Count(log.String(), counter.ErrNewer.Error()); lines != 1 {
			t.Errorf("lines of the log: got %d, want 1: %s", lines, log.String())
		}
		if s := written(t, store); s.PeriodSpent != 25 {
			t.Errorf("tokens written once the counter is usable: got %+v, want 25", s)
		}
	})
}

// newerUntil is a store whose rows were written by a later release while it says
// so.
type newerUntil struct {
	*memstore.Store
	later atomic.Bool
}

func (n *newerUntil) Load(ctx context.Context, key string) (lease.Row, counter.Version, time.Time, error) {
	if n.later.Load() {
		return newer{}.Load(ctx, key)
	}
	return n.Store.Load(ctx, key)
}

func TestADeletedCounterIsCreatedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := memstore.New()
		c := instance(store)
		first, _ := reserve(t, c, minute, 100)
		synctest.Wait()
		_, version, _, err := store.Load(t.Context(), "key")
		if err == nil {
			err = store.Delete(t.Context(), "key", version)
		}
		if err != nil {
			t.Fatal(err)
		}
		first.Settle(40) // the refund is void: the counter was deleted
		time.Sleep(lease.Horizon(1))
		if s, _, _, err := store.Load(t.Context(), "key"); !errors.Is(err, counter.ErrNotFound) && s.Spent != 0 {
			t.Errorf("the new counter: got %d charged, %v; want nothing", s.Spent, err)
		}
		if second, d := reserve(t, c, minute, 100); second == nil {
			t.Errorf("a call to the new counter: got %+v, want it granted", d)
		}
	})
}

// TestAnIdleCounterIsDeletableOnceItsSlotsAreGone: FlushIdle then returns the
// row's version.
func TestAnIdleCounterIsDeletableOnceItsSlotsAreGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := memstore.New()
		r, _ := reserve(t, instance(store), minute, 30)
		r.Settle(20 + 5)
		time.Sleep(2 * time.Minute)
		janitor := instance(store)
		for range 2 { // the second changes nothing
			if spare, err := janitor.FlushIdle(t.Context(), "key"); err != nil || spare != "" {
				t.Errorf("FlushIdle while the instance's slot is there: got version %q, %v; want none, no error", spare, err)
			}
		}
		time.Sleep(2 * time.Hour)
		_, version, _, _ := store.Load(t.Context(), "key")
		if spare, err := janitor.FlushIdle(t.Context(), "key"); err != nil || spare == "" || spare == version {
			t.Errorf("FlushIdle once the slot is gone: got version %q of %q, %v; want a newer one", spare, version, err)
		}
		if spare, err := janitor.FlushIdle(t.Context(), "unknown"); err != nil || spare != "" {
			t.Errorf("FlushIdle of an unknown counter: got version %q, %v; want none, no error", spare, err)
		}
	})
}

// TestACancelledFlushDoesNotCountAsAStoreFailure, so calls are still granted after
// three.
func TestACancelledFlushDoesNotCountAsAStoreFailure(t *testing.T) {
	c := instance(obedient{memstore.New()})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for range 3 {
		if _, err := c.FlushIdle(ctx, "key"); !errors.Is(err, context.Canceled) {
			t.Errorf("FlushIdle: got %v, want context.Canceled", err)
		}
	}
	if r, d := reserve(t, c, minute, 1); r == nil {
		t.Errorf("a call after the cancelled flush: got %+v, want it granted", d)
	}
}

// obedient is a store whose reads fail once their context is cancelled.
type obedient struct{ *memstore.Store }

func (o obedient) Load(ctx context.Context, key string) (lease.Row, counter.Version, time.Time, error) {
	if ctx.Err() != nil {
		return lease.Row{}, "", time.Time{}, ctx.Err()
	}
	return o.Store.Load(ctx, key)
}

// TestAStoreThatWasDownIsTriedAgainAfterAWhile: an instance without calls soon
// ends its DegradedTime, and grants its next call normally.
func TestAStoreThatWasDownIsTriedAgainAfterAWhile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, broken, c := breakable()
		broken.Store(true)
		for range 3 {
			if _, _, err := c.One(t.Context(), "key", minute, limit.Ask{Amount: 25}); !errors.Is(err, counter.ErrUnavailable) {
				t.Errorf("a call while the store is down: got %v, want ErrUnavailable", err)
			}
			time.Sleep(time.Second)
		}
		broken.Store(false)
		time.Sleep(8 * time.Hour)
		if degraded := c.Stats().DegradedTime; degraded < time.Second || degraded > 10*time.Second {
			t.Errorf("DegradedTime: got %v, want 1s to 10s", degraded)
		}
		if _, d, err := c.One(t.Context(), "key", minute, limit.Ask{Amount: 25}); err != nil || d.Verdict != limit.Granted || d.Degraded {
			t.Errorf("a call once the store is back: got %+v, %v; want it granted, not degraded", d, err)
		}
		if err := c.Close(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

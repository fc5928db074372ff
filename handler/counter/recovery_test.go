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

// laterRelease edits the answers to loads while it is set: a later release wrote the rows.
func laterRelease(set *atomic.Bool) func(countertest.Operation, *countertest.Answer) {
	return func(op countertest.Operation, answer *countertest.Answer) {
		if !op.Swap && set.Load() {
			*answer = countertest.Answer{Version: "etag", Err: counter.ErrNewer}
		}
	}
}

func TestARowOfALaterReleaseIsLeftAloneAndLogged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		var later atomic.Bool
		later.Store(true)
		_, link := linked(func(op countertest.Operation) countertest.Fate {
			if op.Swap {
				t.Error("a row that a later release wrote: got a swap, want it left alone")
			}
			return countertest.Fine
		})
		link.Edit = laterRelease(&later)
		c := counter.New(counter.Config{Store: link, Log: slog.New(slog.NewTextHandler(&log, nil))})
		if _, _, err := c.One(t.Context(), "key", minute, limit.Ask{Amount: 1}); !errors.Is(err, counter.ErrUnavailable) {
			t.Errorf("a call to a row of a later release: got %v, want ErrUnavailable", err)
		}
		time.Sleep(time.Minute) // until the call is forgotten
		synctest.Wait()
		if !strings.Contains(log.String(), counter.ErrNewer.Error()) || !strings.Contains(log.String(), "counter=key") {
			t.Errorf("log: got %s, want %q and the counter's key", log.String(), counter.ErrNewer)
		}
	})
}

// An unusable counter is tried again and again while there is something to write.
func TestACounterThatCannotBeUsedIsLoggedOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		var later atomic.Bool
		later.Store(true)
		store, link := linked(nil)
		link.Edit = laterRelease(&later)
		c := counter.New(counter.Config{Store: link, Log: slog.New(slog.NewTextHandler(&log, nil))})
		r, d := reserve(t, c, counter.Terms{Limits: daily.Limits, OnStoreDown: limit.FailOpen}, 25)
		if r == nil || !d.Degraded {
			t.Fatalf("a call to the unusable counter: got %+v, want it granted, degraded", d)
		}
		r.Settle(25)
		time.Sleep(time.Minute)
		later.Store(false)
		time.Sleep(time.Minute)
		synctest.Wait()
		if lines := strings.Count(log.String(), counter.ErrNewer.Error()); lines != 1 {
			t.Errorf("log: got %d lines about the counter, want 1: %s", lines, log.String())
		}
		if s := written(t, store); s.PeriodSpent != 25 {
			t.Errorf("written once the counter is usable: got %d, want 25", s.PeriodSpent)
		}
	})
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
		first.Settle(40) // the new counter owes no refund of the old one's
		time.Sleep(lease.Horizon(1))
		if s, _, _, err := store.Load(t.Context(), "key"); !errors.Is(err, counter.ErrNotFound) && s.Spent != 0 {
			t.Errorf("the new counter: got %d charged, %v; want nothing", s.Spent, err)
		}
		if second, d := reserve(t, c, minute, 100); second == nil {
			t.Errorf("a call to the new counter: got %+v, want it granted", d)
		}
	})
}

// Reclaim returns the version of a row that may be deleted.
func TestAnIdleCounterIsDeletableOnceItsSlotsAreGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := memstore.New()
		r, _ := reserve(t, instance(store), minute, 30)
		r.Settle(20 + 5)
		time.Sleep(2 * time.Minute)
		housekeeper := instance(store)
		for range 2 { // the second changes nothing
			if deletable, err := housekeeper.Reclaim(t.Context(), "key"); err != nil || deletable != "" {
				t.Errorf("Reclaim while the instance's slot is there: got version %q, %v; want none, no error", deletable, err)
			}
		}
		time.Sleep(2 * time.Hour)
		_, version, _, _ := store.Load(t.Context(), "key")
		if deletable, err := housekeeper.Reclaim(t.Context(), "key"); err != nil || deletable == "" || deletable == version {
			t.Errorf("Reclaim once the slot is gone: got version %q, %v; want one newer than %q", deletable, err, version)
		}
		if deletable, err := housekeeper.Reclaim(t.Context(), "unknown"); err != nil || deletable != "" {
			t.Errorf("Reclaim of a missing counter: got version %q, %v; want none, no error", deletable, err)
		}
	})
}

// Three failures would mean that the store is down.
func TestAReclaimThatItsCallerCancelsIsNoFailureOfTheStore(t *testing.T) {
	var lost atomic.Bool
	_, link := linked(func(countertest.Operation) countertest.Fate {
		if lost.Load() {
			return countertest.RequestLost
		}
		return countertest.Fine
	})
	c := instance(link)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	lost.Store(true)
	for range 3 {
		if _, err := c.Reclaim(ctx, "key"); !errors.Is(err, context.Canceled) {
			t.Errorf("Reclaim: got %v, want context.Canceled", err)
		}
	}
	lost.Store(false)
	if r, d := reserve(t, c, minute, 1); r == nil {
		t.Errorf("a call after three cancelled reclaims: got %+v, want it granted", d)
	}
}

// Without calls nothing tries the store, so the outage counts as over after a few seconds.
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

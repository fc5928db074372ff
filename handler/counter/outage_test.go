package counter_test

import (
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"tollgate/handler/counter"
	"tollgate/handler/counter/memstore"
	"tollgate/handler/limit"
)

// breakable is a store that can be broken, and an instance of it.
func breakable() (store *memstore.Store, broken *atomic.Bool, c *counter.Counter) {
	broken = new(atomic.Bool)
	store = memstore.New(func(string) (bool, error) {
		if broken.Load() {
			return false, errors.New("down")
		}
		return true, nil
	})
	return store, broken, instance(store)
}

func onDown(mode counter.StoreDown, limits limit.Limits) counter.Terms {
	limits.Version = 1
	return counter.Terms{Limits: limits, OnStoreDown: mode}
}

func TestWhileTheStoreIsDownAnInstanceHasItsShareAndOwesIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store, broken, c := breakable()
		terms := onDown(counter.Degrade, limit.Limits{TokensPerMinute: 400})
		broken.Store(true)
		var granted []*counter.Reservation
		for range 10 { // of 25% of the limit, where nothing is known of others
			r, d := reserve(t, c, terms, 30)
			if !d.Degraded {
				t.Errorf("decided %+v, not degraded", d)
			}
			if r != nil {
				granted = append(granted, r)
			}
		}
		if len(granted) != 3 {
			t.Errorf("%d calls of 30 passed, want 3: a quarter of 400 tokens", len(granted))
		}
		for _, r := range granted {
			r.Settle(limit.Usage{PromptTokens: 20, CompletionTokens: 5})
		}
		if r, _ := reserve(t, c, terms, 25); r == nil {
			t.Error("what calls took less than they reserved is not there for the next")
		} else {
			r.Cancel()
		}
		broken.Store(false)
		time.Sleep(10 * time.Second)
		if s := written(t, store); s.Spent != 75 || s.Happened.Requests != 3 {
			t.Errorf("afterwards %d tokens of %d calls are charged, want 75 of 3", s.Spent, s.Happened.Requests)
		}
		if _, d := reserve(t, c, terms, 1); d.Degraded || d.Verdict != limit.Granted {
			t.Errorf("when the store is back: %+v", d)
		}
		if stats := c.Stats(); stats.Degraded != 4 || stats.DegradedTime <= 0 {
			t.Errorf("%+v", stats)
		}
	})
}

func TestTheShareWhileDownIsOfWhatWasKnownToBeLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, broken, c := breakable()
		terms := onDown(counter.Degrade, limit.Limits{TokensPerMinute: 400})
		r, _ := reserve(t, c, terms, 350)
		r.Settle(limit.Usage{PromptTokens: 350})
		time.Sleep(10 * time.Second) // until it is reported
		broken.Store(true)
		if r, d := reserve(t, c, terms, 40); r == nil || !d.Degraded {
			t.Errorf("40 of the 50 that are left: %+v", d)
		}
		if r, d := reserve(t, c, terms, 20); r != nil || !d.Degraded || d.Verdict != limit.RateExceeded || d.RetryAfter > time.Minute {
			t.Errorf("20 of the 10 that are left: %+v", d)
		}
		time.Sleep(time.Minute)
		if r, d := reserve(t, c, terms, 300); r == nil {
			t.Errorf("300 of the next minute's 400, this being the only instance: %+v", d)
		}
		broken.Store(false)
		time.Sleep(10 * time.Second)
	})
}

func TestOpenAndClosedWhileTheStoreIsDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store, broken, c := breakable()
		broken.Store(true)
		closed := onDown(counter.Closed, limit.Limits{TokensPerMinute: 400})
		if _, _, err := c.Reserve(t.Context(), "other", closed, limit.Ask{Tokens: 1}); !errors.Is(err, counter.ErrUnavailable) {
			t.Errorf("closed: %v", err)
		}
		r, d := reserve(t, c, onDown(counter.Open, limit.Limits{TokensPerMinute: 400}), 4000)
		if r == nil || !d.Degraded {
			t.Fatalf("open: %+v", d)
		}
		r.Settle(limit.Usage{PromptTokens: 500})
		broken.Store(false)
		time.Sleep(10 * time.Second)
		if s := written(t, store); s.Spent != 500 {
			t.Errorf("afterwards %d tokens are charged, want 500", s.Spent)
		}
	})
}

// TestAWarmLeaseOutlastsTheStore: what is prepaid needs no store.
func TestAWarmLeaseOutlastsTheStore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, broken, c := breakable()
		terms := onDown(counter.Closed, limit.Limits{TokensPerMinute: 400})
		first, _ := reserve(t, c, terms, 25)
		broken.Store(true)
		second, d := reserve(t, c, terms, 25)
		if second == nil || d.Degraded {
			t.Fatalf("from the lease: %+v", d)
		}
		broken.Store(false)
		first.Cancel()
		second.Cancel()
	})
}

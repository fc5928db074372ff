package counter_test

import (
	"errors"
	"fmt"
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

// A stuckStore answers every operation, and applies no write.
type stuckStore struct {
	stored bool                                     // the counter exists
	load   func(reads int64, a *countertest.Answer) // changes the answer to the latest of so many reads
	swap   error                                    // the answer to each write
	within time.Duration                            // the time by which a call must be decided; 0: 3 s
}

// stuckStores are named by their answers.
var stuckStores = map[string]stuckStore{
	"no row, and each insert conflicts":            {swap: counter.ErrConflict},
	"a row, and each write conflicts":              {stored: true, swap: counter.ErrConflict},
	"a table that exists for reads only":           {swap: counter.ErrNotFound},
	"a row that exists for reads only":             {stored: true, swap: counter.ErrNotFound},
	"each write is refused":                        {stored: true, swap: errors.New("403 AuthorizationPermissionMismatch")},
	"each insert is refused":                       {swap: errors.New("404 of a proxy")},
	"a row with another ETag at each read":         {stored: true, load: otherVersion, swap: counter.ErrConflict},
	"a row that comes and goes":                    {stored: true, load: flickering, swap: counter.ErrConflict, within: 12 * time.Second},
	"others' writes are applied":                   {stored: true, load: othersWrite, swap: counter.ErrConflict, within: 12 * time.Second},
	"each write conflicts, and no read is allowed": {stored: true, load: unreadable, swap: counter.ErrConflict},
}

func otherVersion(reads int64, a *countertest.Answer) {
	a.Version = counter.Version(fmt.Sprint("etag", reads))
}

func flickering(reads int64, a *countertest.Answer) {
	if reads%2 == 0 {
		*a = countertest.Answer{Err: counter.ErrNotFound}
	}
}

func othersWrite(reads int64, a *countertest.Answer) {
	a.Row.Rev += reads
	otherVersion(reads, a)
}

func unreadable(_ int64, a *countertest.Answer) {
	*a = countertest.Answer{Err: errors.New("403 AuthorizationPermissionMismatch")}
}

// open returns a link that answers as s says until well is set, and the store behind it.
func (s stuckStore) open(t *testing.T, limits limit.Limits) (store *memstore.Store, well *atomic.Bool, link *countertest.Link) {
	well = new(atomic.Bool)
	store, link = linked(func(op countertest.Operation) countertest.Fate {
		if op.Swap && !well.Load() {
			return countertest.Busy
		}
		return countertest.Fine
	})
	var reads atomic.Int64
	link.Edit = func(op countertest.Operation, a *countertest.Answer) {
		switch {
		case well.Load():
		case op.Swap:
			a.Err = s.swap
		case s.load != nil:
			s.load(reads.Add(1), a)
		}
	}
	if s.stored {
		if _, _, err := store.Swap(t.Context(), "key", lease.New(limits, time.Now(), "e"), ""); err != nil {
			t.Fatal(err)
		}
	}
	return store, well, link
}

// Whatever the store answers, calls are decided in time, and charged once it applies writes
// again.
func TestAStoreThatAppliesNoWriteCountsAsDown(t *testing.T) {
	if testing.Short() {
		t.Skip("skipped by -short: it waits for many stores")
	}
	limits := daily.Limits
	for name, s := range stuckStores {
		for _, terms := range []counter.Terms{
			{Limits: limits, OnStoreDown: limit.FailClosed}, {Limits: limits, OnStoreDown: limit.Degrade}, {Limits: limits, OnStoreDown: limit.FailOpen},
			{Limits: limits, OnStoreDown: limit.FailClosed, MaxWait: 2 * time.Minute},
		} {
			t.Run(fmt.Sprintf("%s, %s, %v", name, terms.OnStoreDown, terms.MaxWait), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) { testStuck(t, s, terms) })
			})
		}
	}
}

func testStuck(t *testing.T, s stuckStore, terms counter.Terms) {
	store, well, link := s.open(t, terms.Limits)
	c, began, degraded := instance(link), time.Now(), int64(0)
	within := max(s.within, 3*time.Second)
	for range 3 { // the second and third at once, because the store is known to be down
		r, d, err := c.One(t.Context(), "key", terms, limit.Ask{Amount: 10})
		if took := time.Since(began); took > within {
			t.Errorf("a call: got it decided after %v, want %v at most", took, within)
		}
		switch {
		case terms.OnStoreDown == limit.FailClosed && !errors.Is(err, counter.ErrUnavailable):
			t.Errorf("a call with %s: got %+v, %v; want ErrUnavailable", terms.OnStoreDown, d, err)
		case terms.OnStoreDown != limit.FailClosed && (err != nil || !d.Degraded):
			t.Errorf("a call with %s: got %+v, %v; want it granted, degraded", terms.OnStoreDown, d, err)
		}
		if r != nil {
			r.Settle(10)
			degraded += 10
		}
		began, within = time.Now(), 0
	}
	if _, err := c.Standing(t.Context(), "key", terms); err != nil && !errors.Is(err, counter.ErrUnavailable) {
		t.Errorf("Standing: got %v, want no error or ErrUnavailable", err)
	}
	well.Store(true)
	time.Sleep(20 * time.Second)
	r, d, err := c.One(t.Context(), "key", terms, limit.Ask{Amount: 10})
	if r == nil || err != nil || d.Degraded {
		t.Fatalf("a call once writes are applied: got %+v, %v; want it granted, not degraded", d, err)
	}
	r.Settle(10)
	if err := c.Close(t.Context()); err != nil {
		t.Error(err)
	}
	if s := written(t, store); s.PeriodSpent != degraded+10 {
		t.Errorf("written: got %d, want %d", s.PeriodSpent, degraded+10)
	}
}

// The next write conflicts, and the row is read again.
func TestAWrongETagAfterAnAppliedWriteLosesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store, link := linked(nil)
		link.Edit = func(op countertest.Operation, a *countertest.Answer) {
			if op.Swap {
				a.Version = "another"
			}
		}
		c := instance(link)
		for range 10 {
			r, d := reserve(t, c, daily, 10)
			if r == nil || d.Degraded {
				t.Fatalf("a call whose write's answer had a wrong ETag: got %+v, want it granted, not degraded", d)
			}
			r.Settle(10)
			time.Sleep(5 * time.Second)
		}
		if err := c.Close(t.Context()); err != nil {
			t.Error(err)
		}
		if s := written(t, store); s.PeriodSpent != 100 {
			t.Errorf("written: got %d, want 100", s.PeriodSpent)
		}
	})
}

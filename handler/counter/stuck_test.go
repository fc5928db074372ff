package counter_test

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"tollgate/handler/counter"
	"tollgate/handler/counter/memstore"
	"tollgate/handler/lease"
	"tollgate/handler/limit"
)

// stubborn answers every operation, but applies no write until it is well.
type stubborn struct {
	*memstore.Store
	well  atomic.Bool
	reads atomic.Int64
	load  func(s *stubborn, state lease.Row, version counter.Version, err error) (lease.Row, counter.Version, error)
	swap  error
}

func (s *stubborn) Load(ctx context.Context, key string) (lease.Row, counter.Version, time.Time, error) {
	state, version, date, err := s.Store.Load(ctx, key)
	if !s.well.Load() && s.load != nil {
		s.reads.Add(1)
		state, version, err = s.load(s, state, version, err)
	}
	return state, version, date, err
}

func (s *stubborn) Swap(ctx context.Context, key string, state lease.Row, version counter.Version) (counter.Version, time.Time, error) {
	if s.well.Load() {
		return s.Store.Swap(ctx, key, state, version)
	}
	return "", time.Now(), s.swap
}

// stubbornStores are stores that apply no write, by their answers.
var stubbornStores = map[string]struct {
	stored bool // whether the counter exists
	load   func(*stubborn, lease.Row, counter.Version, error) (lease.Row, counter.Version, error)
	swap   error
	within time.Duration // when an answer is due at the latest
}{
	"no row, and each insert conflicts":            {swap: counter.ErrConflict},
	"a row, and each write conflicts":              {stored: true, swap: counter.ErrConflict},
	"a table that exists for reads only":           {swap: counter.ErrNotFound},
	"a row that exists for reads only":             {stored: true, swap: counter.ErrNotFound},
	"each write is refused":                        {stored: true, swap: errors.New("403 AuthorizationPermissionMismatch")},
	"each insert is refused":                       {swap: errors.New("404 of a proxy")},
	"a row with another ETag at each read":         {stored: true, load: otherVersion, swap: counter.ErrConflict},
	"a row that comes and goes":                    {stored: true, load: flickering, swap: counter.ErrConflict, within: 12 * time.Second},
	"others' writes land, and none of this one's":  {stored: true, load: busyWithOthers, swap: counter.ErrConflict, within: 12 * time.Second},
	"each write conflicts, and no read is allowed": {stored: true, load: unreadable, swap: counter.ErrConflict},
}

func otherVersion(s *stubborn, state lease.Row, _ counter.Version, err error) (lease.Row, counter.Version, error) {
	return state, counter.Version(fmt.Sprint("etag", s.reads.Load())), err
}

func flickering(s *stubborn, state lease.Row, version counter.Version, err error) (lease.Row, counter.Version, error) {
	if s.reads.Load()%2 == 0 {
		return lease.Row{}, "", counter.ErrNotFound
	}
	return state, version, err
}

func busyWithOthers(s *stubborn, state lease.Row, _ counter.Version, err error) (lease.Row, counter.Version, error) {
	state.Rev += s.reads.Load()
	return state, counter.Version(fmt.Sprint("etag", s.reads.Load())), err
}

func unreadable(*stubborn, lease.Row, counter.Version, error) (lease.Row, counter.Version, error) {
	return lease.Row{}, "", errors.New("403 AuthorizationPermissionMismatch")
}

// TestAStoreThatAppliesNoWriteCountsAsDown, whether it answers each write with a
// conflict or says that the table doesn't exist.
func TestAStoreThatAppliesNoWriteCountsAsDown(t *testing.T) {
	if testing.Short() {
		t.Skip("skipped by -short: it waits for many stores")
	}
	limits := daily.Limits
	for name, test := range stubbornStores {
		for _, terms := range []counter.Terms{
			{Limits: limits, OnStoreDown: limit.FailClosed}, {Limits: limits, OnStoreDown: limit.Degrade}, {Limits: limits, OnStoreDown: limit.FailOpen},
			{Limits: limits, OnStoreDown: limit.FailClosed, MaxWait: 2 * time.Minute},
		} {
			t.Run(fmt.Sprintf("%s, %s, %v", name, terms.OnStoreDown, terms.MaxWait), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					store := &stubborn{Store: memstore.New(), load: test.load, swap: test.swap}
					if test.stored {
						if _, _, err := store.Store.Swap(t.Context(), "key", lease.New(limits, time.Now(), "e"), ""); err != nil {
							t.Fatal(err)
						}
					}
					stubbornly(t, store, terms, max(test.within, 3*time.Second))
				})
			})
		}
	}
}

func stubbornly(t *testing.T, store *stubborn, terms counter.Terms, within time.Duration) {
	c, began, degraded := instance(store), time.Now(), int64(0)
	for range 3 { // the second and third at once: the store is known to be down
		r, d, err := c.One(t.Context(), "key", terms, limit.Ask{Amount: 10})
		if took := time.Since(began); took > within {
			t.Errorf("answered after: got %v, want at most %v", took, within)
		}
		switch {
		case terms.OnStoreDown == limit.FailClosed && !errors.Is(err, counter.ErrUnavailable):
			t.Errorf("a call with closed: got %+v, %v; want ErrUnavailable", d, err)
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
	store.well.Store(true)
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
		t.Errorf("tokens written: got %d, want %d", s.PeriodSpent, degraded+10)
	}
}

// TestAWrongETagAfterAnAppliedWriteLosesNothing: the next write conflicts, and the
// counter reads the row again.
func TestAWrongETagAfterAnAppliedWriteLosesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := memstore.New()
		c := instance(wrongTag{store})
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
			t.Errorf("tokens written: got %d, want 100", s.PeriodSpent)
		}
	})
}

type wrongTag struct{ *memstore.Store }

func (w wrongTag) Swap(ctx context.Context, key string, state lease.Row, version counter.Version) (counter.Version, time.Time, error) {
	_, date, err := w.Store.Swap(ctx, key, state, version)
	return "another", date, err
}

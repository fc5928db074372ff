package housekeeping_test

import (
	"context"
	"errors"
	"iter"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"tollgate/handler/counter"
	"tollgate/handler/counter/memstore"
	"tollgate/handler/housekeeping"
)

// slow are counters that take a while to go through; walks counts who does.
type slow struct {
	*memstore.Store
	takes time.Duration
	walks *atomic.Int64
}

func (s slow) List(ctx context.Context) iter.Seq2[counter.Entry, error] {
	s.walks.Add(1)
	time.Sleep(s.takes)
	return s.Store.List(ctx)
}

// post is what the host does when its timer fires.
func post(t *testing.T, handler http.Handler) (status int, body string) {
	r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, housekeeping.Path, strings.NewReader(envelope))
	w := httptest.NewRecorder()
	handler.ServeHTTP(w, r)
	return w.Code, w.Body.String()
}

func TestOneRunAtATimeAndAMinuteApart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t)
		var walks atomic.Int64
		keeper := h.keeper()
		keeper.Counters = slow{h.store, 90 * time.Second, &walks}
		handler := keeper.Before(http.NotFoundHandler())
		var all sync.WaitGroup
		var skipped atomic.Int64
		for range 50 {
			all.Go(func() {
				status, body := post(t, handler)
				if status != http.StatusOK {
					t.Errorf("%d %s", status, body)
				}
				if strings.Contains(body, "left to another run") {
					skipped.Add(1)
				}
			})
		}
		synctest.Wait()
		if _, err := keeper.Run(t.Context()); !errors.Is(err, housekeeping.ErrTaken) {
			t.Errorf("an operator's run beside it: %v, want %v", err, housekeeping.ErrTaken)
		}
		all.Wait()
		if walks.Load() != 1 || skipped.Load() != 49 {
			t.Errorf("%d of 50 posts at once ran, %d were skipped; want 1 and 49", walks.Load(), skipped.Load())
		}
		keeper.Counters = slow{h.store, 0, &walks}
		post(t, handler) // 90 s after the first began, which has ended
		for range 59 {
			time.Sleep(time.Second)
			post(t, handler)
		}
		if n := walks.Load(); n != 2 {
			t.Errorf("%d runs, want 2: one in each minute", n)
		}
		if _, err := keeper.Run(t.Context()); err != nil {
			t.Errorf("an operator waits for no minute: %v", err)
		}
	})
}

// refusing are turns that somebody else has, or that can't be reached.
type refusing struct{ err error }

func (r refusing) Take(context.Context, time.Duration) (func(context.Context) error, error) {
	return nil, r.err
}

func TestAnotherInstancesRunIsEnough(t *testing.T) {
	for err, want := range map[error]int{housekeeping.ErrTaken: 200, errors.New("down"): 500} {
		h := newHouse(t)
		var walks atomic.Int64
		keeper := h.keeper()
		keeper.Counters, keeper.Turns = slow{h.store, 0, &walks}, refusing{err}
		if status, body := post(t, keeper.Before(http.NotFoundHandler())); status != want || walks.Load() != 0 {
			t.Errorf("turns that answer %v: %d %s after %d walks, want %d after none", err, status, body, walks.Load(), want)
		}
		keeper.Turns = nil
		if status, _ := post(t, keeper.Before(http.NotFoundHandler())); status != 200 || walks.Load() != 1 {
			t.Errorf("a run that didn't begin holds the next one up: %d after %d walks", status, walks.Load())
		}
	}
}

func TestARunThatDiedHoldsOthersUpForAWhileOnly(t *testing.T) {
	now := time.Now()
	for name, c := range map[string]struct {
		last  housekeeping.Turn
		pause time.Duration
		free  bool
	}{
		"none before":             {housekeeping.Turn{}, time.Minute, true},
		"under way":               {housekeeping.Turn{Began: now.Add(-15 * time.Minute)}, 0, false},
		"died":                    {housekeeping.Turn{Began: now.Add(-16 * time.Minute)}, 0, true},
		"ended at once":           {housekeeping.Turn{Began: now.Add(-time.Second), Ended: now}, time.Minute, false},
		"ended, for an operator":  {housekeeping.Turn{Began: now.Add(-time.Second), Ended: now}, 0, true},
		"ended a minute ago":      {housekeeping.Turn{Began: now.Add(-time.Minute), Ended: now.Add(-time.Minute)}, time.Minute, true},
		"a clock that runs ahead": {housekeeping.Turn{Began: now.Add(24 * time.Hour)}, time.Minute, true},
	} {
		if err := c.last.Allows(now, c.pause); (err == nil) != c.free || err != nil && !errors.Is(err, housekeeping.ErrTaken) {
			t.Errorf("%s: %v, want free %t", name, err, c.free)
		}
	}
}

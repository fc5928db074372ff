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

// slowStore is a store whose first list takes a while. It counts lists.
type slowStore struct {
	*memstore.Store
	delay    time.Duration
	listings *atomic.Int64
}

func (s slowStore) List(ctx context.Context) iter.Seq2[counter.Entry, error] {
	if s.listings.Add(1) == 1 {
		time.Sleep(s.delay)
	}
	return s.Store.List(ctx)
}

// postTimer sends the request that the host sends when its timer fires.
func postTimer(t *testing.T, handler http.Handler) (status int, body string) {
	r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, housekeeping.Path, strings.NewReader(envelope))
	w := httptest.NewRecorder()
	handler.ServeHTTP(w, r)
	return w.Code, w.Body.String()
}

func TestRunsTakeTurnsAndStartAMinuteApart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newFixture(t)
		var listings atomic.Int64
		config := h.config()
		config.Counters = slowStore{h.store, 90 * time.Second, &listings}
		keeper := housekeeping.New(config)
		handler := keeper.Middleware(http.NotFoundHandler())
		var all sync.WaitGroup
		var skipped atomic.Int64
		for range 50 {
			all.Go(func() {
				status, body := postTimer(t, handler)
				if status != http.StatusOK {
					t.Errorf("POST: got %d %s, want 200", status, body)
				}
				if strings.Contains(body, "left to another run") {
					skipped.Add(1)
				}
			})
		}
		synctest.Wait()
		if _, err := keeper.Run(t.Context()); !errors.Is(err, housekeeping.ErrTaken) {
			t.Errorf("an operator's run at the same time: got %v, want %v", err, housekeeping.ErrTaken)
		}
		all.Wait()
		if listings.Load() != 1 || skipped.Load() != 49 {
			t.Errorf("50 concurrent posts: got %d run and %d skipped, want 1 and 49", listings.Load(), skipped.Load())
		}
		postTimer(t, handler) // 90 s after the start of the first, which has ended
		for range 59 {
			time.Sleep(time.Second)
			postTimer(t, handler)
		}
		if n := listings.Load(); n != 2 {
			t.Errorf("runs in two minutes: got %d, want 2", n)
		}
		if _, err := keeper.Run(t.Context()); err != nil {
			t.Errorf("an operator's run within the minute: got %v, want no error", err)
		}
	})
}

// failingTurns are turns whose Take returns err.
type failingTurns struct{ err error }

func (r *failingTurns) Take(context.Context, time.Duration) (func(context.Context) error, error) {
	return func(context.Context) error { return nil }, r.err
}

func TestARunIsSkippedWhileAnotherInstanceRuns(t *testing.T) {
	for err, want := range map[error]int{housekeeping.ErrTaken: 200, errors.New("down"): 500} {
		h := newFixture(t)
		var listings atomic.Int64
		turns, config := &failingTurns{err}, h.config()
		config.Counters, config.Turns = slowStore{h.store, 0, &listings}, turns
		keeper := housekeeping.New(config)
		if status, body := postTimer(t, keeper.Middleware(http.NotFoundHandler())); status != want || listings.Load() != 0 {
			t.Errorf("Take returns %v: got %d %s after %d listings, want %d after none", err, status, body, listings.Load(), want)
		}
		turns.err = nil
		if status, _ := postTimer(t, keeper.Middleware(http.NotFoundHandler())); status != 200 || listings.Load() != 1 {
			t.Errorf("the run after one that didn't start: got %d after %d listings, want 200 after 1", status, listings.Load())
		}
	}
}

func TestADeadRunBlocksOthersForALimitedTime(t *testing.T) {
	now := time.Now()
	for name, c := range map[string]struct {
		last  housekeeping.Turn
		pause time.Duration
		free  bool
	}{
		"none before":             {housekeeping.Turn{}, time.Minute, true},
		"in progress":             {housekeeping.Turn{Began: now.Add(-15 * time.Minute)}, 0, false},
		"died":                    {housekeeping.Turn{Began: now.Add(-16 * time.Minute)}, 0, true},
		"ended at once":           {housekeeping.Turn{Began: now.Add(-time.Second), Ended: now}, time.Minute, false},
		"ended, for an operator":  {housekeeping.Turn{Began: now.Add(-time.Second), Ended: now}, 0, true},
		"ended a minute ago":      {housekeeping.Turn{Began: now.Add(-time.Minute), Ended: now.Add(-time.Minute)}, time.Minute, true},
		"a clock that runs ahead": {housekeeping.Turn{Began: now.Add(24 * time.Hour)}, time.Minute, true},
	} {
		if err := c.last.Allows(now, c.pause); (err == nil) != c.free || err != nil && !errors.Is(err, housekeeping.ErrTaken) {
			t.Errorf("%s: got error %v, want free %t", name, err, c.free)
		}
	}
}

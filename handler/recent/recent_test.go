package recent

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// A store counts its readings, each of which takes a second.
type store struct {
	mu    sync.Mutex
	reads map[string]int
	fault error
}

func (s *store) read(ctx context.Context, key string) (string, error) {
	s.mu.Lock()
	if s.reads == nil {
		s.reads = make(map[string]int)
	}
	s.reads[key]++
	n, fault := s.reads[key], s.fault
	s.mu.Unlock()
	select {
	case <-time.After(time.Second):
		return fmt.Sprint(key, n), fault
	case <-ctx.Done():
		return "", ctx.Err()
	}
}

func readings(s *store) *Readings[string, string] {
	return &Readings[string, string]{Read: s.read, MaxAge: 2 * time.Second, Timeout: time.Minute, MaxKeys: 10}
}

// expect fails the test unless Get returns want and fault.
func expect(t *testing.T, r *Readings[string, string], key, want string, fault error) {
	t.Helper()
	if got, err := r.Get(t.Context(), key); got != want || !errors.Is(err, fault) {
		t.Errorf("key %s: got %q, %v; want %q, %v", key, got, err, want, fault)
	}
}

func TestThoseWhoAskDuringAReadingShareIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := readings(new(store))
		r.MaxAge = 0
		var all sync.WaitGroup
		for range 100 {
			all.Go(func() { expect(t, r, "a", "a1", nil) })
		}
		all.Go(func() { expect(t, r, "b", "b1", nil) })
		all.Wait()
		expect(t, r, "a", "a2", nil)
	})
}

func TestAValueIsKeptForMaxAgeAfterItsReadingEnded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := readings(new(store))
		expect(t, r, "a", "a1", nil)
		time.Sleep(r.MaxAge - time.Nanosecond)
		expect(t, r, "a", "a1", nil)
		time.Sleep(time.Nanosecond)
		expect(t, r, "a", "a2", nil)
	})
}

// An error is kept like a value, so that a failing store isn't read more often.
func TestAnErrorIsKeptLikeAValue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		down := errors.New("down")
		s := &store{fault: down}
		r := readings(s)
		expect(t, r, "a", "a1", down)
		s.fault = nil
		expect(t, r, "a", "a1", down)
		time.Sleep(r.MaxAge)
		expect(t, r, "a", "a2", nil)
	})
}

func TestAReadingGoesOnWhenTheFirstWhoAskedLeaves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := readings(new(store))
		ctx, leave := context.WithCancel(t.Context())
		left := make(chan error)
		go func() {
			_, err := r.Get(ctx, "a")
			left <- err
		}()
		synctest.Wait()
		leave()
		if err := <-left; !errors.Is(err, context.Canceled) {
			t.Errorf("the one who left: got %v, want %v", err, context.Canceled)
		}
		expect(t, r, "a", "a1", nil)
	})
}

func TestAReadingEndsAfterItsTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := readings(new(store))
		r.Timeout = time.Millisecond
		expect(t, r, "a", "", context.DeadlineExceeded)
	})
}

// A value may be large: a week of minutes, or all counters.
func TestOldValuesAndThoseBeyondMaxKeysAreDropped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := readings(new(store))
		for i := range 2 * r.MaxKeys {
			key := fmt.Sprint("key", i)
			expect(t, r, key, key+"1", nil)
			if n := len(r.byKey); n > 3 { // one that is read, and those of the last two seconds
				t.Fatalf("after %d readings of 1 s: got %d kept for %v, want 3 at most", i+1, n, r.MaxAge)
			}
		}
		r.MaxAge = time.Hour
		for i := range 2 * r.MaxKeys {
			if _, err := r.Get(t.Context(), fmt.Sprint("other", i)); err != nil {
				t.Fatal(err)
			}
		}
		if n := len(r.byKey); n != r.MaxKeys {
			t.Errorf("got %d values kept, want %d", n, r.MaxKeys)
		}
	})
}

func TestAPanicReachesThoseWhoAsked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := Readings[string, string]{Read: func(context.Context, string) (string, error) { panic("a fault of ours") }, Timeout: time.Minute, MaxKeys: 1}
		defer func() {
			if got := fmt.Sprint(recover()); !strings.Contains(got, "a fault of ours") || !strings.Contains(got, "recent_test.go") {
				t.Errorf("got the panic %q, want the reading's own with its stack", got)
			}
		}()
		_, err := r.Get(t.Context(), "a")
		t.Errorf("got %v, want a panic", err)
	})
}

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

// A store counts the readings of each key. A reading takes a second.
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

// newCache returns a cache of a store.
func newCache(s *store) *Cache[string, string] {
	return &Cache[string, string]{Read: s.read, MaxAge: 2 * time.Second, Timeout: time.Minute, MaxKeys: 10}
}

// expect fails the test unless Get returns want and fault.
func expect(t *testing.T, c *Cache[string, string], key, want string, fault error) {
	t.Helper()
	if got, err := c.Get(t.Context(), key); got != want || !errors.Is(err, fault) {
		t.Errorf("Get of %s: got %q, %v; want %q, %v", key, got, err, want, fault)
	}
}

func TestCallersThatAskDuringAReadingShareIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCache(new(store))
		c.MaxAge = 0
		var all sync.WaitGroup
		for range 100 {
			all.Go(func() { expect(t, c, "a", "a1", nil) })
		}
		all.Go(func() { expect(t, c, "b", "b1", nil) })
		all.Wait()
		expect(t, c, "a", "a2", nil)
	})
}

func TestAValueIsKeptForMaxAgeAfterItsReadingEnded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCache(new(store))
		expect(t, c, "a", "a1", nil)
		time.Sleep(c.MaxAge - time.Nanosecond)
		expect(t, c, "a", "a1", nil)
		time.Sleep(time.Nanosecond)
		expect(t, c, "a", "a2", nil)
	})
}

// An error is kept like a value, so that a failing store isn't read more often.
func TestAnErrorIsKeptLikeAValue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		down := errors.New("down")
		s := &store{fault: down}
		c := newCache(s)
		expect(t, c, "a", "a1", down)
		s.fault = nil
		expect(t, c, "a", "a1", down)
		time.Sleep(c.MaxAge)
		expect(t, c, "a", "a2", nil)
	})
}

func TestAReadingGoesOnWhenItsFirstCallerLeaves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCache(new(store))
		ctx, leave := context.WithCancel(t.Context())
		left := make(chan error)
		go func() {
			_, err := c.Get(ctx, "a")
			left <- err
		}()
		synctest.Wait()
		leave()
		if err := <-left; !errors.Is(err, context.Canceled) {
			t.Errorf("Get of the caller that left: got %v, want %v", err, context.Canceled)
		}
		expect(t, c, "a", "a1", nil)
	})
}

func TestAReadingEndsAfterItsTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCache(new(store))
		c.Timeout = time.Millisecond
		expect(t, c, "a", "", context.DeadlineExceeded)
	})
}

// Values may be large: a week of minutes, or all counters.
func TestOldValuesAndThoseBeyondMaxKeysAreDropped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCache(new(store))
		for i := range 2 * c.MaxKeys {
			key := fmt.Sprint("key", i)
			expect(t, c, key, key+"1", nil)
			if n := len(c.readings); n > 3 { // the last one, and those of the two seconds before
				t.Fatalf("after %d readings of 1 s: got %d values kept for %v, want at most 3", i+1, n, c.MaxAge)
			}
		}
		c.MaxAge = time.Hour
		for i := range 2 * c.MaxKeys {
			if _, err := c.Get(t.Context(), fmt.Sprint("other", i)); err != nil {
				t.Fatal(err)
			}
		}
		if n := len(c.readings); n != c.MaxKeys {
			t.Errorf("values kept: got %d, want %d", n, c.MaxKeys)
		}
	})
}

func TestAPanicReachesTheCallersOfGet(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := Cache[string, string]{Read: func(context.Context, string) (string, error) { panic("a fault of ours") }, Timeout: time.Minute, MaxKeys: 1}
		defer func() {
			if got := fmt.Sprint(recover()); !strings.Contains(got, "a fault of ours") || !strings.Contains(got, "recent_test.go") {
				t.Errorf("Get: got the panic %q, want that of Read, with its stack", got)
			}
		}()
		_, err := c.Get(t.Context(), "a")
		t.Errorf("Get: got %v, want a panic", err)
	})
}

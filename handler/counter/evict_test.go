package counter_test

import (
	"context"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"tollgate/handler/counter"
	"tollgate/handler/counter/memstore"
	"tollgate/handler/limit"
)

// callEach makes a call of each of some counters, and cancels those that are granted.
func callEach(t *testing.T, c *counter.Counter, prefix string, counters int, amount int64) {
	t.Helper()
	for i := range counters {
		r, _, err := c.One(t.Context(), prefix+strconv.Itoa(i), onDown(limit.Degrade, minute.Limits), limit.Ask{Amount: amount})
		if err != nil {
			t.Fatal(err)
		}
		if r != nil {
			r.Cancel()
		}
	}
}

func TestCountersOfRefusedCallsAreEvicted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := instance(memstore.New())
		callEach(t, c, "refused", 10_000, 301)
		for i := range 3 {
			time.Sleep(2 * time.Minute)
			callEach(t, c, strconv.Itoa(i)+"later", 1000, 1)
		}
		if got := c.InMemory(); got > 10_000 {
			t.Errorf("counters in memory: got %d, want at most 10,000", got)
		}
		if err := c.Close(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

// Calls of all counters wait while a new counter looks for others to evict.
func TestANewCounterExaminesFewOthersForEviction(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := instance(memstore.New())
		callEach(t, c, "idle", 10_000, 1)
		time.Sleep(2 * time.Minute)
		callEach(t, c, "new", 1, 1)
		if got := c.InMemory(); got < 9900 || got >= 10_000 {
			t.Errorf("counters in memory: got %d, want 9,900 to 9,999", got)
		}
		if err := c.Close(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

// While the store is down, each write would fail.
func TestNoCounterIsWrittenForItsEvictionWhileTheStoreIsDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, broken, c := breakable()
		broken.Store(true)
		callEach(t, c, "refused", 10_000, 301)
		time.Sleep(2 * time.Minute)
		before := c.Stats().Reads
		callEach(t, c, "new", 1, 301)
		time.Sleep(time.Minute)
		if got := c.Stats().Reads - before; got > 1 {
			t.Errorf("reads for a new counter: got %d, want at most 1, its own", got)
		}
		broken.Store(false)
		if err := c.Close(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

// What the call takes of the counter in the end would not be written when the instance stops.
func TestACounterIsNotEvictedWhileACallOfItWaitsAtAnother(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := memstore.New()
		c := instance(store)
		owed, _, err := c.One(t.Context(), "b", hundred, limit.Ask{Amount: 50})
		if err != nil || owed == nil {
			t.Fatalf("the first call: got %v, %v; want it granted", owed, err)
		}
		owed.Settle(350) // later minutes pay it
		patient := hundred
		patient.MaxWait = 10 * time.Minute
		done := make(chan struct{})
		go func() {
			defer close(done)
			held, _, err := c.Reserve(context.Background(), parts(patient, 60, "a", "b"))
			if err != nil || held == nil {
				t.Errorf("the call that waits: got %v, %v; want it granted", held, err)
				return
			}
			held.Settle([]int64{60, 60})
			if err := c.Close(context.Background()); err != nil {
				t.Error(err)
			}
		}()
		time.Sleep(2 * time.Minute)
		for i := range 13_000 {
			if _, _, err := c.One(t.Context(), strconv.Itoa(i), hundred, limit.Ask{Amount: 200}); err != nil {
				t.Fatal(err)
			}
		}
		<-done
		row, _, _, err := store.Load(t.Context(), "a")
		if err != nil || row.Spent != 60 {
			t.Errorf("charged to the counter at which the call didn't wait: got %d, %v; want 60", row.Spent, err)
		}
	})
}

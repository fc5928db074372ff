package counter_test

import (
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"tollgate/handler/counter"
	"tollgate/handler/counter/memstore"
	"tollgate/handler/limit"
)

// manyKeys makes one call for tokens on each of as many counters as keys says.
func manyKeys(t *testing.T, c *counter.Counter, prefix string, keys int, amount int64) {
	t.Helper()
	for i := range keys {
		r, _, err := c.One(t.Context(), prefix+strconv.Itoa(i), onDown(limit.Degrade, minute.Limits), limit.Ask{Amount: amount})
		if err != nil {
			t.Fatal(err)
		}
		if r != nil {
			r.Cancel()
		}
	}
}

// TestCountersOfRefusedCallsAreEvicted: they hold nothing.
func TestCountersOfRefusedCallsAreEvicted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := instance(memstore.New())
		manyKeys(t, c, "refused", 10_000, 301)
		for i := range 3 {
			time.Sleep(2 * time.Minute)
			manyKeys(t, c, strconv.Itoa(i)+"later", 1000, 1)
		}
		if got := c.Remembered(); got > 10_000 { // below 10,000, a new counter evicts none
			t.Errorf("counters remembered: got %d, want at most 10,000", got)
		}
		if err := c.Close(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

// TestANewCounterExaminesFewOthersForEviction even if all are busy, because calls
// of all counters wait meanwhile.
func TestANewCounterExaminesFewOthersForEviction(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := instance(memstore.New())
		manyKeys(t, c, "idle", 10_000, 1)
		time.Sleep(2 * time.Minute)
		manyKeys(t, c, "new", 1, 1)
		if got := c.Remembered(); got < 9900 || got >= 10_000 {
			t.Errorf("counters remembered: got %d, want 9,900 to 9,999", got)
		}
		if err := c.Close(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

// TestCountersAreNotFlushedForEvictionWhileTheStoreIsDown, because each write
// would fail.
func TestCountersAreNotFlushedForEvictionWhileTheStoreIsDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, broken, c := breakable()
		broken.Store(true)
		manyKeys(t, c, "refused", 10_000, 301)
		time.Sleep(2 * time.Minute)
		before := c.Stats().Reads
		manyKeys(t, c, "new", 1, 301)
		time.Sleep(time.Minute)
		if got := c.Stats().Reads - before; got > 1 { // the new counter's own read
			t.Errorf("reads of the store for a new counter: got %d, want at most 1", got)
		}
		broken.Store(false)
		if err := c.Close(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

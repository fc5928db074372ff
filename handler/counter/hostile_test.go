package counter_test

import (
	"math"
	"testing"
	"testing/synctest"
	"time"

	"tollgate/handler/counter"
	"tollgate/handler/counter/countertest"
	"tollgate/handler/limit"
)

// One call that asks for more than there ever is once made its instance take
// every later call for as large, and write for each of them.
func TestACallThatNeverFitsLeavesLeaseSizesAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		network := countertest.NewNetwork(0)
		c := instance(network.Link())
		terms := counter.Terms{Limits: limit.Limits{PerMinute: 1_000_000, Version: 1}}
		if _, d, err := c.One(t.Context(), "key", terms, limit.Ask{Amount: math.MaxInt64}); d.Verdict != limit.NeverFitsRate || err != nil {
			t.Fatalf("a call beyond the limit: got %v, %v; want NeverFitsRate, no error", d.Verdict, err)
		}
		for range 100 {
			r, _ := reserve(t, c, terms, 25)
			r.Settle(25)
			time.Sleep(20 * time.Millisecond)
		}
		if operations := network.Begun(); operations > 10 {
			t.Errorf("operations for 100 calls within two seconds: got %d, want at most 10", operations)
		}
		if err := c.Close(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

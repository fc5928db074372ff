package counter_test

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"tollgate/handler/counter"
	"tollgate/handler/counter/memstore"
	"tollgate/handler/limit"
)

// The calls wait at c, the counter that they fit last, and meanwhile hold nothing of a and b.
func TestACallThatWaitsHoldsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := memstore.New()
		c := instance(store)
		use(t, c, "b", 100)
		r, _, _ := c.One(t.Context(), "c", hundred, limit.Ask{Amount: 1})
		r.Settle(200) // two minutes' amounts
		time.Sleep(10 * time.Second)
		patient := hundred
		patient.MaxWait = 2 * time.Minute
		began := time.Now()
		var calls sync.WaitGroup
		served := make([]time.Duration, 3)
		for n := range served {
			calls.Go(func() {
				held, d, err := c.Reserve(t.Context(), parts(patient, 30, "a", "b", "c"))
				if err != nil || held == nil {
					t.Errorf("call %d: got %+v, %v; want it granted", n, d, err)
					return
				}
				served[n] = time.Since(began).Round(time.Second)
				held.Settle([]int64{30, 30, 30})
			})
			synctest.Wait()
		}
		use(t, c, "a", 50)
		use(t, c, "a", 50)
		time.Sleep(55 * time.Second)
		use(t, c, "b", 100) // in its next minute
		calls.Wait()
		if want := []time.Duration{110 * time.Second, 110 * time.Second, 110 * time.Second}; !slices.Equal(served, want) {
			t.Errorf("served after: got %v, want %v", served, want)
		}
		if got, want := charged(t, c, store, "a", "b", "c"), []int64{190, 290, 290}; !slices.Equal(got, want) {
			t.Errorf("charged: got %v, want %v", got, want)
		}
	})
}

func TestACallThatFitsNowhereInTimeIsRefusedAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := instance(memstore.New())
		use(t, c, "b", 100)
		r, _, _ := c.One(t.Context(), "c", hundred, limit.Ask{Amount: 1})
		r.Settle(200)
		time.Sleep(10 * time.Second)
		patient := hundred
		patient.MaxWait = time.Minute
		began := time.Now()
		held, d, err := c.Reserve(t.Context(), parts(patient, 30, "a", "b", "c"))
		if held != nil || err != nil || time.Since(began) > time.Second {
			t.Fatalf("a call that fits in 110s and may wait 60s: got %v, %+v, %v after %v; want it refused at once", held, d, err, time.Since(began))
		}
		if d[2].RetryAfter != 110*time.Second {
			t.Errorf("RetryAfter of c: got %v, want 1m50s", d[2].RetryAfter)
		}
	})
}

func TestAWaitingCallIsAnsweredWhenItsInstanceStopsOrItsCallerLeaves(t *testing.T) {
	for name, end := range map[string]func(c *counter.Counter, leave func()){
		"drain": func(c *counter.Counter, _ func()) { c.Drain() },
		"close": func(c *counter.Counter, _ func()) { _ = c.Close(context.Background()) },
		"leave": func(_ *counter.Counter, leave func()) { leave() },
	} {
		synctest.Test(t, func(t *testing.T) {
			store := memstore.New()
			c := instance(store)
			use(t, c, "b", 100)
			time.Sleep(10 * time.Second)
			patient := hundred
			patient.MaxWait = time.Minute
			ctx, leave := context.WithCancel(t.Context())
			began := time.Now()
			var calls sync.WaitGroup
			calls.Go(func() {
				held, d, err := c.Reserve(ctx, parts(patient, 30, "a", "b"))
				if left := errors.Is(err, context.Canceled); held != nil || left != (name == "leave") || !left && d[1].Verdict != limit.RateExceeded || time.Since(began) > 6*time.Second {
					t.Errorf("%s: got %v, %+v, %v after %v; want within 6s it refused, or context.Canceled if its caller left", name, held, d, err, time.Since(began))
				}
			})
			time.Sleep(5 * time.Second)
			end(c, leave)
			calls.Wait()
			leave()
			if name == "leave" {
				if r, d, err := c.One(t.Context(), "b", patient, limit.Ask{Amount: 80}); r == nil {
					t.Errorf("a call for 80 of b's next minute: got %+v, %v; want it granted", d, err)
				} else {
					r.Cancel()
				}
			}
			if got, want := charged(t, c, store, "a", "b"), []int64{0, 100}; !slices.Equal(got, want) {
				t.Errorf("%s: charged: got %v, want %v", name, got, want)
			}
		})
	}
}

// While a makes the call wait, b is only asked how it would decide, which sets nothing aside.
// When a fits the call before b has answered, b must still set the amount aside.
func TestACallThatACounterWasOnlyAskedAboutIsStillChargedThere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newPerKey()
		store.slow["b"] = 200 * time.Millisecond
		c := instance(store)
		all, _, err := c.One(t.Context(), "a", hundred, limit.Ask{Amount: 100})
		if all == nil || err != nil {
			t.Fatal(err)
		}
		time.AfterFunc(100*time.Millisecond, func() { all.Cancel() })
		patient := hundred
		patient.MaxWait = 2 * time.Minute
		began := time.Now()
		held, d, err := c.Reserve(t.Context(), parts(patient, 50, "a", "b"))
		if held == nil || err != nil || d[0].Amount != 50 || d[1].Amount != 50 || time.Since(began) > time.Second {
			t.Fatalf("a call for 50 of a and b: got %v, %+v, %v after %v; want it granted within a second", held, d, err, time.Since(began))
		}
		held.Settle([]int64{50, 50})
		if got, want := charged(t, c, store, "a", "b"), []int64{50, 50}; !slices.Equal(got, want) {
			t.Errorf("charged: got %v, want %v", got, want)
		}
	})
}

// The instance once looped for ever at the end of the second call's time. The first call claims
// the last 60 of a until b, which is slow, has decided; the second call fits a beside no claim,
// and is not refused because of one.
func TestACallWhoseTimeEndsBehindAClaimIsDecidedWhenTheClaimEnds(t *testing.T) {
	for _, taken := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			store := newPerKey()
			c := instance(store)
			use(t, c, "a", 40)
			if !taken {
				use(t, instance(store), "b", 100)
			}
			store.slow["b"] = 500 * time.Millisecond // a read and a write at most, or the store would be down
			var first sync.WaitGroup
			first.Go(func() {
				held, _, err := c.Reserve(t.Context(), parts(hundred, 60, "a", "b"))
				if err != nil || taken != (held != nil) {
					t.Errorf("the call for 60 of a and b: got %v, %v; want it granted: %t", held, err, taken)
				}
				held.Settle([]int64{60, 60})
			})
			time.Sleep(10 * time.Millisecond)
			patient := hundred
			patient.MaxWait = 100 * time.Millisecond
			began := time.Now()
			r, d, err := c.One(t.Context(), "a", patient, limit.Ask{Amount: 30})
			if took := time.Since(began); err != nil || taken == (r != nil) || took < 400*time.Millisecond || took > time.Second {
				t.Errorf("the call for 30 of a, which may wait 100ms: got %+v, %v after %v; want it when the claim ends, and granted: %t", d, err, took, !taken)
			}
			if r != nil {
				r.Settle(30)
			}
			first.Wait()
			if err := c.Close(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
}

// A claim is on a lease, which ends with its minute, even if the call that has it still waits
// for b, which is slow.
func TestACallBehindAClaimIsDecidedWhenTheMinuteEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newPerKey()
		c := instance(store)
		time.Sleep(59 * time.Second)
		use(t, c, "a", 40)
		time.Sleep(500 * time.Millisecond)
		store.slow["b"] = 500 * time.Millisecond // a read and a write
		var first sync.WaitGroup
		first.Go(func() {
			held, d, err := c.Reserve(t.Context(), parts(hundred, 60, "a", "b"))
			if err != nil || held == nil {
				t.Errorf("the call for 60 of a and b: got %+v, %v; want it granted", d, err)
			}
			held.Settle([]int64{60, 60})
		})
		time.Sleep(10 * time.Millisecond)
		began := time.Now()
		r, d, err := c.One(t.Context(), "a", hundred, limit.Ask{Amount: 30})
		if took := time.Since(began); err != nil || r == nil || took != 490*time.Millisecond {
			t.Errorf("the call for 30 of a: got %+v, %v after %v; want it granted when the minute ends, after 490ms", d, err, took)
		}
		if r != nil {
			r.Settle(30)
		}
		first.Wait()
		if err := c.Close(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

// The raise takes what the call for a and b has claimed of a while it waits for b, which is
// slow.
func TestACallBehindAClaimIsDecidedWhenARaiseTakesTheClaim(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newPerKey()
		c := instance(store)
		open, d, err := c.One(t.Context(), "a", hundred, limit.Ask{Amount: 40})
		if err != nil || open == nil {
			t.Fatalf("a call for 40 of a: got %+v, %v; want it granted", d, err)
		}
		store.slow["b"] = 500 * time.Millisecond // a read and a write
		var first sync.WaitGroup
		first.Go(func() {
			if held, d, err := c.Reserve(t.Context(), parts(hundred, 60, "a", "b")); held != nil || err != nil {
				t.Errorf("the call for 60 of a and b: got %+v, %v; want it refused", d, err)
			}
		})
		synctest.Wait()
		time.AfterFunc(100*time.Millisecond, func() { open.Raise(100) })
		began := time.Now()
		r, d, err := c.One(t.Context(), "a", hundred, limit.Ask{Amount: 30})
		if took := time.Since(began); r != nil || err != nil || took != 100*time.Millisecond {
			t.Errorf("the call for 30 of a: got %+v, %v after %v; want it refused after 100ms", d, err, took)
		}
		first.Wait()
		open.Settle(100)
		if err := c.Close(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

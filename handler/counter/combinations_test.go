package counter_test

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"tollgate/handler/counter"
	"tollgate/handler/limit"
)

// A behaviour is what a counter does with a call for 50.
type behaviour int

const (
	grants   behaviour = iota
	refuses            // and would for longer than the call may wait
	waits              // until the next minute
	breaks             // its store fails, and its tier is closed
	degrades           // its store fails, and its tier admits its share
	shadows            // it would refuse, in shadow
	behaviours
)

func (b behaviour) String() string {
	return []string{"grants", "refuses", "waits", "breaks", "degrades", "shadows"}[b]
}

// TestACallTakesAllOrNothing for every combination of what three counters do, first
// and once the instance knows them.
func TestACallTakesAllOrNothing(t *testing.T) {
	for n := range behaviours * behaviours * behaviours {
		each := []behaviour{n % behaviours, n / behaviours % behaviours, n / behaviours / behaviours}
		for _, known := range []bool{false, true} {
			t.Run(fmt.Sprint(each, known), func(t *testing.T) { synctest.Test(t, func(t *testing.T) { allOrNothing(t, each, known) }) })
		}
	}
}

func allOrNothing(t *testing.T, each []behaviour, known bool) {
	store := newPerKey()
	keys := []string{"a", "b", "c"}
	used := make([]int64, len(each)) // an independent book
	asks := parts(hundred, 50, keys...)
	earlier := instance(store)
	for i, b := range each {
		asks[i].Terms.MaxWait = time.Minute
		switch b {
		case waits:
			used[i] = 100
		case refuses, shadows:
			used[i] = 300
			asks[i].Ask.Shadow = b == shadows
		case degrades:
			asks[i].Terms.OnStoreDown = limit.Degrade
			used[i] = 10
		default:
			used[i] = 10
		}
		r, _, err := earlier.One(t.Context(), keys[i], hundred, limit.Ask{Amount: 1})
		if err != nil {
			t.Fatal(err)
		}
		r.Settle(used[i])
		synctest.Wait()
	}
	c := earlier
	if !known {
		if err := earlier.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		c = instance(store)
	}
	for i, b := range each {
		store.mu.Lock()
		store.broken[keys[i]] = b == breaks || b == degrades
		store.mu.Unlock()
	}
	began := time.Now()
	held, decisions, err := c.Reserve(t.Context(), asks)
	waited := time.Since(began)
	has := func(b behaviour) bool { return slices.Contains(each, b) }
	anyDown := has(breaks) || has(degrades)
	switch {
	case err != nil:
		if !has(breaks) || !errors.Is(err, counter.ErrUnavailable) {
			t.Errorf("got the error %v, want one only where a counter breaks", err)
		}
	case held == nil:
		if !has(refuses) && !anyDown { // a share may be too small
			t.Errorf("got it refused, %v, want that only where a counter refuses", verdicts(decisions))
		}
		for i, b := range each {
			if (b == refuses) != (decisions[i].Verdict != limit.Granted) && !anyDown && b != shadows && b != waits {
				t.Errorf("the decision of the counter that %s: got %+v", b, decisions[i])
			}
		}
	default:
		if has(refuses) && !anyDown || has(breaks) && !known {
			t.Errorf("got it granted, %+v, want that only where none refuses and none breaks", decisions)
		}
		if has(waits) && !anyDown && waited < 55*time.Second {
			t.Errorf("got it granted after %v, want it to wait for the next minute", waited)
		}
	}
	for i := range held {
		held[i].Settle(40)
		if each[i] != shadows || decisions[i].Verdict == limit.Granted {
			used[i] += 40
		}
	}
	store.mu.Lock()
	clear(store.broken)
	store.mu.Unlock()
	time.Sleep(20 * time.Second)
	if got := charged(t, c, store, keys...); !slices.Equal(got, used) {
		t.Errorf("charged: got %v, want %v (granted: %v, error: %v)", got, used, held != nil, err)
	}
}

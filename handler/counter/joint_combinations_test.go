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

// A behaviour is one way in which a counter treats a call for 50.
type behaviour int

const (
	grants   behaviour = iota
	refuses            // and would for longer than the call may wait
	waits              // until the next minute
	breaks             // its store fails, and the terms are FailClosed
	degrades           // its store fails, and the terms are Degrade
	shadows            // like refuses, but in shadow
	behaviours
)

func (b behaviour) String() string {
	return []string{"grants", "refuses", "waits", "breaks", "degrades", "shadows"}[b]
}

// The call needs three counters, of each combination of behaviours, by an instance that has
// or hasn't read them before.
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
	used := make([]int64, len(each)) // of each counter, in all
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
	var broken []string
	for i, b := range each {
		if b == breaks || b == degrades {
			broken = append(broken, keys[i])
		}
	}
	store.breakAll(broken...)
	began := time.Now()
	held, decisions, err := c.Reserve(t.Context(), asks)
	waited := time.Since(began)
	has := func(b behaviour) bool { return slices.Contains(each, b) }
	anyDown := len(broken) > 0
	switch {
	case err != nil:
		if !has(breaks) || !errors.Is(err, counter.ErrUnavailable) {
			t.Errorf("Reserve: got %v, want ErrUnavailable, and only if a counter breaks", err)
		}
	case held == nil:
		if !has(refuses) && !anyDown { // the share of a counter that is down may be too small
			t.Errorf("Reserve: got the verdicts %v without reservations, want that only if a counter refuses", verdicts(decisions))
		}
		for i, b := range each {
			if (b == refuses) != (decisions[i].Verdict != limit.Granted) && !anyDown && b != shadows && b != waits {
				t.Errorf("decision of the counter that %s: got %+v, want it refused: %t", b, decisions[i], b == refuses)
			}
		}
	default:
		if has(refuses) && !anyDown || has(breaks) && !known {
			t.Errorf("Reserve: got reservations, with %+v, want that only if no counter refuses or breaks", decisions)
		}
		if has(waits) && !anyDown && waited < 55*time.Second {
			t.Errorf("Reserve: got reservations after %v, want them in the next minute", waited)
		}
	}
	for i := range held {
		held[i].Settle(40)
		if each[i] != shadows || decisions[i].Verdict == limit.Granted {
			used[i] += 40
		}
	}
	store.breakAll()
	time.Sleep(20 * time.Second)
	if got := charged(t, c, store, keys...); !slices.Equal(got, used) {
		t.Errorf("charged: got %v, want %v (granted: %v, error: %v)", got, used, held != nil, err)
	}
}

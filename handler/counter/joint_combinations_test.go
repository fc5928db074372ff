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
	c := instance(store)
	asks, used := prepare(t, c, each, keys)
	if !known {
		if err := c.Close(t.Context()); err != nil {
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
	switch {
	case err != nil:
		if !slices.Contains(each, breaks) || !errors.Is(err, counter.ErrUnavailable) {
			t.Errorf("Reserve: got %v, want ErrUnavailable, and only if a counter breaks", err)
		}
	case held == nil:
		checkRefused(t, each, decisions)
	default:
		checkGranted(t, each, known, waited)
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

// prepare has a call use as much of each counter as its behaviour needs. It returns what the
// tested call asks, and what was used.
func prepare(t *testing.T, c *counter.Counter, each []behaviour, keys []string) (asks []counter.Part, used []int64) {
	asks = parts(hundred, 50, keys...)
	for i, b := range each {
		asks[i].Terms.MaxWait = time.Minute
		amount := int64(10)
		switch b {
		case waits:
			amount = 100
		case refuses, shadows:
			amount = 300
			asks[i].Ask.Shadow = b == shadows
		case degrades:
			asks[i].Terms.OnStoreDown = limit.Degrade
		}
		r, d, err := c.One(t.Context(), keys[i], hundred, limit.Ask{Amount: 1})
		if err != nil || r == nil {
			t.Fatalf("a call of %s: got %+v, %v; want it granted", keys[i], d, err)
		}
		r.Settle(amount)
		synctest.Wait()
		used = append(used, amount)
	}
	return asks, used
}

// anyDown reports whether the store of a counter fails. The share of a counter that degrades
// may be too small for the call.
func anyDown(each []behaviour) bool {
	return slices.Contains(each, breaks) || slices.Contains(each, degrades)
}

// checkRefused checks the decisions of a call that was refused.
func checkRefused(t *testing.T, each []behaviour, decisions []limit.Decision) {
	if anyDown(each) {
		return
	}
	if !slices.Contains(each, refuses) {
		t.Errorf("Reserve: got the verdicts %v without reservations, want that only if a counter refuses", verdicts(decisions))
	}
	for i, b := range each {
		if (b == refuses) != (decisions[i].Verdict != limit.Granted) && b != shadows && b != waits {
			t.Errorf("decision of the counter that %s: got %+v, want it refused: %t", b, decisions[i], b == refuses)
		}
	}
}

// checkGranted checks that a call could be granted, after this wait.
func checkGranted(t *testing.T, each []behaviour, known bool, waited time.Duration) {
	if slices.Contains(each, refuses) && !anyDown(each) || slices.Contains(each, breaks) && !known {
		t.Error("Reserve: got reservations, want them only if no counter refuses or breaks")
	}
	if slices.Contains(each, waits) && !anyDown(each) && waited < 55*time.Second {
		t.Errorf("Reserve: got reservations after %v, want them in the next minute", waited)
	}
}

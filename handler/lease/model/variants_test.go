package model

import (
	"slices"
	"testing"
)

// TestTheSearchFindsTheHarmOfEachRuleThatIsLeftOut shows that the search can fail: it
// finds a broken promise in each world that leaves out a rule. With -short, it skips the
// world that has two thirds of all states.
func TestTheSearchFindsTheHarmOfEachRuleThatIsLeftOut(t *testing.T) {
	if raceDetector {
		t.Skip("there is no concurrency to check, and it takes minutes")
	}
	worlds := Variants()
	if testing.Short() {
		worlds = slices.DeleteFunc(worlds, func(w World) bool { return w.Wrong == GivenTwice })
	}
	results, _ := Exhaust(worlds)
	for i, r := range results {
		t.Logf("%s: %v", worlds[i].Name, r)
		if r.Violation == "" {
			t.Errorf("%s: got no broken promise, want %s broken", worlds[i].Name, worlds[i].Harm)
		}
	}
}

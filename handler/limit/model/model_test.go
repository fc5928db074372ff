package model

import (
	"testing"
	"time"
)

// TestEveryInterleavingKeepsThePromises visits every state of every world. Under
// the race detector, which is many times slower and has no concurrency to check
// here, instances write less often.
func TestEveryInterleavingKeepsThePromises(t *testing.T) {
	worlds := Worlds()
	if raceDetector || testing.Short() {
		for i := range worlds {
			worlds[i].Builds--
		}
	}
	begun := time.Now()
	results, states := Exhaust(worlds)
	for i, r := range results {
		t.Logf("%-32s %v", worlds[i].Name, r)
		if r.Violation != "" {
			t.Errorf("world %q: got a broken rule, %s; want none", worlds[i].Name, r.Violation)
		}
	}
	t.Logf("model_states %d in %v", states, time.Since(begun).Round(time.Millisecond))
	if states < 10_000 {
		t.Errorf("states visited: got %d, want at least 10,000", states)
	}
}

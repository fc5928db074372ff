package model

import (
	"testing"
	"time"
)

// TestEveryInterleavingKeepsThePromises visits every state of every world. With -short,
// and under the race detector, which is many times slower and has no concurrency to check
// here, there is one call less.
func TestEveryInterleavingKeepsThePromises(t *testing.T) {
	worlds := Worlds()
	for i := range worlds {
		if (raceDetector || testing.Short()) && worlds[i].Callers.Calls > 1 {
			worlds[i].Callers.Calls--
		}
	}
	begun := time.Now()
	results, states := Exhaust(worlds)
	for i, r := range results {
		t.Logf("%-45s %v", worlds[i].Name, r)
		if r.Violation != "" {
			t.Errorf("world %q: got a broken promise, %s; want none", worlds[i].Name, r.Violation)
		}
	}
	t.Logf("%d states in %v", states, time.Since(begun).Round(time.Millisecond))
	if states < 10_000 {
		t.Errorf("states visited: got %d, want at least 10,000", states)
	}
}

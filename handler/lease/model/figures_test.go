//go:build figures

package model

import (
	"fmt"
	"os"
	"testing"
	"time"
)

// TestFigures counts the states that the proof visits, for make bench-counters, and
// appends the number to the file named by FIGURES. It is built with the tag figures only.
func TestFigures(t *testing.T) {
	worlds, begun := Worlds(), time.Now()
	results, states := Exhaust(worlds)
	for i, r := range results {
		fmt.Printf("%-48s %8d states, %2d steps deep\n", worlds[i].Name, r.States, r.Depth)
		if r.Violation != "" {
			t.Errorf("world %q: got a broken promise, %v; want none", worlds[i].Name, r)
		}
	}
	fmt.Printf("%d distinct states of %d small worlds in %v: no promise broken\n", states, len(worlds), time.Since(begun).Round(time.Second))
	variants := Variants()
	found := 0
	harms, _ := Exhaust(variants)
	for i, r := range harms {
		if r.Violation == "" {
			t.Errorf("world %q: got no broken promise, want %s broken", variants[i].Name, variants[i].Harm)
			continue
		}
		found++
	}
	fmt.Printf("%d rules left out, one at a time: harm found in each of %d\n", len(variants), found)
	file, err := os.OpenFile(os.Getenv("FIGURES"), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if _, err := fmt.Fprintf(file, "figure model_states %d\nfigure model_worlds %d\nfigure model_rules_left_out %d\n", states, len(worlds), found); err != nil {
		t.Fatal(err)
	}
}

//go:build figures

package model

import (
	"fmt"
	"os"
	"testing"
)

// TestFigures counts the states that the proof visits, for make bench-counters, and adds
// the number to the file that FIGURES names. It is built with the tag figures alone.
func TestFigures(t *testing.T) {
	states, err := States()
	if err != nil {
		t.Error(err)
	}
	fmt.Printf("%d distinct states of small worlds: no rule broken\n", states)
	file, err := os.OpenFile(os.Getenv("FIGURES"), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if _, err := fmt.Fprintf(file, "figure model_states %d\n", states); err != nil {
		t.Fatal(err)
	}
}

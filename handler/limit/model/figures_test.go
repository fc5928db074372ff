package model

import (
	"fmt"
	"os"
	"testing"
)

// TestFigures writes the figures of make bench-counters to the file that it names.
func TestFigures(t *testing.T) {
	name := os.Getenv("FIGURES")
	if name == "" {
		t.Skip("make bench-counters runs this")
	}
	states, err := States()
	if err != nil {
		t.Error(err)
	}
	fmt.Printf("%d distinct states of small worlds: no rule broken\n", states)
	file, err := os.OpenFile(name, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if _, err := fmt.Fprintf(file, "figure model_states %d\n", states); err != nil {
		t.Fatal(err)
	}
}

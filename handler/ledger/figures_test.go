//go:build figures

package ledger_test

import (
	"fmt"
	"os"
	"testing"
	"time"
)

// TestFigures prints what make bench-counters shows of the ledger, in virtual time,
// operations of 12.5 ms. It is built with the tag figures alone; it is a test because only
// a test has virtual time.
func TestFigures(t *testing.T) {
	file, err := os.OpenFile(os.Getenv("FIGURES"), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	fmt.Printf("%-44s %9s %9s %9s\n", "table operations of usage, per 1,000 calls", "calls", "ledger", "upkeep")
	row := func(name string, w traffic) cost {
		c := w.run(t)
		fmt.Printf("%-44s %9d %9.1f %9.1f\n", name, c.calls, c.per(1000, c.ledger), c.per(1000, c.housekeeping))
		return c
	}
	busy := row("500 calls/s of one subscription, 16 instances", hot(5*time.Minute))
	one := row("a lone call", lone)
	crowd := row("10,000 subscriptions, a call a minute each", many(5*time.Minute))
	for name, value := range map[string]float64{
		"ledger_ops_per_1000_n16":       busy.per(1000, busy.ledger),
		"housekeeping_ops_per_1000_n16": busy.per(1000, busy.housekeeping),
		"ledger_ops_lone_call":          one.per(1, one.ledger),
		"ledger_ops_per_call_10000":     crowd.per(1, crowd.ledger),
	} {
		if _, err := fmt.Fprintf(file, "figure %s %.4g\n", name, value); err != nil {
			t.Fatal(err)
		}
	}
}

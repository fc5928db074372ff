package counter_test

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"tollgate/handler/counter"
	"tollgate/handler/counter/memstore"
	"tollgate/handler/limit"
)

// The test runs the steps of docs/counters.md, and compares the outcomes with its table.
func TestTheDocumentedExampleOfSeveralLimitsIsTrue(t *testing.T) {
	page, err := os.ReadFile("../../docs/counters.md")
	if err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		store := memstore.New()
		c, other := instance(store), instance(store)
		terms := counter.Terms{Limits: limit.Limits{PerMinute: 1000, Version: 1}}
		one, _, err := other.One(t.Context(), "research@tokens", terms, limit.Ask{Amount: 600})
		if err != nil || one == nil {
			t.Fatalf("the other subscription's call: got %v, %v; want it granted", one, err)
		}
		one.Settle(600)
		time.Sleep(10 * time.Second) // until the other instance has reported
		keys := []string{"team-a/tokens", "research@tokens"}
		for step, call := range []struct {
			asks    int64
			wait    time.Duration
			becomes string
		}{{300, 0, "granted"}, {300, 0, "refused"}, {80, 0, "granted"}, {300, time.Minute, "granted"}} {
			terms.MaxWait = call.wait
			parts := make([]counter.Part, 2)
			for i, key := range keys {
				parts[i] = counter.Part{Key: key, Terms: terms, Ask: limit.Ask{Amount: call.asks}}
			}
			held, _, err := c.Reserve(t.Context(), parts)
			if err != nil {
				t.Fatal(err)
			}
			became := "refused"
			if held != nil {
				became = "granted"
			}
			if became != call.becomes {
				t.Errorf("call %d: got it %s, want it %s", step+1, became, call.becomes)
			}
			own, _ := c.Known(keys[0])
			group, _ := c.Known(keys[1])
			line := fmt.Sprintf("| %d | %d | %s | %s | %d | %d |", step+1, call.asks, c.Now().Format("15:04"), became, own.Used, group.Used)
			if !strings.Contains(string(page), line) {
				t.Errorf("docs/counters.md: got another line for call %d, want\n%s", step+1, line)
			}
		}
		if err := c.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
	})
}

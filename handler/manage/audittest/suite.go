// Package audittest tests implementations of manage.Audit. Each calls Run from a test.
package audittest

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"tollgate/handler/manage"
)

// Run tests an implementation, starting with an empty audit.
func Run(t *testing.T, audit manage.Audit) {
	ctx := t.Context()
	if events, next, err := audit.Events(ctx, "", "", 10); len(events) != 0 || next != "" || err != nil {
		t.Fatalf("an empty audit lists %v, next %q, %v; want nothing", events, next, err)
	}
	want := manage.Event{When: time.Now().UTC().Truncate(time.Microsecond), Who: "ann's \"own\"", Action: "tier.change", Target: "gold",
		Changes: map[string]manage.Change{"tokensPerMinute": {From: 300.0, To: 500.0}, "name": {To: "Ä"}}}
	var ids []string
	for i := range 5 {
		e := want
		e.When = want.When.Add(time.Duration(i) * time.Millisecond)
		e.Target = []string{"gold", "silver"}[i%2]
		id, err := audit.Begin(ctx, e)
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, id)
	}
	for i, outcome := range []manage.Outcome{manage.Done, manage.Refused} {
		if err := audit.End(ctx, ids[i], outcome); err != nil {
			t.Fatal(err)
		}
	}
	checkPages(t, audit, ids)
	events, _, err := audit.Events(ctx, "", ids[1], 1)
	want.ID, want.Outcome = ids[0], manage.Done
	if err != nil || len(events) != 1 {
		t.Fatalf("the last page is %v, %v; want one event", events, err)
	}
	if diff := cmp.Diff(want, events[0]); diff != "" {
		t.Errorf("the oldest event (-want +got):\n%s", diff)
	}
}

// checkPages reads all events, and those of one target, in pages of two.
func checkPages(t *testing.T, audit manage.Audit, ids []string) {
	t.Helper()
	for target, want := range map[string]string{
		"":       "4 unknown, 3 unknown; 2 unknown, 1 refused; 0 done",
		"gold":   "4 unknown, 2 unknown; 0 done",
		"silver": "3 unknown, 1 refused",
		"it's":   "",
	} {
		got, after := "", ""
		for {
			events, next, err := audit.Events(t.Context(), target, after, 2)
			if err != nil {
				t.Fatal(err)
			}
			for i, e := range events {
				if i > 0 {
					got += ", "
				}
				for n, id := range ids {
					if id == e.ID {
						got += fmt.Sprint(n, " ", e.Outcome)
					}
				}
			}
			if after = next; after == "" {
				break
			}
			got += "; "
		}
		if got != want {
			t.Errorf("events of %q are %q, want %q", target, got, want)
		}
	}
}

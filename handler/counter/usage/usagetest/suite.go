// Package usagetest tests implementations of usage.Store. Start with Run.
package usagetest

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"tollgate/handler/counter/usage"
	"tollgate/handler/limit"
)

// Run tests the stores that open makes, an empty one for each test.
func Run(t *testing.T, open func(t *testing.T) usage.Store) {
	t.Run("an empty store", func(t *testing.T) { empty(t, open(t)) })
	t.Run("a row comes back as it was put, once", func(t *testing.T) { once(t, open(t)) })
	t.Run("rows of a counter, of an owner, of all", func(t *testing.T) { chosen(t, open(t)) })
	t.Run("more rows than a page holds", func(t *testing.T) { paged(t, open(t)) })
	t.Run("rows past retention", func(t *testing.T) { deleted(t, open(t)) })
}

// start is the time of minute 0 of the tests.
var start = time.Date(2026, 11, 24, 18, 0, 0, 0, time.UTC)

// row is a counter's row of a minute after start.
func row(key string, minute int64) usage.Row {
	minute += start.Unix() / 60
	return usage.Row{Counter: key, Epoch: "e-1_", Closed: limit.Closed{Minute: minute, From: minute, Requests: minute}}
}

func put(t *testing.T, s usage.Store, rows ...usage.Row) {
	t.Helper()
	for _, r := range rows {
		if err := s.PutClosed(t.Context(), r.Counter, r.Epoch, r.Closed); err != nil {
			t.Fatalf("PutClosed %s %d: %v", r.Counter, r.Minute, err)
		}
	}
}

func collect(t *testing.T, s usage.Store, q usage.Query) (rows []usage.Row) {
	t.Helper()
	for r, err := range s.Rows(t.Context(), q) {
		if err != nil {
			t.Fatalf("Rows %+v: %v", q, err)
		}
		rows = append(rows, r)
	}
	return rows
}

func want(t *testing.T, s usage.Store, q usage.Query, rows ...usage.Row) {
	t.Helper()
	if diff := cmp.Diff(rows, collect(t, s, q)); diff != "" {
		t.Errorf("Rows %+v (-want +got):\n%s", q, diff)
	}
}

func empty(t *testing.T, s usage.Store) {
	want(t, s, usage.Query{})
	if n, err := s.DeleteBefore(t.Context(), start); n != 0 || err != nil {
		t.Errorf("DeleteBefore = %d, %v; want 0", n, err)
	}
}

func once(t *testing.T, s usage.Store) {
	full := usage.Row{Counter: "gold:client-ip=2001:db8::1/header:x=ä'%2F b", Epoch: "e-1_", Closed: limit.Closed{
		Minute: start.Unix() / 60, From: start.Unix()/60 - 3, Usage: limit.Usage{PromptTokens: 1<<53 + 1, CompletionTokens: 2}, Requests: 3, Refused: 4, Forfeited: 5, Charged: 6}}
	put(t, s, full)
	changed := full
	changed.PromptTokens = 7
	put(t, s, changed)
	want(t, s, usage.Query{Counter: full.Counter}, full)
	again := full
	again.Epoch = "other"
	put(t, s, again)
	want(t, s, usage.Query{Counter: full.Counter}, full, again)
}

func chosen(t *testing.T, s usage.Store) {
	a := []usage.Row{row("team-a", -1), row("team-a", 0), row("team-a", 1), row("team-a", 10)}
	model, longer, tier := row("team-a/model=m", 0), row("team-a-b", 0), row("team-a:model=m", 0)
	put(t, s, tier, longer, model, a[3], a[1], a[2], a[0])
	want(t, s, usage.Query{Counter: "team-a"}, a...)
	want(t, s, usage.Query{Counter: "team-a", From: start, To: start.Add(10 * time.Minute)}, a[1], a[2])
	want(t, s, usage.Query{Counter: "team-a", From: start.Add(time.Minute)}, a[2], a[3])
	want(t, s, usage.Query{Counter: "team-a", To: start.Add(time.Second)}, a[0], a[1])
	want(t, s, usage.Query{Owner: limit.Owner{Subscription: "team-a"}, From: start}, a[1], a[2], a[3], model)
	want(t, s, usage.Query{Owner: limit.Owner{Tier: "team-a"}}, tier)
	if got := collect(t, s, usage.Query{From: start, To: start.Add(time.Minute)}); len(got) != 4 {
		t.Errorf("%d rows of all counters in a minute, want 4", len(got))
	}
	for range s.Rows(t.Context(), usage.Query{}) {
		break // a reader may stop early
	}
}

// many is more than the 1,000 rows that Table Storage gives at once.
const many = 1003

func paged(t *testing.T, s usage.Store) {
	var wanted []usage.Row
	for i := range many {
		wanted = append(wanted, row("team-a", int64(i)))
	}
	put(t, s, wanted...)
	if got := collect(t, s, usage.Query{Owner: limit.Owner{Subscription: "team-a"}}); !slices.Equal(got, wanted) {
		t.Errorf("%d rows, want %d in their order", len(got), many)
	}
}

func deleted(t *testing.T, s usage.Store) {
	var kept []usage.Row
	for i := range 3 {
		key := fmt.Sprintf("team-%d", i)
		for minute := range int64(120 * i) { // more than a batch holds, fewer, and none
			put(t, s, row(key, minute-300))
		}
		kept = append(kept, row(key, 0))
	}
	put(t, s, kept...)
	if n, err := s.DeleteBefore(t.Context(), start); n != 360 || err != nil {
		t.Errorf("DeleteBefore = %d, %v; want 360", n, err)
	}
	want(t, s, usage.Query{}, kept...)
	if n, err := s.DeleteBefore(t.Context(), start); n != 0 || err != nil {
		t.Errorf("DeleteBefore again = %d, %v; want 0", n, err)
	}
}

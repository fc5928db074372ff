// Package ledgertest tests implementations of ledger.Store (Run), and fills stores for the
// tests of other packages (Record).
package ledgertest

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"tollgate/handler/ledger"
)

// Run runs all tests on stores. open returns a new empty one.
func Run(t *testing.T, open func(t *testing.T) ledger.Store) {
	t.Run("an empty store has no rows", func(t *testing.T) { want(t, open(t), ledger.SubscriptionPartition("team-a"), "", "") })
	t.Run("a row is read back with every field", func(t *testing.T) { roundTrip(t, open(t)) })
	t.Run("rows are changed only at their current versions", func(t *testing.T) { versions(t, open(t)) })
	t.Run("a transaction changes all of its rows or none", func(t *testing.T) { atomic(t, open(t)) })
	t.Run("changes that can't be one transaction are refused", func(t *testing.T) { refused(t, open(t)) })
	t.Run("names may contain any characters", func(t *testing.T) { names(t, open(t)) })
	t.Run("Rows yields the rows in a range of keys, sorted", func(t *testing.T) { ranges(t, open(t)) })
	t.Run("Rows yields more rows than fit on a page", func(t *testing.T) { pages(t, open(t)) })
	t.Run("Partitions yields the partitions in a range, sorted", func(t *testing.T) { partitions(t, open(t)) })
	t.Run("a sum may have taken rows of a thousand processes", func(t *testing.T) { manyProcesses(t, open(t)) })
	t.Run("a stored row shares no map with its writer or readers", func(t *testing.T) { noSharing(t, open(t)) })
}

// Start is the time of minute 0, as counted by Row.
var Start = time.Date(2026, 11, 24, 18, 0, 0, 0, time.UTC)

// Row returns team-a's row of a minute after Start, as a process would first write it.
func Row(minute int64, process string) ledger.Row {
	return ledger.Row{Key: ledger.Key{Subscription: "team-a", Model: "DeepSeek-R1", Span: ledger.Minute, Start: Start.Unix()/60 + minute},
		Process: process, Revision: 1, Totals: ledger.Totals{Calls: 1, PromptTokens: 10 + minute, CompletionTokens: 5}}
}

// full returns a row with a value in every column.
func full() ledger.Row {
	row := Row(0, ledger.Sum)
	row.Revision = 1 << 40
	row.Taken = map[string]ledger.Taken{"P1": {Revision: 3}, "P2": {Revision: 1 << 40, Totals: ledger.Totals{Calls: 1, RefusedBy: map[string]int64{"tokens": 4}, PromptTokens: 1<<53 + 1, Cost: 1<<53 + 1}}}
	row.Totals = ledger.Totals{Calls: 1, Failed: 2, UnknownUsage: 3, Shadowed: 4, Refused: 5, RefusedBy: map[string]int64{"tokens": 4, `a "quoted" name`: 5, ledger.OtherLimits: 1},
		PromptTokens: 1<<53 + 1, CachedTokens: 7, CacheWriteTokens: 8, CompletionTokens: 9, ReasoningTokens: 10,
		Cost: 1<<62 + 1, Unpriced: 11}
	return row
}

// apply makes changes that must succeed, and returns the rows as they are then stored.
func apply(t *testing.T, s ledger.Store, changes ...ledger.Change) (stored []ledger.Row) {
	t.Helper()
	versions, err := s.Apply(t.Context(), changes)
	if err != nil || len(versions) != len(changes) {
		t.Fatalf("Apply of %d changes: got %d versions, %v; want one for each, no error", len(changes), len(versions), err)
	}
	for i, c := range changes {
		if c.Delete {
			continue
		}
		if versions[i] == "" || versions[i] == c.Version {
			t.Errorf("Apply, change %d: got the version %q after %q, want a new one", i, versions[i], c.Version)
		}
		c.Row.Version = versions[i]
		stored = append(stored, c.Row)
	}
	return stored
}

// insert adds rows.
func insert(t *testing.T, s ledger.Store, rows ...ledger.Row) []ledger.Row {
	t.Helper()
	changes := make([]ledger.Change, len(rows))
	for i, row := range rows {
		changes[i].Row = row
	}
	return apply(t, s, changes...)
}

// want checks that a range has exactly the given rows, with their versions, and that they were
// written just now.
func want(t *testing.T, s ledger.Store, partition, from, to string, rows ...ledger.Row) {
	t.Helper()
	var got []ledger.Row
	for row, err := range s.Rows(t.Context(), partition, from, to) {
		if err != nil {
			t.Fatalf("Rows: %v", err)
		}
		if ago := time.Since(row.Written).Abs(); ago > time.Minute {
			t.Errorf("row %s: written at %s, %s from now; want it within a minute", row.RowKey(), row.Written, ago)
		}
		got = append(got, row)
	}
	if diff := cmp.Diff(rows, got, cmpopts.EquateEmpty(), cmpopts.IgnoreFields(ledger.Row{}, "Written")); diff != "" {
		t.Errorf("Rows of %q from %q to %q (-want +got):\n%s", partition, from, to, diff)
	}
}

func wantError(t *testing.T, s ledger.Store, wanted error, what string, changes ...ledger.Change) {
	t.Helper()
	if versions, err := s.Apply(t.Context(), changes); !errors.Is(err, wanted) || versions != nil {
		t.Errorf("%s: got versions %v and error %v, want error %v alone", what, versions, err, wanted)
	}
}

func roundTrip(t *testing.T, s ledger.Store) {
	row := full()
	stored := insert(t, s, row)
	want(t, s, row.Partition(), "", "", stored...)
	next := stored[0]
	next.Totals, next.Taken, next.Revision = ledger.Totals{Calls: 2}, nil, 2
	want(t, s, row.Partition(), "", "", apply(t, s, ledger.Change{Row: next})...)

	headline, hour, day := full(), full(), full()
	headline.Subscription, hour.Span, day.Span = "", ledger.Hour, ledger.Day
	across := ledger.DayPartition(Start)
	both := insert(t, s, day, headline) // one transaction
	want(t, s, across, "", "", both...)
	if hour.Partition() != row.Partition() {
		t.Errorf("an hour's partition: got %q, want the subscription's %q", hour.Partition(), row.Partition())
	}
}

func versions(t *testing.T, s ledger.Store) {
	first := insert(t, s, Row(0, "P1"))[0]
	wantError(t, s, ledger.ErrConflict, "insert a row that is there", ledger.Change{Row: Row(0, "P1")})
	second := apply(t, s, ledger.Change{Row: first})[0]
	wantError(t, s, ledger.ErrConflict, "replace an older version", ledger.Change{Row: first})
	wantError(t, s, ledger.ErrConflict, "delete an older version", ledger.Change{Row: first, Delete: true})
	want(t, s, second.Partition(), "", "", second)
	apply(t, s, ledger.Change{Row: second, Delete: true})
	want(t, s, second.Partition(), "", "")
	wantError(t, s, ledger.ErrNotFound, "replace a row that is gone", ledger.Change{Row: second})
	wantError(t, s, ledger.ErrNotFound, "delete a row that is gone", ledger.Change{Row: second, Delete: true})
}

func atomic(t *testing.T, s ledger.Store) {
	rows := insert(t, s, Row(0, "P1"), Row(0, "P2"), Row(1, "P1"))
	stale := rows[0]
	rows[0] = apply(t, s, ledger.Change{Row: stale})[0]
	sum := Row(0, ledger.Sum)
	roll := func(first ledger.Row) []ledger.Change {
		return []ledger.Change{{Row: sum}, {Row: rows[1], Delete: true}, {Row: first, Delete: true}}
	}
	wantError(t, s, ledger.ErrConflict, "a transaction with one older version", roll(stale)...)
	gone := Row(9, "P9")
	gone.Version = rows[0].Version
	wantError(t, s, ledger.ErrNotFound, "a transaction with one row that is gone", roll(gone)...)
	want(t, s, stale.Partition(), "", "", rows...)
	stored := apply(t, s, roll(rows[0])...)
	want(t, s, stale.Partition(), "", "", rows[2], stored[0])

	var many []ledger.Row
	for i := range ledger.MaxChanges {
		many = append(many, Row(100+int64(i), "P1"))
	}
	many = insert(t, s, many...)
	want(t, s, stale.Partition(), many[0].RowKey(), ledger.FirstSumKey(Start), many...)
}

func refused(t *testing.T, s ledger.Store) {
	other := Row(0, "P1")
	other.Subscription = "team-b"
	tooMany := make([]ledger.Change, ledger.MaxChanges+1)
	for i := range tooMany {
		tooMany[i].Row = Row(int64(i), "P1")
	}
	for name, changes := range map[string][]ledger.Change{
		"none": nil, "too many": tooMany, "two partitions": {{Row: Row(0, "P1")}, {Row: other}},
		"one row twice": {{Row: Row(0, "P1")}, {Row: Row(0, "P1")}}, "a delete without a version": {{Row: Row(0, "P1"), Delete: true}},
	} {
		if versions, err := s.Apply(t.Context(), changes); err == nil {
			t.Errorf("Apply of %s: got %v, want an error", name, versions)
		}
	}
	want(t, s, Row(0, "").Partition(), "", "")
}

func names(t *testing.T, s ledger.Store) {
	var rows []ledger.Row
	for _, name := range []string{"", "a/b", "a!2Fb", `a\b`, "a#b?c", "a'b", "100%", "a b", "a+b", "世界", "\x01", "a|b", ledger.MergedModels, strings.Repeat("世", 33), "Llama-3.3-70B"} {
		row := Row(0, "P1")
		row.Model = name
		rows = append(rows, row)
	}
	stored := insert(t, s, rows...)
	for _, row := range stored {
		want(t, s, row.Partition(), row.RowKey(), row.RowKey()+"!", row)
	}
}

func ranges(t *testing.T, s ledger.Store) {
	hour := Row(0, ledger.Sum)
	hour.Span = ledger.Hour
	rows := insert(t, s, hour, Row(-1, "P1"), Row(0, "P1"), Row(0, "P2"), Row(59, "P1"), Row(60, "P1"), Row(0, ledger.Sum), Row(1, ledger.Sum))
	other := Row(0, "P1")
	other.Subscription = "team-a-b"
	insert(t, s, other)
	team := ledger.SubscriptionPartition("team-a")
	want(t, s, team, "", "", rows...)
	want(t, s, team, ledger.FirstKey(ledger.Minute, Start), ledger.FirstKey(ledger.Minute, Start.Add(time.Hour)), rows[2:5]...)
	want(t, s, team, ledger.FirstKey(ledger.Minute, Start.Add(time.Second)), "", rows[4:]...)
	want(t, s, team, "", ledger.FirstKey(ledger.Minute, Start), rows[:2]...)
	want(t, s, team, ledger.FirstSumKey(Start), ledger.FirstSumKey(Start.Add(time.Minute)), rows[6])
	want(t, s, team, ledger.FirstKey(ledger.Hour, Start), ledger.FirstKey(ledger.Hour, Start.Add(time.Hour)), rows[0])
	for range s.Rows(t.Context(), team, "", "") {
		break // a reader may stop early
	}
}

// many is more than the 1,000 rows of a page of Table Storage.
const many = 1003

func pages(t *testing.T, s ledger.Store) {
	var stored []ledger.Row
	for len(stored) < many {
		var batch []ledger.Row
		for range min(ledger.MaxChanges, many-len(stored)) {
			batch = append(batch, Row(int64(len(stored)+len(batch)), "P1"))
		}
		stored = append(stored, insert(t, s, batch...)...)
	}
	want(t, s, stored[0].Partition(), "", "", stored...)
}

func partitions(t *testing.T, s ledger.Store) {
	list := func(from, to string) string {
		t.Helper()
		var got []string
		for partition, err := range s.Partitions(t.Context(), from, to) {
			if err != nil {
				t.Fatalf("Partitions: %v", err)
			}
			got = append(got, partition)
		}
		return strings.Join(got, " ")
	}
	expect := func(from, to, want string) {
		t.Helper()
		if got := list(from, to); got != want {
			t.Errorf("Partitions from %q to %q: got %q, want %q", from, to, got, want)
		}
	}
	expect("", "", "")
	for _, name := range []string{"team-b", "team-a", "all", "", "allison"} {
		for minute := range int64(2) {
			row := Row(minute, "P1")
			row.Subscription = name
			insert(t, s, row)
		}
	}
	expect("", "", "all allison all|2026-11-24 team-a team-b")
	expect("allison", "team-b", "allison all|2026-11-24 team-a")
	for range s.Partitions(t.Context(), "", "") {
		break // a reader may stop early
	}
}

// manyProcesses stores the sum of a minute whose Taken doesn't fit into one text column.
func manyProcesses(t *testing.T, s ledger.Store) {
	row := Row(0, ledger.Sum)
	row.Taken = make(map[string]ledger.Taken)
	for i := range 1000 {
		row.Taken[fmt.Sprintf("P%07d", i)] = ledger.Taken{Revision: 6, Totals: ledger.Totals{Calls: 1, RefusedBy: map[string]int64{"世界": 1}, PromptTokens: 1_000_000, CompletionTokens: 1_000_000}}
	}
	want(t, s, row.Partition(), "", "", insert(t, s, row)...)
}

func noSharing(t *testing.T, s ledger.Store) {
	row := full()
	insert(t, s, row)
	change := func(row ledger.Row) {
		row.RefusedBy["tokens"], row.Taken["P1"] = 99, ledger.Taken{}
		row.Taken["P2"].RefusedBy["tokens"] = 99
	}
	change(row)
	for range 2 {
		for got, err := range s.Rows(t.Context(), row.Partition(), "", "") {
			if err != nil || fmt.Sprint(got.RefusedBy["tokens"], got.Taken["P1"].Revision, got.Taken["P2"].RefusedBy["tokens"]) != "4 3 4" {
				t.Errorf("the row's maps: got %v and %v, %v; want them as they were stored", got.RefusedBy, got.Taken, err)
			}
			change(got)
		}
	}
}

package main

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"tollgate/handler/housekeeping"
	"tollgate/handler/lease"
	"tollgate/handler/ledger"
	"tollgate/handler/limit"
)

func TestCommandsForTheTablesRefuseAServer(t *testing.T) {
	m := newTerminal(t)
	for _, command := range [][]string{{"housekeeping"}, {"metrics", "replay", "--from", "2026-07-01T10:00Z", "--to", "2026-07-01T11:00Z", "--dry-run"}} {
		m.fails(exitUsage, []string{"on the tables themselves", "remove --server"}, append(command, "--server", "https://gateway.example")...)
	}
}

func TestHousekeepingByHandTidiesCountersAndUsage(t *testing.T) {
	m := newTerminal(t)
	m.must("housekeeping")
	stores := m.stores()
	counters := stores.Counters
	before := time.Now().Add(-time.Hour)
	idle := lease.New(limit.Limits{PerMinute: 300, Quota: 1000, Period: limit.Yearly, Version: 1}, before, "epoch")
	idle.Spent, idle.PeriodSpent = 25, 25
	idle.SetSlots(lease.Slots{{ID: "12345678", Seq: 1, Window: idle.Window, Leased: 40, Expiry: before.Unix()}}) // of a dead instance
	for key, state := range map[string]lease.Row{"kept-idle": idle, "kept-nothing": lease.New(limit.Limits{PerMinute: 300}, before, "epoch")} {
		if _, _, err := counters.Swap(t.Context(), key, state, ""); err != nil {
			t.Fatal(err)
		}
	}
	minute := ledger.Row{Key: ledger.Key{Subscription: "kept-usage", Span: ledger.Minute, Start: limit.Minute(time.Now().Add(-2 * time.Hour))}, Process: "P1", Revision: 1, Totals: ledger.Totals{Calls: 1}}
	if _, err := stores.Ledger.Apply(t.Context(), []ledger.Change{{Row: minute}}); err != nil {
		t.Fatal(err)
	}

	var report housekeeping.Report
	if err := json.Unmarshal([]byte(m.must("housekeeping", "--retention", "30d", "-o", "json")), &report); err != nil {
		t.Fatal(err)
	}
	report.DaysClosed = 0 // the minute may be of yesterday
	if want := (housekeeping.Report{Counters: 2, Reclaimed: 1, CountersDeleted: 1, Subscriptions: 1, RowsRolledUp: 1}); report != want {
		t.Errorf("housekeeping: got %+v, want %+v", report, want)
	}
	for stored := range counters.List(t.Context()) {
		if stored.Key != "kept-idle" {
			t.Errorf("got the counter %s, want kept-idle only", stored.Key)
		}
		if err := counters.Delete(t.Context(), stored.Key, stored.Version); err != nil {
			t.Error(err)
		}
	}
	m.environment["USAGE_RETENTION"] = "90"
	if _, stderr, status := m.run("housekeeping"); status != exitUsage || !strings.Contains(stderr, `USAGE_RETENTION is "90": use whole days`) {
		t.Errorf("USAGE_RETENTION without a unit: got status %d and %s, want %d and a hint to use days", status, stderr, exitUsage)
	}
}

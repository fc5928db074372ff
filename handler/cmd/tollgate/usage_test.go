package main

import (
	"encoding/csv"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"tollgate/handler/lease"
	"tollgate/handler/ledger"
	"tollgate/handler/ledger/ledgertest"
	"tollgate/handler/limit"
	"tollgate/handler/manage"
)

// count stores a counter that was charged tokens.
func (m *terminal) count(key string, tokens int64) {
	m.t.Helper()
	now := time.Now().Add(time.Minute) // a row of the next minute: it is not reset when this minute ends
	s := lease.New(limit.Limits{PerMinute: 100_000, Quota: 5_000_000, Period: limit.Yearly, Version: 1}, now, "epoch")
	s.Spent, s.PeriodSpent = tokens, tokens
	if _, _, err := m.stores().Counters.Swap(m.t.Context(), key, s, ""); err != nil {
		m.t.Fatal(err)
	}
}

func TestUsagePrintsATableJSONAndCSV(t *testing.T) {
	m := newTerminal(t)
	if _, stderr, _ := m.run("usage"); !strings.Contains(stderr, "Nothing has been counted yet") {
		t.Errorf("usage without counters: got %s, want \"Nothing has been counted yet\"", stderr)
	}
	m.count("team-a/tokens", 12_468)
	m.count("team-b/tokens/model=r1", 50)
	if shown := m.must("usage"); !strings.Contains(shown, "12.4k/100.0k") || !strings.Contains(shown, "12.4k/5.0M Yearly") || !strings.Contains(shown, " UTC") || !strings.Contains(shown, "team-b/tokens/model=r1") {
		t.Errorf("usage: got\n%s\nwant 12.4k of 100.0k and of 5.0M Yearly, times in UTC and team-b/model=r1", shown)
	}
	var listed []manage.Standing
	if err := json.Unmarshal([]byte(m.must("usage", "--search", "R1", "-o", "json")), &listed); err != nil || len(listed) != 1 || listed[0].Subscription != "team-b" || listed[0].Quota.Used.N != 50 {
		t.Errorf("usage as JSON: got %+v and error %v, want team-b's counter with 50 tokens used", listed, err)
	}
	cells, err := csv.NewReader(strings.NewReader(m.must("usage", "team-a", "--csv"))).ReadAll()
	if err != nil || len(cells) != 2 || cells[1][0] != "team-a/tokens" || cells[1][11] != "12468" {
		t.Errorf("usage as CSV: got %v and error %v, want a header and team-a's row with 12468", cells, err)
	}
	m.fails(exitUsage, []string{"add --by"}, "usage", "--from", "1h")
	m.fails(exitUsage, []string{"add --by"}, "usage", "--models")
}

func TestUsageExplainsAnUnknownOrSharedCounter(t *testing.T) {
	m := newTerminal(t)
	m.must("tier", "set", "shared", "--create", "--tokens-per-minute", "10", "--counter-key", "{client-ip}")
	m.must("subscription", "create", "team-s", "--tier", "shared")
	for _, command := range [][]string{{"usage", "nobody"}, {"usage", "nobody", "--by", "day"}, {"watch", "nobody", "--count", "1"}} {
		m.fails(exitNotFound, []string{`"nobody" was not found`}, command...)
	}
	for _, command := range [][]string{{"usage", "team-s"}, {"watch", "team-s", "--count", "1"}} {
		if stdout, stderr, status := m.run(command...); status != exitDone || !strings.Contains(stdout+stderr, "shares its counters with others of its tier: see 'tollgate usage --tier shared'") {
			t.Errorf("%v: got status %d and %s%s, want %d and a hint at the tier's counters", command, status, stdout, stderr, exitDone)
		}
	}
	if _, stderr, _ := m.run("usage", "--tier", "shared"); !strings.Contains(stderr, "No counter matches") {
		t.Errorf("usage of a tier without counters: got %s, want \"No counter matches\"", stderr)
	}
	m.fails(exitNotFound, []string{`"other" was not found`}, "usage", "--tier", "other")
}

func TestUsageByMinuteHourDayAndMonth(t *testing.T) {
	m := newTerminal(t)
	for tier, ids := range map[string][]string{"gold": {"team-a"}, "silver": {"team-b", "team-c"}} {
		m.must("tier", "set", tier, "--create", "--tokens-per-minute", "10")
		for _, id := range ids {
			m.must("subscription", "create", id, "--tier", tier)
		}
	}
	yesterday := time.Now().UTC().Truncate(24 * time.Hour).Add(-24 * time.Hour)
	noon, day, month := yesterday.Add(12*time.Hour), yesterday.Format(time.DateOnly), yesterday.Format("2006-01")
	store := m.stores().Ledger
	ledgertest.Record(t, store, "team-a", "r1", noon, ledger.Totals{Calls: 1, PromptTokens: 10_000, CachedTokens: 4_000, CompletionTokens: 2_500, Cost: 1_250_000_001})
	ledgertest.Record(t, store, "team-a", "gpt-4o", noon.Add(time.Minute), ledger.Totals{Calls: 1, PromptTokens: 1, CompletionTokens: 2, ReasoningTokens: 1, Unpriced: 1})
	ledgertest.Record(t, store, "team-b", "r1", noon.Add(time.Hour), ledger.Totals{Calls: 1, Refused: 7, PromptTokens: 3, CompletionTokens: 4})
	ledgertest.Record(t, store, "team-b", "r1", time.Now(), ledger.Totals{Calls: 1, Shadowed: 1, PromptTokens: 5})
	span := []string{"--from", day, "--to", yesterday.Add(24 * time.Hour).Format(time.DateOnly)}

	if shown := m.must(append([]string{"usage", "--by", "minute"}, span...)...); !strings.Contains(shown, day+" 12:01 UTC   all") || !strings.Contains(shown, "12.5k") || !strings.Contains(shown, "total") {
		t.Errorf("usage by minute: got\n%s\nwant all at 12:01, 12.5k and a sum", shown)
	}
	if shown := m.must(append([]string{"usage", "team-a", "--by", "hour"}, span...)...); strings.Contains(shown, "team-b") || strings.Count(shown, "\n") != 2 {
		t.Errorf("team-a's usage by hour: got\n%s\nwant a header and one row, without team-b", shown)
	}
	if shown := m.must(append([]string{"usage", "--by", "day", "--tier", "silver"}, span...)...); strings.Contains(shown, "team-a") || !strings.Contains(shown, "team-b") {
		t.Errorf("silver's usage by day: got\n%s\nwant that of its subscriptions", shown)
	}
	cells, err := csv.NewReader(strings.NewReader(m.must(append([]string{"usage", "team-a", "--by", "day", "--models", "--csv"}, span...)...))).ReadAll()
	if err != nil || len(cells) != 3 || strings.Join(cells[1], " ") != day+"T00:00:00Z false team-a gpt-4o 1 0 0 2 1 3 1 0 0 0 0 0  1" || strings.Join(cells[2], " ") != day+"T00:00:00Z false team-a r1 10000 4000 0 2500 0 12500 1 0 0 0 0 1.250000001  0" {
		t.Errorf("team-a's day by model: got %v and error %v, want a row for gpt-4o and one for r1", cells, err)
	}
	var history manage.History
	if err := json.Unmarshal([]byte(m.must("usage", "--by", "month", "--from", month, "--sum", "-o", "json")), &history); err != nil || len(history.Items) == 0 || history.Items[0].Refused != 7 || history.Items[0].TotalTokens < 12_510 {
		t.Errorf("the month: got %+v and error %v, want 7 refusals and 12,510 tokens or more", history, err)
	}
	m.must("price", "currency", "EUR")
	if shown := m.must(append([]string{"usage", "team-a", "--by", "day"}, span...)...); !strings.Contains(shown, "EUR") || !strings.Contains(shown, "1.250000001") {
		t.Errorf("team-a's day where amounts have a currency: got\n%s\nwant its cost, 1.250000001, below EUR", shown)
	}
	if shown := m.must(append([]string{"usage", "team-a", "--by", "day", "--csv"}, span...)...); !strings.Contains(shown, ",cost,currency,unpriced\n") || !strings.Contains(shown, ",1.250000001,EUR,1\n") {
		t.Errorf("team-a's day as CSV: got\n%s\nwant its cost, 1.250000001 EUR, and 1 call without a price", shown)
	}
	shown, stderr, _ := m.run("usage", "--by", "day", "--from", "1h")
	if !strings.Contains(shown, "(running)") || !strings.Contains(stderr, "The running day was written at") || strings.Contains(shown, "team-a") {
		t.Errorf("today: got\n%s%s\nwant one row marked as running, and when it was written", shown, stderr)
	}
	m.fails(exitUsage, []string{`by "week" is unknown`, "use minute, hour, day, month"}, "usage", "--by", "week")
	m.fails(exitUsage, []string{`from "yesterday" is not a time`}, "usage", "--by", "day", "--from", "yesterday")
	m.fails(exitUsage, []string{"is too long ago: every minute is kept for 7 days", "by=hour"}, "usage", "--by", "minute", "--from", "8d")
}

func TestWatchRepeatsAtEachInterval(t *testing.T) {
	m := newTerminal(t)
	m.count("idle/tokens", 0)
	m.count("busy/tokens", 60_000)
	shown := m.must("watch", "--count", "1")
	if !strings.Contains(shown, " UTC\n") || strings.Index(shown, "busy") > strings.Index(shown, "idle") || strings.Contains(shown, "\x1b") {
		t.Errorf("watch: got\n%s\nwant the time in UTC and busy before idle, without escape codes", shown)
	}
	if lines := strings.Count(m.must("watch", "--count", "2", "--interval", "1s", "-o", "json"), "\n"); lines != 2 {
		t.Errorf("watch --count 2 as JSON: got %d lines, want 2", lines)
	}
	m.fails(exitUsage, []string{"use 1s or more"}, "watch", "--interval", "10ms")
	m.fails(exitUsage, []string{"use 1 or more"}, "watch", "--count", "-1")
}

func TestWatchAndCSVNameAnUnreadableCounter(t *testing.T) {
	var out strings.Builder
	printWatched(&out, []manage.Standing{{Counter: "team-a", Problem: "the row was edited"}}, "")
	if !strings.Contains(out.String(), "team-a\tthe row was edited\n") {
		t.Errorf("watch: got %q, want the counter and its problem", out.String())
	}
	if cells := standingCells(manage.Standing{Counter: "team-a", Problem: "the row was edited"}); len(cells) != 16 || strings.Join(cells, "") != "team-athe row was edited" {
		t.Errorf("CSV: got %q, want 16 cells with the counter and its problem only", cells)
	}
}

func TestControlCharactersMoveNoColumnOrCursor(t *testing.T) {
	var out strings.Builder
	row(&out, "a\x1b[31mb\nc\td", "", "Zoë", "e\u202efg")
	if got, want := out.String(), "a\ufffd[31mb\ufffdc\ufffdd\t-\tZoë\te\ufffdfg\n"; got != want {
		t.Errorf("got row %q, want %q", got, want)
	}
}

func TestAbbreviatedNumbersAreTruncated(t *testing.T) {
	for n, want := range map[int64]string{0: "0", 7: "7", 9_999: "9,999", 10_000: "10.0k", 12_468: "12.4k", 999_999: "999.9k", 1_000_000: "1.0M", 3_190_000_000: "3.1G", -12_468: "-12.4k", 1e15: "1,000.0T"} {
		if got := short(n); got != want {
			t.Errorf("%d: got %s, want %s", n, got, want)
		}
	}
}

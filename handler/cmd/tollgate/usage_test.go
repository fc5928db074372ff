package main

import (
	"encoding/csv"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"tollgate/handler/azure"
	countertables "tollgate/handler/counter/tablestore"
	"tollgate/handler/counter/usage"
	"tollgate/handler/limit"
	"tollgate/handler/manage"
	"tollgate/handler/secret"
)

// count stores a counter with charged tokens.
func (m *terminal) count(key string, tokens int64) {
	m.t.Helper()
	service, err := azure.Open(azure.Settings{ConnectionString: secret.New(m.environment["AzureWebJobsStorage"])})
	if err != nil {
		m.t.Fatal(err)
	}
	now := time.Now().Add(time.Minute) // a row of the next minute: it is not reset when this minute ends
	s := limit.New(limit.Limits{TokensPerMinute: 100_000, Quota: 5_000_000, Period: limit.Yearly, Version: 1}, now, "epoch")
	s.Spent, s.PeriodSpent = tokens, tokens
	if _, _, err := countertables.New(service, m.tables.counters).Swap(m.t.Context(), key, s, ""); err != nil {
		m.t.Fatal(err)
	}
}

// happened adds a closed minute with one request to the history.
func (m *terminal) happened(counter string, at time.Time, prompt, completion int64) {
	m.t.Helper()
	service, err := azure.Open(azure.Settings{ConnectionString: secret.New(m.environment["AzureWebJobsStorage"])})
	if err != nil {
		m.t.Fatal(err)
	}
	row := usage.Row{Counter: counter, Epoch: "e"}
	row.Minute, row.From, row.PromptTokens, row.CompletionTokens, row.Requests = limit.Minute(at), limit.Minute(at), prompt, completion, 1
	if err := put(m.t, countertables.NewHistory(service, m.tables.history), row); err != nil {
		m.t.Fatal(err)
	}
}

// put adds a row to a history.
func put(t *testing.T, history *countertables.History, row usage.Row) error {
	t.Helper()
	return history.PutClosed(t.Context(), row.Counter, row.Epoch, row.Closed)
}

func TestUsagePrintsATableJSONAndCSV(t *testing.T) {
	m := newTerminal(t)
	if _, stderr, _ := m.run("usage"); !strings.Contains(stderr, "Nothing has been counted yet") {
		t.Errorf("usage without counters: got %s, want \"Nothing has been counted yet\"", stderr)
	}
	m.count("team-a", 12_468)
	m.count("team-b/model=r1", 50)
	if shown := m.must("usage"); !strings.Contains(shown, "12.4k/100.0k") || !strings.Contains(shown, "12.4k/5.0M Yearly") || !strings.Contains(shown, " UTC") || !strings.Contains(shown, "team-b/model=r1") {
		t.Errorf("usage: got\n%s\nwant 12.4k of 100.0k and of 5.0M Yearly, times in UTC and team-b/model=r1", shown)
	}
	var listed []manage.Standing
	if err := json.Unmarshal([]byte(m.must("usage", "--search", "R1", "-o", "json")), &listed); err != nil || len(listed) != 1 || listed[0].Subscription != "team-b" || listed[0].Quota.Used != 50 {
		t.Errorf("usage as JSON: got %+v and error %v, want team-b's counter with 50 tokens used", listed, err)
	}
	cells, err := csv.NewReader(strings.NewReader(m.must("usage", "team-a", "--csv"))).ReadAll()
	if err != nil || len(cells) != 2 || cells[1][0] != "team-a" || cells[1][6] != "12468" {
		t.Errorf("usage as CSV: got %v and error %v, want a header and team-a's row with 12468", cells, err)
	}
	m.fails(exitUsage, []string{"add --by"}, "usage", "--from", "1h")
}

func TestUsageExplainsAnUnknownOrSharedCounter(t *testing.T) {
	m := newTerminal(t)
	m.must("tier", "set", "shared", "--create", "--tokens-per-minute", "10", "--counter-key", "{client-ip}")
	m.must("subscription", "create", "team-s", "--tier", "shared")
	for _, command := range [][]string{{"usage", "nobody"}, {"usage", "nobody", "--by", "day"}, {"watch", "nobody", "--count", "1"}} {
		m.fails(exitNotFound, []string{`"nobody" was not found`}, command...)
	}
	for _, command := range [][]string{{"usage", "team-s"}, {"usage", "team-s", "--by", "hour"}, {"watch", "team-s", "--count", "1"}} {
		if stdout, stderr, status := m.run(command...); status != exitDone || !strings.Contains(stdout+stderr, "is counted by {client-ip}, together with its tier: see 'tollgate usage --tier shared'") {
			t.Errorf("%v: got status %d and %s%s, want %d and a hint at the tier's counters", command, status, stdout, stderr, exitDone)
		}
	}
	if _, stderr, _ := m.run("usage", "--tier", "other"); !strings.Contains(stderr, "No counter matches") {
		t.Errorf("usage of a tier without counters: got %s, want \"No counter matches\"", stderr)
	}
}

func TestHistoryByMinuteHourAndDay(t *testing.T) {
	m := newTerminal(t)
	noon := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	m.happened("team-a", noon, 10_000, 2_500)
	m.happened("team-a", noon.Add(time.Minute), 1, 2)
	m.happened("team-b", noon.Add(time.Hour), 3, 4)
	day := []string{"--from", "2026-03-01T00:00:00Z", "--to", "2026-03-02T00:00:00Z"}
	if shown := m.must(append([]string{"usage", "--by", "minute"}, day...)...); !strings.Contains(shown, "2026-03-01 12:01 UTC   team-a") || !strings.Contains(shown, "12.5k") {
		t.Errorf("usage by minute: got\n%s\nwant team-a at 12:01 and 12.5k", shown)
	}
	if shown := m.must(append([]string{"usage", "team-a", "--by", "hour"}, day...)...); strings.Contains(shown, "team-b") || strings.Count(shown, "\n") != 2 {
		t.Errorf("team-a's usage by hour: got\n%s\nwant a header and one row, without team-b", shown)
	}
	cells, err := csv.NewReader(strings.NewReader(m.must(append([]string{"usage", "--by", "day", "--sum", "--csv"}, day...)...))).ReadAll()
	if err != nil || len(cells) != 2 || strings.Join(cells[1], " ") != "2026-03-01T00:00:00Z  10004 2506 12510 3 0" {
		t.Errorf("the sum by day: got %v and error %v, want one row: 10004 prompt and 2506 completion tokens of 3 requests", cells, err)
	}
	m.fails(exitUsage, []string{`by "week" is unknown`, "use minute, hour, day"}, "usage", "--by", "week")
	m.fails(exitUsage, []string{`from "yesterday" is not a time`}, "usage", "--by", "day", "--from", "yesterday")
}

func TestWatchRepeatsAtEachInterval(t *testing.T) {
	m := newTerminal(t)
	m.count("idle", 0)
	m.count("busy", 60_000)
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
	if cells := standingCells(manage.Standing{Counter: "team-a", Problem: "the row was edited"}); len(cells) != 13 || strings.Join(cells, "") != "team-athe row was edited" {
		t.Errorf("CSV: got %q, want 13 cells with the counter and its problem only", cells)
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

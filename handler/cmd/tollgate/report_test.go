package main

import (
	"encoding/csv"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"math/big"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"tollgate/handler/ledger"
	"tollgate/handler/ledger/ledgertest"
	"tollgate/handler/manage"
)

// Names that a subscription, group or model might have.
const (
	formula = `=HYPERLINK("http://192.0.2.1","x")`
	markup  = `<script>alert(1)</script>"'&`
)

// newReportTerminal returns a terminal with a month's usage, by three subscriptions of which one
// was deleted afterwards, and the name of that month.
func newReportTerminal(t *testing.T) (m *terminal, month string) {
	m = newTerminal(t)
	m.must("tier", "set", "gold", "--create", "--tokens-per-minute", "10")
	m.must("group", "create", "org", "--name", markup)
	m.must("group", "create", "lab", "--parent", "org")
	m.must("subscription", "create", "team-a", "--tier", "gold", "--group", "lab", "--name", formula)
	m.must("subscription", "create", "team-b", "--tier", "gold", "--name", markup)
	m.must("subscription", "create", "team-c", "--tier", "gold", "--group", "org")
	m.must("price", "currency", "EUR")
	this := time.Now().UTC()
	last := time.Date(this.Year(), this.Month()-1, 3, 4, 5, 0, 0, time.UTC)
	store := m.stores().Ledger
	ledgertest.Record(t, store, "team-a", "r1", last, ledger.Totals{Calls: 1234, PromptTokens: 10, CachedTokens: 4, CacheWriteTokens: 3, CompletionTokens: 20, ReasoningTokens: 5, Cost: 1_500_000_000_001})
	ledgertest.Record(t, store, "team-a", "+"+markup, last, ledger.Totals{Calls: 1, PromptTokens: 1, Unpriced: 1})
	ledgertest.Record(t, store, "team-b", "r1", last, ledger.Totals{Calls: 2, PromptTokens: 6, Cost: 499_999_999_999})
	ledgertest.Record(t, store, "team-c", "r1", last.AddDate(0, 0, 1), ledger.Totals{Calls: 3, PromptTokens: 7, Cost: 2_000_000_000_000})
	m.must("subscription", "delete", "team-c", "--yes")
	return m, last.Format("2006-01")
}

func TestReportPrintsAMonthAsATable(t *testing.T) {
	m, month := newReportTerminal(t)
	var got strings.Builder
	for line := range strings.Lines(m.must("report", "--month", month)) {
		fmt.Fprintln(&got, strings.Join(strings.Fields(line), " "))
	}
	_, tables, _ := strings.Cut(got.String(), "\n")
	want := `
GROUP, WITH THOSE BELOW CALLS PROMPT CACHED CACHE WRITES COMPLETION REASONING EUR UNPRICED SHARE OF COST
org 1,235 11 4 3 20 5 1,500.000000001 1 37.50%
org/lab 1,235 11 4 3 20 5 1,500.000000001 1 37.50%
(no group) 5 13 0 0 0 0 2,499.999999999 0 62.50%
total 1,240 24 4 3 20 5 4,000.000000000 1 100.00%

GROUP SUBSCRIPTION MODEL CALLS PROMPT CACHED CACHE WRITES COMPLETION REASONING EUR UNPRICED SHARE OF COST
org/lab team-a +` + markup + ` 1 1 0 0 0 0 0.000000000 1 0.00%
org/lab team-a r1 1,234 10 4 3 20 5 1,500.000000001 0 37.50%
(no group) team-b r1 2 6 0 0 0 0 499.999999999 0 12.50%
(no group) team-c (deleted) r1 3 7 0 0 0 0 2,000.000000000 0 50.00%
`
	if tables != want {
		t.Errorf("report: got\n%s\nwant\n%s", tables, want)
	}
	if title, _, _ := strings.Cut(got.String(), "\n"); !strings.HasPrefix(title, "Usage and cost in "+month+", created 2") {
		t.Errorf("report: got the title %q, want the month and when it was created", title)
	}
	running := time.Now().UTC().Format("2006-01")
	if shown, stderr, _ := m.run("report", "--month", running); !strings.Contains(shown, running+" (running)") || !strings.Contains(stderr, "There was no usage in "+running) {
		t.Errorf("report of %s: got %s%s, want a running month without usage", running, shown, stderr)
	}
	var report manage.Report
	if err := json.Unmarshal([]byte(m.must("report", "--month", month, "-o", "json")), &report); err != nil || report.Total.Used.Cost != 4_000_000_000_000 {
		t.Errorf("report as JSON: got %+v and error %v, want a cost of 4000", report, err)
	}
	m.environment["USAGE_RETENTION"] = "1d"
	yesterday := time.Now().UTC().AddDate(0, 0, -1)
	shown, stderr, _ := m.run("report", "--month", month, "--html", "-")
	if !strings.Contains(stderr, "warning: the report is incomplete: days before "+yesterday.Format(time.DateOnly)) || !strings.Contains(shown, "Those before "+yesterday.Format("2 January 2006")) {
		t.Errorf("with days kept for 1 day: got %s\n%s\nwant both to say that days before %v are missing", stderr, shown, yesterday)
	}
	m.fails(exitUsage, []string{"--month is missing"}, "report")
	m.fails(exitUsage, []string{`"november" is not a month`, "use one such as"}, "report", "--month", "november")
	m.fails(exitFailed, []string{"no such file"}, "report", "--month", month, "--csv", "missing/report.csv")
}

// TestReportsRowsAddUpExactly: the CSV adds up to what was recorded, and a spreadsheet takes no
// name in it for a formula.
func TestReportsRowsAddUpExactly(t *testing.T) {
	m, month := newReportTerminal(t)
	if shown := m.must("report", "--month", month, "--csv", "report.csv"); shown != "" {
		t.Errorf("with a file: got %q on stdout, want nothing", shown)
	}
	text, err := os.ReadFile("report.csv")
	if err != nil {
		t.Fatal(err)
	}
	if stdout := m.must("report", "--month", month, "--csv", "-"); stdout != string(text) {
		t.Errorf("--csv -: got\n%s\nwant what the file has:\n%s", stdout, text)
	}
	rows, err := csv.NewReader(strings.NewReader(string(text))).ReadAll()
	if err != nil || len(rows) != 5 {
		t.Fatalf("got %d rows and error %v, want a header and 4 rows", len(rows), err)
	}
	want := []string{month, "false", "org/lab", "team-a", "'" + formula, "false", "r1", "1234", "0", "10", "4", "3", "20", "5", "30", "1500.000000001", "EUR", "37.50"}
	if !slices.Equal(rows[2], want) {
		t.Errorf("team-a's row: got %q, want %q", rows[2], want)
	}
	if model := rows[1][6]; model != "'+"+markup {
		t.Errorf("got the model %q, want an apostrophe before its plus", model)
	}
	cost := new(big.Rat)
	for _, r := range rows[1:] {
		one, ok := new(big.Rat).SetString(r[slices.Index(rows[0], "cost")])
		if !ok {
			t.Fatalf("got the cost %q, want a decimal", r[slices.Index(rows[0], "cost")])
		}
		cost.Add(cost, one)
	}
	if cost.Cmp(big.NewRat(4000, 1)) != 0 {
		t.Errorf("the costs of all rows: got %s, want 4000", cost.FloatString(9))
	}
	for _, r := range rows[1:] {
		for _, c := range r {
			if c != "" && strings.ContainsAny(c[:1], "=+-@") {
				t.Errorf("got the cell %q, want none that a spreadsheet takes for a formula", c)
			}
		}
	}
}

// TestReportIsAPageToPrint reads the page, which is well-formed XML but for its void
// elements.
func TestReportIsAPageToPrint(t *testing.T) {
	m, month := newReportTerminal(t)
	m.must("report", "--month", month, "--html", "report.html")
	text, err := os.ReadFile("report.html")
	if err != nil {
		t.Fatal(err)
	}
	decoder := xml.NewDecoder(strings.NewReader(string(text)))
	decoder.Strict, decoder.AutoClose, decoder.Entity = false, xml.HTMLAutoClose, xml.HTMLEntity
	elements, shown := make(map[string]int), new(strings.Builder)
	for {
		token, err := decoder.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatalf("got %v in\n%s\nwant a page that can be read", err, text)
		}
		switch token := token.(type) {
		case xml.StartElement:
			elements[token.Name.Local]++
			for _, a := range token.Attr {
				if a.Name.Local == "src" || a.Name.Local == "href" || strings.HasPrefix(a.Name.Local, "on") {
					t.Errorf("got %s=%q in <%s>, want a page that loads and runs nothing", a.Name.Local, a.Value, token.Name.Local)
				}
			}
			if token.Name.Local == "th" && !slices.ContainsFunc(token.Attr, func(a xml.Attr) bool { return a.Name.Local == "scope" }) {
				t.Errorf("got a <th> with %v, want its scope", token.Attr)
			}
		case xml.CharData:
			shown.WriteString(strings.TrimSpace(string(token)) + "|")
		}
	}
	if elements["script"] != 0 || elements["link"] != 0 || elements["img"] != 0 || elements["table"] != 3 || elements["caption"] != 3 {
		t.Errorf("got the elements %v, want three tables with captions, and no script, link or image", elements)
	}
	for _, want := range []string{"Usage and cost in " + month, "A group includes the groups below it.", markup, formula, "+" + markup, "4,000.000000000 EUR", "|1, not included in the cost|", "|org/lab|", "|team-c|", "|deleted|", "|1,234|", "|37.50%|", "|Share of cost|"} {
		if !strings.Contains(shown.String(), want) {
			t.Errorf("got the text %s, want %q in it", shown, want)
		}
	}
	if strings.Contains(shown.String(), "The month isn't over") {
		t.Error("got a page that says the month isn't over, want that of running months only")
	}
	running := time.Now().UTC()
	ledgertest.Record(t, m.stores().Ledger, "team-b", "r1", running, ledger.Totals{Calls: 1})
	if page := m.must("report", "--month", running.Format("2006-01"), "--html", "-"); !strings.Contains(page, "The month isn&#39;t over") && !strings.Contains(page, "The month isn't over") {
		t.Errorf("the running month: got\n%s\nwant it marked", page)
	}
}

func TestAReportWithoutPricesShowsSharesOfTokens(t *testing.T) {
	m := newTerminal(t)
	now := time.Now().UTC()
	ledgertest.Record(t, m.stores().Ledger, "team-a", "r1", now, ledger.Totals{Calls: 1, PromptTokens: 5, Unpriced: 1})
	month := now.Format("2006-01")
	for _, shown := range []string{m.must("report", "--month", month), m.must("report", "--month", month, "--html", "-")} {
		if lower := strings.ToLower(shown); !strings.Contains(lower, "share of tokens") || strings.Contains(lower, "unpriced") || strings.Contains(lower, "without a price") {
			t.Errorf("got\n%s\nwant shares of tokens and nothing about prices", shown)
		}
	}
}

// TestTheDocumentedReportCommandsWork runs the commands of docs/money.md against a gateway's
// API.
func TestTheDocumentedReportCommandsWork(t *testing.T) {
	lines := commands(t, "money.md", "The month's report")
	if len(lines) != 2 {
		t.Fatalf("docs/money.md: got the commands %q, want 2", lines)
	}
	m := newTerminal(t)
	server := m.deploy()
	for _, line := range lines {
		m.must(strings.Fields(strings.TrimPrefix(line, "./tollgate "))...)
	}
	page, err := os.ReadFile("november.html")
	if err != nil || !strings.Contains(string(page), server.URL) {
		t.Errorf("november.html: got %v and\n%s\nwant the deployment %s", err, page, server.URL)
	}
	if _, err := os.Stat("november.csv"); err != nil {
		t.Errorf("november.csv: got %v, want the file", err)
	}
}

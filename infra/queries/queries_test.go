// Package queries_test checks the KQL files with Kusto's own parser, and the workbook and
// alert rules against the files.
package queries_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"log/slog"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"tollgate/handler/counter"
	"tollgate/handler/counter/memstore"
	"tollgate/handler/housekeeping"
	"tollgate/handler/ledger"
	ledgermem "tollgate/handler/ledger/memstore"
	"tollgate/handler/limit"
	storedmem "tollgate/handler/stored/memstore"
	"tollgate/handler/telemetry"
)

var update = flag.Bool("update", false, "write the files' queries into ../workbook.json")

// A query is one input of the checker.
type query struct {
	Name string `json:"name"`
	Text string `json:"text"`
}

// files returns the queries by name.
func files(t *testing.T) map[string]string {
	t.Helper()
	paths, err := filepath.Glob("*.kql")
	if err != nil || len(paths) == 0 {
		t.Fatalf("got query files %v and error %v, want at least one", paths, err)
	}
	all := make(map[string]string)
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		all[strings.TrimSuffix(path, ".kql")] = string(text)
	}
	return all
}

// findings returns the errors and warnings of Kusto's parser and analyser.
func findings(t *testing.T, queries []query) (found []struct{ Name, Message, At string }) {
	t.Helper()
	if testing.Short() {
		t.Skip("skipped by -short: it runs Kusto's parser")
	}
	if _, err := os.Stat("check/node_modules"); err != nil {
		t.Skip("Kusto's parser is not installed: run npm ci in infra/queries/check")
	}
	asked, err := json.Marshal(queries)
	if err != nil {
		t.Fatal(err)
	}
	command := exec.CommandContext(t.Context(), "node", "check/check.mjs")
	command.Stdin, command.Stderr = bytes.NewReader(asked), os.Stderr
	said, err := command.Output()
	if err == nil {
		err = json.Unmarshal(said, &found)
	}
	if err != nil {
		t.Fatalf("check.mjs: got %q and error %v, want findings as JSON", said, err)
	}
	return found
}

func TestKustoAcceptsEveryQuery(t *testing.T) {
	var all []query
	for name, text := range files(t) {
		all = append(all, query{name, text})
		if !parameter.MatchString(text) {
			continue
		}
		all = append(all, query{name + " in the workbook", strings.ReplaceAll(inWorkbook(text), "{Replayed}", "true")})
	}
	all = append(all, shown(t)...)
	for _, f := range findings(t, all) {
		t.Errorf("%s: got %s at %q, want no finding", f.Name, f.Message, f.At)
	}
}

// shown returns the queries in the docs.
func shown(t *testing.T) (queries []query) {
	t.Helper()
	pages, err := filepath.Glob("../../docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range append(pages, "../../README.md") {
		page, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for _, block := range regexp.MustCompile("(?s)```kusto\n(.*?)```").FindAllSubmatch(page, -1) {
			queries = append(queries, query{filepath.Base(path), string(block[1])})
		}
	}
	if len(queries) < 3 {
		t.Errorf("got %d queries in the docs, want 3 or more", len(queries))
	}
	return queries
}

func TestTheCheckFindsMistakes(t *testing.T) {
	wrong := []query{{"syntax", "customMetrics | where (name"}, {"column", "customMetrics | where nmae == ''"}, {"table", "customMetric | count"}, {"type", "requests | where duration == 'x' + 1"}}
	found := findings(t, wrong)
	for _, q := range wrong {
		if !slices.ContainsFunc(found, func(f struct{ Name, Message, At string }) bool { return f.Name == q.Name }) {
			t.Errorf("got no finding, want one in: %s", q.Text)
		}
	}
}

func TestEveryQueryBeginsWithAComment(t *testing.T) {
	for name, text := range files(t) {
		if !strings.HasPrefix(text, "// ") {
			t.Errorf("%s.kql: got a file that begins with other text, want a comment first", name)
		}
	}
}

// named matches the names of metrics, dimensions and measurements in a query.
var (
	named   = regexp.MustCompile(`name (?:==|in) ('[^']*'|\([^)]*\))`)
	indexed = regexp.MustCompile(`custom(?:Dimensions|Measurements)\['([^']+)'\]`)
	quoted  = regexp.MustCompile(`'([^']*)'`)
)

func TestQueriesUseOnlyEmittedNames(t *testing.T) {
	metrics := []string{telemetry.PromptTokens, telemetry.CompletionTokens, telemetry.TotalTokens, telemetry.Cost, telemetry.Refusals, telemetry.ShadowRefusals, telemetry.DegradedCalls, telemetry.Failures, telemetry.UnknownUsage, telemetry.PromptEstimateError,
		telemetry.UpstreamLatency, telemetry.TimeToFirstToken, telemetry.QuotaUsed, telemetry.QuotaLimit, telemetry.MinuteUsed, telemetry.MinuteLimit, telemetry.LimitRefusals, telemetry.TableOperations,
		telemetry.LeaseConflicts, telemetry.ForfeitedLeases, telemetry.UnwrittenCharges, telemetry.UnwrittenTokens, telemetry.DegradedSeconds, telemetry.TelemetryDropped, telemetry.LimitThreshold}
	keys := []string{"Subscription ID", "Client IP", "API ID", "Model", "Backend ID", "Reason", "Quota Period", "Request ID", "Outcome", "Product ID", "Group ID", "Limit", "Unit", "Shadow", "Counter", "Percent", telemetry.ReplayedDimension, telemetry.CurrencyDimension,
		telemetry.PromptTokens, telemetry.CompletionTokens, telemetry.TotalTokens, "Remaining Tokens"}
	asked := make(map[string]bool)
	for file, text := range files(t) {
		for _, match := range named.FindAllStringSubmatch(text, -1) {
			for _, name := range quoted.FindAllStringSubmatch(match[1], -1) {
				asked[name[1]] = true
				if !slices.Contains(metrics, name[1]) {
					t.Errorf("%s.kql: got the metric %q, want one that the gateway emits", file, name[1])
				}
			}
		}
		for _, match := range indexed.FindAllStringSubmatch(text, -1) {
			if !slices.Contains(keys, match[1]) {
				t.Errorf("%s.kql: got the dimension %q, want one that items have", file, match[1])
			}
		}
	}
	page, err := os.ReadFile("../../docs/telemetry.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range metrics {
		if !asked[name] {
			t.Errorf("%q: got no query for it, want one", name)
		}
		if !bytes.Contains(page, []byte("`"+name+"`")) {
			t.Errorf("docs/telemetry.md: got no metric %q, want it", name)
		}
	}
}

func TestTheQuotaAlertCountsRefusalsBeforeTheQuotaIsUsedUp(t *testing.T) {
	if query := files(t)["alert-quota"]; !strings.Contains(query, "'Limit Refusals'") || !strings.Contains(query, "isnotempty(customDimensions['Quota Period'])") {
		t.Errorf("got\n%s\nwant the metric Limit Refusals where a quota refused", query)
	}
}

// TestNoQueryAddsUpACounter: every instance and subscription reports the same counter.
func TestNoQueryAddsUpACounter(t *testing.T) {
	gauges := []string{telemetry.QuotaUsed, telemetry.QuotaLimit, telemetry.MinuteUsed, telemetry.MinuteLimit}
	for file, text := range files(t) {
		for statement := range strings.SplitSeq(text, ";") {
			of := slices.ContainsFunc(gauges, func(name string) bool { return strings.Contains(statement, "'"+name+"'") })
			if of && regexp.MustCompile(`valueSum|\b(?:sum|sumif|avg|avgif)\(`).MatchString(statement) {
				t.Errorf("%s.kql: got a sum in\n%s\nwant the largest value of each counter", file, statement)
			}
			if of && !strings.Contains(text, "customDimensions['Limit']") {
				t.Errorf("%s.kql: got\n%s\nwant values of several limits told apart", file, text)
			}
		}
	}
}

// TestTheRefusalsAlertKnowsEveryLimitsReason: codes of limits are in gateway/refusal.go.
func TestTheRefusalsAlertKnowsEveryLimitsReason(t *testing.T) {
	source, err := os.ReadFile("../../handler/gateway/refusal.go")
	if err != nil {
		t.Fatal(err)
	}
	codes := regexp.MustCompile(`(?m)^\tcode\w+ += "(\w+)"`).FindAllSubmatch(source, -1)
	if len(codes) < 8 {
		t.Fatalf("got %d codes in refusal.go, want 8 or more", len(codes))
	}
	for _, code := range codes {
		if query := files(t)["alert-refusals"]; !strings.Contains(query, "'"+string(code[1])+"'") {
			t.Errorf("got\n%s\nwant the reason %s in it", query, code[1])
		}
	}
}

func TestTheForecastKnowsEveryPeriod(t *testing.T) {
	query := files(t)["quota-forecast"]
	for _, period := range []limit.Period{limit.Hourly, limit.Daily, limit.Weekly, limit.Monthly, limit.Yearly} {
		if !strings.Contains(query, "Period == '"+string(period)+"'") {
			t.Errorf("%s: got no case for the period, want one in:\n%s", period, query)
		}
	}
}

func TestTheUnknownUsageAlertIgnoresCallersThatLeave(t *testing.T) {
	if query := files(t)["alert-unknown-usage"]; !strings.Contains(query, "['Reason']) != 'client_closed'") {
		t.Errorf("got\n%s\nwant the reason client_closed left out", query)
	}
}

func TestQueriesNameOnlyReasonsOfTheGateway(t *testing.T) {
	var source []byte
	for _, pattern := range []string{"../../handler/gateway/*.go", "../../handler/telemetry/*.go"} {
		paths, err := filepath.Glob(pattern)
		if err != nil || len(paths) == 0 {
			t.Fatalf("%s: got files %v and error %v, want at least one", pattern, paths, err)
		}
		for _, path := range paths {
			text, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			source = append(source, text...)
		}
	}
	for file, text := range files(t) {
		for _, match := range regexp.MustCompile(`\['Reason'\]\) (?:==|!=|in) ('[^']*'|\([^)]*\))`).FindAllStringSubmatch(text, -1) {
			for _, reason := range quoted.FindAllStringSubmatch(match[1], -1) {
				if !bytes.Contains(source, []byte(`"`+reason[1]+`"`)) {
					t.Errorf("%s.kql: got the reason %q, want one that the gateway gives", file, reason[1])
				}
			}
		}
	}
}

func TestReplayedItemsAreLeftOutUnlessAskedFor(t *testing.T) {
	for name, text := range files(t) {
		counts := regexp.MustCompile(`customMetrics\n\s*\| where name.*(?:(?:Total|Prompt|Completion) Tokens|'Cost').*\n`).FindAllString(text, -1)
		for _, line := range counts {
			if !strings.Contains(line, "customDimensions['Replayed']") {
				t.Errorf("%s.kql: got the line %s, want replayed items told apart, as they count twice", name, line)
			}
		}
	}
}

// parameter matches a let statement that the workbook replaces with a value.
var parameter = regexp.MustCompile(`(?m)^(let \w+ = ).*; // workbook: (.*)$`)

func inWorkbook(text string) string {
	return parameter.ReplaceAllString(strings.TrimSpace(text), "$1$2;")
}

func TestTheWorkbookShowsTheQueriesOfTheFiles(t *testing.T) {
	text, err := os.ReadFile("../workbook.json")
	if err != nil {
		t.Fatal(err)
	}
	var workbook struct {
		Items []struct {
			Type    int
			Name    string
			Content struct{ Query, Title string }
		}
	}
	if err := json.Unmarshal(text, &workbook); err != nil {
		t.Fatal(err)
	}
	unused := files(t)
	for _, item := range workbook.Items {
		if item.Type != 3 {
			continue
		}
		want, ok := unused[item.Name]
		delete(unused, item.Name)
		switch {
		case !ok:
			t.Errorf("the panel %s: got no query file, want one", item.Name)
		case item.Content.Query == inWorkbook(want):
		case *update:
			text = replaceQuery(t, text, item.Name, inWorkbook(want))
		default:
			t.Errorf("the panel %s: got another query than %s.kql, want the same: run go test ./infra/queries -update", item.Name, item.Name)
		}
	}
	if *update {
		if err := os.WriteFile("../workbook.json", text, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for name := range unused {
		if !strings.HasPrefix(name, "alert-") {
			t.Errorf("%s.kql: got no panel, want one", name)
		}
	}
}

// filled matches a placeholder that the workbook replaces with a parameter's value.
var filled = regexp.MustCompile(`\{(\w+)\}`)

func TestTheWorkbookHasEveryParameterThatItsQueriesTake(t *testing.T) {
	text, err := os.ReadFile("../workbook.json")
	if err != nil {
		t.Fatal(err)
	}
	var workbook struct {
		Items []struct {
			Name    string
			Content struct {
				Query, TimeContextFromParameter string
				Parameters                      []struct{ Name string }
			}
		}
	}
	if err := json.Unmarshal(text, &workbook); err != nil {
		t.Fatal(err)
	}
	has, taken := make(map[string]bool), make(map[string]bool)
	for _, item := range workbook.Items {
		for _, p := range item.Content.Parameters {
			has[p.Name] = true
		}
		for _, match := range filled.FindAllStringSubmatch(item.Content.Query, -1) {
			taken[match[1]] = true
		}
		if item.Content.Query != "" {
			taken[item.Content.TimeContextFromParameter] = true
		}
	}
	if !maps.Equal(has, taken) {
		t.Errorf("got the workbook's parameters %v, want %v, which its queries take", has, taken)
	}
}

// replaceQuery replaces one panel's query and leaves the rest of the document as it is.
func replaceQuery(t *testing.T, text []byte, panel, query string) []byte {
	t.Helper()
	var encoded bytes.Buffer
	encoder := json.NewEncoder(&encoded)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(query); err != nil {
		t.Fatal(err)
	}
	name := bytes.Index(text, []byte(`"name": "`+panel+`"`))
	at := bytes.LastIndex(text[:max(name, 0)], []byte(`"query": "`))
	if at < 0 {
		t.Fatalf("the panel %s: got no query, want one", panel)
	}
	at += len(`"query": `)
	end := at + bytes.IndexByte(text[at:], '\n')
	return slices.Concat(text[:at], bytes.TrimSpace(encoded.Bytes()), []byte(","), text[end:])
}

// TestTheHousekeepingAlertMatchesASuccessfulRun: the alert looks for the log line of a run,
// and must not match that of a failed one.
func TestTheHousekeepingAlertMatchesASuccessfulRun(t *testing.T) {
	var looked []string
	for _, match := range regexp.MustCompile(`message (?:has|contains) '([^']+)'`).FindAllStringSubmatch(files(t)["alert-housekeeping"], -1) {
		looked = append(looked, match[1])
	}
	if len(looked) == 0 {
		t.Fatal("got no log line in the alert's query, want one")
	}
	var broken error
	store := memstore.New()
	for _, c := range []struct {
		broken error
		want   bool
	}{{nil, true}, {errors.New("the ledger is down"), false}} {
		broken = c.broken
		var line bytes.Buffer
		keeper := housekeeping.New(housekeeping.Config{Counters: store, Ledger: ledgermem.New(func(string) (bool, error) { return broken == nil, broken }), Retention: ledger.DefaultRetention, Stored: storedmem.New(nil), Log: slog.New(slog.NewJSONHandler(&line, nil)),
			Counter: counter.New(counter.Config{Store: store, Log: slog.New(slog.DiscardHandler)})})
		if _, err := keeper.Run(t.Context()); (err == nil) != c.want {
			t.Fatalf("a run with the fault %v: got error %v, want success %t", c.broken, err, c.want)
		}
		found := !slices.ContainsFunc(looked, func(text string) bool { return !strings.Contains(line.String(), text) })
		if found != c.want {
			t.Errorf("a run with the fault %v: got %t, want %t for its line %s", c.broken, found, c.want, line.String())
		}
	}
}

func TestEveryAlertQueryHasARule(t *testing.T) {
	rules, err := os.ReadFile("../modules/alerts.bicep")
	if err != nil {
		t.Fatal(err)
	}
	for name := range files(t) {
		if strings.HasPrefix(name, "alert-") && !bytes.Contains(rules, []byte("loadTextContent('../queries/"+name+".kql')")) {
			t.Errorf("%s.kql: got no alert rule, want one", name)
		}
	}
}

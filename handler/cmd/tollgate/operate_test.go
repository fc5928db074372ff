package main

import (
	"encoding/csv"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode"

	"tollgate/handler/azure"
	countertables "tollgate/handler/counter/tablestore"
	"tollgate/handler/counter/usage"
	"tollgate/handler/limit"
	"tollgate/handler/local/r1sim"
	"tollgate/handler/manage"
	"tollgate/handler/secret"
	"tollgate/handler/subscription"
)

const testKey = "canary-operator-key-0123456789abcdef"

// deploy serves the operators' API over the terminal's tables, as a deployed
// gateway does, and has the terminal know nothing but its address and key.
func (m *terminal) deploy() *httptest.Server {
	m.t.Helper()
	a := &app{getenv: func(name string) string { return m.environment[name] }, tables: m.tables}
	service, err := a.open()
	if err != nil {
		m.t.Fatal(err)
	}
	config := a.config(service)
	config.Auth = manage.OperatorKey(secret.New(testKey))
	config.Checks = []manage.Check{}
	server := httptest.NewServer(manage.New(config))
	m.t.Cleanup(server.Close)
	m.environment = map[string]string{"TOLLGATE_SERVER": server.URL, "MANAGE_KEY": testKey}
	return server
}

// count adds a counter that has just been charged tokens.
func (m *terminal) count(key string, tokens int64) {
	m.t.Helper()
	service, err := azure.Open(azure.Settings{ConnectionString: secret.New(m.environment["AzureWebJobsStorage"])})
	if err != nil {
		m.t.Fatal(err)
	}
	now := time.Now().Add(time.Minute) // a row of the next minute stays as it is when this one ends
	s := limit.New(limit.Limits{TokensPerMinute: 100_000, Quota: 5_000_000, Period: limit.Yearly, Version: 1}, now, "epoch")
	s.Spent, s.PeriodSpent = tokens, tokens
	if _, _, err := countertables.New(service, m.tables.counters).Swap(m.t.Context(), key, s, ""); err != nil {
		m.t.Fatal(err)
	}
}

func TestTheCommandsWorkOnADeployedGateway(t *testing.T) {
	m := newTerminal(t)
	m.count("team-a", 12_468)
	m.deploy()
	m.must("tier", "set", "standard", "--create", "--tokens-per-minute", "1000")
	m.must("subscription", "create", "team-a", "--tier", "standard")
	key := strings.TrimSpace(m.must("key", "create", "team-a", "--expires", "720h"))
	if !subscription.WellFormed(key) {
		t.Errorf("key create printed %q", key)
	}
	if shown := m.must("subscription", "show", "team-a"); !strings.Contains(shown, ", expires ") || !strings.Contains(shown, "1,000") {
		t.Errorf("subscription show printed %s", shown)
	}
	if shown := m.must("usage", "team-a"); !strings.Contains(shown, "12.4k") {
		t.Errorf("usage printed %s", shown)
	}
	if shown := m.must("audit"); !strings.Contains(shown, "operator key") || !strings.Contains(shown, "key.create") || strings.Contains(shown, key) {
		t.Errorf("audit printed %s", shown)
	}
	if shown := m.must("doctor"); !strings.Contains(shown, "accepts the login") {
		t.Errorf("doctor printed %s", shown)
	}
	m.fails(exitNotFound, []string{`tier "gold" was not found`}, "subscription", "create", "b", "--tier", "gold")
	m.fails(exitConflict, []string{"exists already"}, "subscription", "create", "team-a", "--tier", "standard")
	m.environment["MANAGE_KEY"] = "another"
	m.fails(exitDenied, []string{"the operator's key"}, "tier", "list")
	if strings.Contains(m.said.String(), testKey) {
		t.Error("the operator's key was printed")
	}
}

func TestABadServerIsReported(t *testing.T) {
	m := newTerminal(t)
	elsewhere := httptest.NewServer(http.NotFoundHandler())
	defer elsewhere.Close()
	m.environment = map[string]string{"MANAGE_KEY": testKey}
	m.fails(exitUsage, []string{"use https"}, "tier", "list", "--server", "http://gateway.example")
	m.fails(exitUsage, []string{"the gateway's address"}, "tier", "list", "--server", "gateway")
	m.fails(exitFailed, []string{"is /manage turned on there?"}, "tier", "list", "--server", elsewhere.URL)
	m.fails(exitFailed, []string{"http://127.0.0.1:1 can't be reached"}, "tier", "list", "--server", "http://127.0.0.1:1")
	m.environment = nil
	m.fails(exitFailed, []string{"MANAGE_AUDIENCE is missing", "MANAGE_KEY"}, "tier", "list", "--server", "https://gateway.example")
}

func TestAWrongKeyGivesAHint(t *testing.T) {
	m := newTerminal(t)
	m.deploy()
	m.environment["MANAGE_KEY"] = strings.Repeat("x", 40)
	m.fails(exitDenied, []string{"Is MANAGE_KEY the gateway's"}, "tier", "list")
}

// An operator who sends changes to a server must not send it what is meant for
// another place: the file's key is for a gateway on this machine.
func TestTheSettingsFilesKeyIsOnlySentToThisMachine(t *testing.T) {
	m := newTerminal(t)
	m.deploy()
	if err := os.WriteFile("local.settings.json", fmt.Appendf(nil, `{"Values":{"MANAGE_KEY":%q}}`, testKey), 0o600); err != nil {
		t.Fatal(err)
	}
	delete(m.environment, "MANAGE_KEY")
	m.must("tier", "list")
	m.fails(exitFailed, []string{"MANAGE_AUDIENCE is missing"}, "tier", "list", "--server", "https://gateway.example")
}

func TestAKeyIsRotatedWithAnOverlapAndExpires(t *testing.T) {
	m := newTerminal(t)
	m.must("tier", "set", "standard", "--create", "--tokens-per-minute", "1000")
	m.must("subscription", "create", "a", "--tier", "standard")
	first := strings.TrimSpace(m.must("key", "create", "a"))
	second := strings.TrimSpace(m.must("key", "rotate", "a", "--overlap", "24h"))
	m.expect(first, nil)
	m.expect(second, nil)
	var account subscription.Account
	if err := json.Unmarshal([]byte(m.must("subscription", "show", "a", "-o", "json")), &account); err != nil || len(account.Keys) != 2 {
		t.Errorf("%+v, %v", account, err)
	}
	if shown := m.must("key", "expire", "a", "--slot", "primary", "--in", "48h"); !strings.Contains(shown, "expires ") {
		t.Errorf("key expire printed %s", shown)
	}
	if shown := m.must("key", "expire", "a", "--slot", "primary", "--never"); strings.Contains(shown, "expires ") {
		t.Errorf("key expire --never printed %s", shown)
	}
	m.fails(exitUsage, []string{"--in TIME or --never"}, "key", "expire", "a", "--slot", "primary")
	m.fails(exitUsage, []string{`--expires is "tomorrow"`}, "key", "rotate", "a", "--expires", "tomorrow")
	m.fails(exitUsage, []string{"expires is not in the future"}, "key", "rotate", "a", "--expires", "-1h")
	m.fails(exitUsage, []string{"overlap is out of range"}, "key", "rotate", "a", "--overlap", "2161h")
	m.must("key", "revoke", "a", "--slot", "primary")
	m.expect(first, subscription.ErrUnauthorized)
	m.expect(second, subscription.ErrUnauthorized)
}

func TestUsagePrintsATableJSONAndCSV(t *testing.T) {
	m := newTerminal(t)
	if _, stderr, _ := m.run("usage"); !strings.Contains(stderr, "Nothing has been counted yet") {
		t.Errorf("without counters usage says %s", stderr)
	}
	m.count("team-a", 12_468)
	m.count("team-b/model=r1", 50)
	if shown := m.must("usage"); !strings.Contains(shown, "12.4k/100.0k") || !strings.Contains(shown, "12.4k/5.0M Yearly") || !strings.Contains(shown, " UTC") || !strings.Contains(shown, "team-b/model=r1") {
		t.Errorf("usage printed\n%s", shown)
	}
	var listed []manage.Standing
	if err := json.Unmarshal([]byte(m.must("usage", "--search", "R1", "-o", "json")), &listed); err != nil || len(listed) != 1 || listed[0].Subscription != "team-b" || listed[0].Quota.Used != 50 {
		t.Errorf("usage as JSON: %+v, %v", listed, err)
	}
	cells, err := csv.NewReader(strings.NewReader(m.must("usage", "team-a", "--csv"))).ReadAll()
	if err != nil || len(cells) != 2 || cells[1][0] != "team-a" || cells[1][6] != "12468" {
		t.Errorf("usage as CSV: %v, %v", cells, err)
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
			t.Errorf("%v: status %d, %s%s", command, status, stdout, stderr)
		}
	}
	if _, stderr, _ := m.run("usage", "--tier", "other"); !strings.Contains(stderr, "No counter matches") {
		t.Errorf("of a tier without counters usage says %s", stderr)
	}
}

// happened adds a closed minute to the history.
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

func TestHistoryByMinuteHourAndDay(t *testing.T) {
	m := newTerminal(t)
	noon := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	m.happened("team-a", noon, 10_000, 2_500)
	m.happened("team-a", noon.Add(time.Minute), 1, 2)
	m.happened("team-b", noon.Add(time.Hour), 3, 4)
	day := []string{"--from", "2026-03-01T00:00:00Z", "--to", "2026-03-02T00:00:00Z"}
	if shown := m.must(append([]string{"usage", "--by", "minute"}, day...)...); !strings.Contains(shown, "2026-03-01 12:01 UTC   team-a") || !strings.Contains(shown, "12.5k") {
		t.Errorf("by minute:\n%s", shown)
	}
	if shown := m.must(append([]string{"usage", "team-a", "--by", "hour"}, day...)...); strings.Contains(shown, "team-b") || strings.Count(shown, "\n") != 2 {
		t.Errorf("team-a by hour:\n%s", shown)
	}
	cells, err := csv.NewReader(strings.NewReader(m.must(append([]string{"usage", "--by", "day", "--sum", "--csv"}, day...)...))).ReadAll()
	if err != nil || len(cells) != 2 || strings.Join(cells[1], " ") != "2026-03-01T00:00:00Z  10004 2506 12510 3 0" {
		t.Errorf("by day: %v, %v", cells, err)
	}
	m.fails(exitUsage, []string{`by "week" is unknown`, "use minute, hour, day"}, "usage", "--by", "week")
	m.fails(exitUsage, []string{`from "yesterday" is not a time`}, "usage", "--by", "day", "--from", "yesterday")
}

func TestWatchLooksAgain(t *testing.T) {
	m := newTerminal(t)
	m.count("idle", 0)
	m.count("busy", 60_000)
	shown := m.must("watch", "--count", "1")
	if !strings.Contains(shown, " UTC\n") || strings.Index(shown, "busy") > strings.Index(shown, "idle") || strings.Contains(shown, "\x1b") {
		t.Errorf("watch printed\n%s", shown)
	}
	if lines := strings.Count(m.must("watch", "--count", "2", "--interval", "1s", "-o", "json"), "\n"); lines != 2 {
		t.Errorf("two looks are %d lines", lines)
	}
	m.fails(exitUsage, []string{"use 1s or more"}, "watch", "--interval", "10ms")
	m.fails(exitUsage, []string{"use 1 or more"}, "watch", "--count", "-1")
}

func TestDoctorNamesTheFix(t *testing.T) {
	m := newTerminal(t)
	model := httptest.NewServer(new(r1sim.Endpoint))
	defer model.Close()
	m.environment["UPSTREAM_URL"], m.environment["UPSTREAM_API_KEY"] = model.URL, r1sim.Key
	m.must("tier", "set", "standard", "--create", "--tokens-per-minute", "1000")
	m.must("subscription", "create", "a", "--tier", "standard")
	if shown := m.must("doctor"); strings.Contains(shown, "WRONG") || !strings.Contains(shown, "1 tier, 1 subscription") || !strings.Contains(shown, "of the table service's") {
		t.Errorf("doctor printed\n%s", shown)
	}
	m.must("key", "create", "a")
	for name, wrong := range map[string][2]string{ // each stops the gateway, or every call, and passed once
		"UPSTREAM_HEADER_TIMEOUT": {"5", "UPSTREAM_HEADER_TIMEOUT is"}, "BASE_PATH": {"inference", "BASE_PATH is"}, "TELEMETRY_SAMPLING": {"10%", "TELEMETRY_SAMPLING is"},
		"METRIC_INTERVAL": {"7s", "METRIC_INTERVAL is"}, "CONSOLE": {"true", "CONSOLE is"}, "MANAGE_KEY": {"short", "MANAGE_KEY is"}, "UPSTREAM_SHAPE": {"azure", "UPSTREAM_SHAPE is"},
		"UPSTREAM_API_KEY": {"canary", "refuses the credential with 401"}, "KEY_PEPPER": {"another-canary-of-a-pepper", "KEY_PEPPER is not the one"},
	} {
		before := m.environment[name]
		m.environment[name] = wrong[0]
		if stdout, stderr, status := m.run("doctor"); status != exitFailed || !strings.Contains(stdout, wrong[1]) || strings.Contains(stdout+stderr, "canary") {
			t.Errorf("%s=%s: status %d, printed\n%s\nwithout %s", name, wrong[0], status, stdout, wrong[1])
		}
		if name == "KEY_PEPPER" {
			m.fails(exitConflict, []string{"KEY_PEPPER is not the one"}, "key", "create", "a", "--slot", "secondary")
			m.fails(exitConflict, []string{"KEY_PEPPER is not the one"}, "key", "rotate", "a")
		}
		m.environment[name] = before
	}
	m.environment["UPSTREAM_API_KEY"] = "canary"
	m.environment["UPSTREAM_URL"], m.environment["KEY_PEPPER"] = "http://127.0.0.1:1", "short"
	m.environment["APPLICATIONINSIGHTS_CONNECTION_STRING"] = "IngestionEndpoint=https://x.example/"
	stdout, stderr, status := m.run("doctor")
	for _, part := range []string{"KEY_PEPPER is shorter", "http://127.0.0.1:1 can't be reached", "check the firewall", "has no InstrumentationKey"} {
		if !strings.Contains(strings.ReplaceAll(stdout, "check the address, the firewall", "check the firewall"), part) {
			t.Errorf("doctor printed\n%s\nwithout %s", stdout, part)
		}
	}
	if status != exitFailed || !strings.Contains(stderr, "checks found something wrong") || strings.Contains(stdout+stderr, "canary") {
		t.Errorf("status %d, said %s", status, stderr)
	}
	m.environment["UPSTREAM_URL"], m.environment["UPSTREAMS"] = "", "[{"
	if stdout, _, _ := m.run("doctor"); !strings.Contains(stdout, "UPSTREAMS is not a JSON array") {
		t.Errorf("UPSTREAMS that can't be read:\n%s", stdout)
	}
	m.environment = nil
	if stdout, _, status := m.run("doctor", "-o", "json"); status != exitFailed || !strings.Contains(stdout, "AzureWebJobsStorage is missing") {
		t.Errorf("without settings: status %d, %s", status, stdout)
	}
}

func TestImportCarriesOverWhatItCan(t *testing.T) {
	m := newTerminal(t)
	write := func(name, text string) string {
		t.Helper()
		path := filepath.Join(t.TempDir(), name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	ended := write("ended.json", `[{"name":"team-d","scope":"/x/products/gold","state":"active","expirationDate":"2020-01-02T00:00:00Z"}]`)
	policy := write("policy.xml", `<policies><inbound><base/><llm-token-limit counter-key="@(context.Subscription.Id)" tokens-per-minute="500" estimate-prompt-tokens="false" `+
		`remaining-tokens-header-name="x-left"/><cache-lookup/></inbound></policies>`)
	subs := write("subs.json", `{"value":[{"name":"Team-A","properties":{"scope":"/x/products/gold","displayName":"Team A","state":"active"}},`+
		`{"name":"team-b","properties":{"scope":"/x/products/gold","state":"suspended"}},{"name":"team-c","properties":{"scope":"/x/products/free","state":"active"}}]}`)
	keys := filepath.Join(t.TempDir(), "keys.csv")
	args := []string{"import", "--tier", "gold", "--policy", policy, "--subscriptions", subs, "--product", "gold", "--keys-to", keys}

	if shown := m.must(append(args, "--dry-run")...); !strings.Contains(shown, "would be made") || !strings.Contains(shown, "REMAINING_TOKENS_HEADER=x-left") || !strings.Contains(shown, "cache-lookup") {
		t.Errorf("a dry run printed\n%s", shown)
	}
	if shown := m.must("tier", "list", "-o", "json"); strings.TrimSpace(shown) != "[]" {
		t.Errorf("a dry run made %s", shown)
	}
	if shown := m.must(args...); !strings.Contains(shown, "made, with a new key") || strings.Contains(shown, "team-c") {
		t.Errorf("import printed\n%s", shown)
	}
	info, err := os.Stat(keys)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Fatalf("%v, %v", info, err)
	}
	text, err := os.ReadFile(keys)
	if err != nil {
		t.Fatal(err)
	}
	rows, err := csv.NewReader(strings.NewReader(string(text))).ReadAll()
	if err != nil || len(rows) != 3 || rows[1][0] != "team-a" {
		t.Fatalf("keys are %v, %v", len(rows), err)
	}
	if grant := m.expect(rows[1][2], nil); grant.Tier.TokensPerMinute != 500 || grant.Tier.Reserve != subscription.ReserveNone || grant.Subscription.Name != "Team A" {
		t.Errorf("the key grants %+v", grant)
	}
	m.expect(rows[2][2], subscription.ErrUnauthorized) // it was suspended there
	if strings.Contains(m.said.String(), rows[1][2]) {
		t.Error("import printed a key")
	}
	m.fails(exitFailed, []string{"--keys-to"}, args...) // never over what is there
	if shown := m.must(args[:9]...); strings.Count(shown, "is there already") != 3 {
		t.Errorf("a second import printed\n%s", shown)
	}
	if shown := m.must("import", "--tier", "gold", "--subscriptions", ended, "--keys-to", filepath.Join(t.TempDir(), "more.csv")); !strings.Contains(shown, "its end on 2020-01-02 00:00 UTC, which has passed") {
		t.Errorf("the import of one that has ended printed\n%s", shown)
	}
	m.fails(exitUsage, []string{"--tier is missing"}, "import", "--policy", policy)
	m.fails(exitUsage, []string{"no llm-token-limit"}, "import", "--tier", "x", "--policy", write("other.xml", "<policies/>"))
}

// TestImportPrintsNoControlCharacters: a policy is written by others, and its
// values are quoted in what is lost, in settings and in errors.
func TestImportPrintsNoControlCharacters(t *testing.T) {
	m := newTerminal(t)
	const acts = "\u009b31m\u202e\u2066\u0085\u007f" // what XML lets through: C1 and bidi controls, DEL
	attributes := `counter-key="all` + acts + `" remaining-tokens-header-name="x` + acts + `" other` + `="` + acts + `" estimate-prompt-tokens="` + acts + `"`
	metric := `<llm-emit-token-metric namespace="n` + acts + `"><dimension name="d` + acts + `" value="v` + acts + `"/></llm-emit-token-metric>`
	fragment := `<include-fragment fragment-id="` + acts + `"/>`
	dir := t.TempDir()
	good, bad, subs := filepath.Join(dir, "good.xml"), filepath.Join(dir, "bad.xml"), filepath.Join(dir, "subs.json")
	for path, text := range map[string]string{
		good: `<fragment><llm-token-limit tokens-per-minute="10" ` + attributes + `/>` + metric + fragment + `</fragment>`,
		bad:  `<fragment><llm-token-limit tokens-per-minute="` + acts + `"/></wrong` + acts + `>`,
		subs: `[{"name":"team` + acts + `","scope":"/x/` + acts + `/y"}]`,
	} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, args := range [][]string{{"--policy", good, "--subscriptions", subs}, {"--policy", good, "--subscriptions", subs, "-o", "json"}, {"--policy", bad}} {
		stdout, stderr, _ := m.run(append([]string{"import", "--tier", "gold", "--dry-run"}, args...)...)
		for _, r := range strings.ReplaceAll(stdout+stderr, "\n", "") {
			if r != '\n' && (unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r)) {
				t.Errorf("%v printed %U:\n%q", args, r, stdout+stderr)
				break
			}
		}
		if !strings.Contains(stdout+stderr, "\ufffd") && !strings.Contains(stdout+stderr, "not XML") {
			t.Errorf("%v printed none of it:\n%s", args, stdout+stderr)
		}
	}
}

func TestADryRunShowsWhatAnImportWouldDo(t *testing.T) {
	m := newTerminal(t)
	subs := filepath.Join(t.TempDir(), "subs.json")
	if err := os.WriteFile(subs, []byte(`[{"name":"team-a"},{"name":"team-b"}]`), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, how := range [][]string{{"--dry-run"}, {}} {
		m.fails(exitNotFound, []string{`tier "gold" was not found`}, append([]string{"import", "--tier", "gold", "--subscriptions", subs}, how...)...)
	}
	m.must("tier", "set", "gold", "--create", "--tokens-per-minute", "10")
	m.must("subscription", "create", "team-a", "--tier", "gold")
	shown := m.must("import", "--tier", "gold", "--subscriptions", subs, "--dry-run")
	if strings.Count(shown, "is there already, and would stay as it is") != 1 || strings.Count(shown, "would be made") != 1 {
		t.Errorf("a dry run printed\n%s", shown)
	}
}

func TestEveryChangeIsAudited(t *testing.T) {
	m := newTerminal(t)
	m.must("tier", "set", "standard", "--create", "--tokens-per-minute", "1000")
	m.must("tier", "set", "standard", "--create", "--tokens-per-minute", "2000")
	shown := m.must("audit", "standard")
	if !strings.Contains(shown, "tokensPerMinute from 1000 to 2000") || !strings.Contains(shown, "command line (") || !strings.Contains(shown, "done") {
		t.Errorf("audit printed\n%s", shown)
	}
}

func TestWatchAndCSVNameAnUnreadableCounter(t *testing.T) {
	var out strings.Builder
	printWatched(&out, []manage.Standing{{Counter: "team-a", Problem: "the row was edited"}}, "")
	if !strings.Contains(out.String(), "team-a\tthe row was edited\n") {
		t.Errorf("watch writes %q", out.String())
	}
	if cells := standingCells(manage.Standing{Counter: "team-a", Problem: "the row was edited"}); len(cells) != 13 || strings.Join(cells, "") != "team-athe row was edited" {
		t.Errorf("the spreadsheet has %q", cells)
	}
}

func TestControlCharactersMoveNoColumnOrCursor(t *testing.T) {
	var out strings.Builder
	row(&out, "a\x1b[31mb\nc\td", "", "Zoë", "e\u202efg")
	if got, want := out.String(), "a\ufffd[31mb\ufffdc\ufffdd\t-\tZoë\te\ufffdfg\n"; got != want {
		t.Errorf("row wrote %q, want %q", got, want)
	}
}

func TestAbbreviatedNumbersAreTruncated(t *testing.T) {
	for n, want := range map[int64]string{0: "0", 7: "7", 9_999: "9,999", 10_000: "10.0k", 12_468: "12.4k", 999_999: "999.9k", 1_000_000: "1.0M", 3_190_000_000: "3.1G", -12_468: "-12.4k", 1e15: "1,000.0T"} {
		if got := short(n); got != want {
			t.Errorf("%d is %s, want %s", n, got, want)
		}
	}
}

// put adds a row to a history.
func put(t *testing.T, history *countertables.History, row usage.Row) error {
	t.Helper()
	return history.PutClosed(t.Context(), row.Counter, row.Epoch, row.Closed)
}

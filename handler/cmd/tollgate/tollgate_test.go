package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync/atomic"
	"testing"

	wiring "tollgate/handler/app"
	"tollgate/handler/azure"
	"tollgate/handler/local/azurite"
	"tollgate/handler/secret"
	"tollgate/handler/subscription"
	"tollgate/handler/subscription/tablestore"
)

func TestMain(m *testing.M) { os.Exit(azurite.Main(m)) }

const testPepper = "the pepper of these tests"

var opened atomic.Int64

// A terminal runs commands with its own tables and environment.
type terminal struct {
	t           *testing.T
	environment map[string]string
	tables      wiring.TableNames
	stderr      bytes.Buffer // of all commands
}

func newTerminal(t *testing.T) *terminal {
	t.Helper()
	connection := azurite.Shared(t)
	t.Chdir(t.TempDir())
	n := opened.Add(1)
	return &terminal{t: t, environment: map[string]string{"AzureWebJobsStorage": connection, "KEY_PEPPER": testPepper},
		tables: wiring.TableNames{Directory: tablestore.Tables{Tiers: fmt.Sprintf("tiers%d", n), Groups: fmt.Sprintf("groups%d", n), Subscriptions: fmt.Sprintf("subscriptions%d", n), Keys: fmt.Sprintf("keys%d", n)},
			Counters: fmt.Sprintf("counters%d", n), Ledger: fmt.Sprintf("usage%d", n), Prices: fmt.Sprintf("prices%d", n), Audit: fmt.Sprintf("audit%d", n),
			Responses: fmt.Sprintf("responses%d", n), Turns: fmt.Sprintf("turns%d", n)}}
}

// run runs one command.
func (m *terminal) run(args ...string) (stdout, stderr string, status int) {
	m.t.Helper()
	var out, err bytes.Buffer
	a := &app{getenv: func(name string) string { return m.environment[name] }, stdout: &out, stderr: &err, tables: m.tables}
	status = a.execute(m.t.Context(), args)
	m.stderr.Write(err.Bytes())
	return out.String(), err.String(), status
}

// must runs a command that must succeed, and returns its output.
func (m *terminal) must(args ...string) string {
	m.t.Helper()
	stdout, stderr, status := m.run(args...)
	if status != exitDone {
		m.t.Fatalf("tollgate %s: got status %d and %s, want %d", strings.Join(args, " "), status, stderr, exitDone)
	}
	return stdout
}

// fails runs a command and checks its exit status, and that stderr has each of parts.
func (m *terminal) fails(status int, parts []string, args ...string) {
	m.t.Helper()
	stdout, stderr, got := m.run(args...)
	if got != status || stdout != "" {
		m.t.Errorf("tollgate %s: got status %d and stdout %q, want %d and none", strings.Join(args, " "), got, stdout, status)
	}
	for _, part := range parts {
		if !strings.Contains(stderr, part) {
			m.t.Errorf("tollgate %s: got stderr %q, want %q in it", strings.Join(args, " "), stderr, part)
		}
	}
}

// directory opens the terminal's tables as the gateway does.
func (m *terminal) directory() *subscription.Directory {
	m.t.Helper()
	pepper, err := subscription.NewPepper(testPepper)
	if err != nil {
		m.t.Fatal(err)
	}
	return subscription.NewDirectory(m.stores().Directory, pepper)
}

// stores opens the terminal's tables.
func (m *terminal) stores() wiring.Stores {
	m.t.Helper()
	stores, err := wiring.OpenTables(azure.Settings{ConnectionString: secret.New(m.environment["AzureWebJobsStorage"])}, m.tables)
	if err != nil {
		m.t.Fatal(err)
	}
	return stores
}

// expect authenticates a key with a new directory, which has nothing cached.
func (m *terminal) expect(key string, want error) *subscription.Grant {
	m.t.Helper()
	grant, err := m.directory().Authenticate(m.t.Context(), key)
	if !errors.Is(err, want) {
		m.t.Fatalf("Authenticate: got error %v, want %v", err, want)
	}
	return grant
}

func TestAnOperatorSetsUpAndSuspendsASubscription(t *testing.T) {
	m := newTerminal(t)
	if shown := m.must("tier", "set", "standard", "--create", "--tokens-per-minute", "1000", "--models", "a,b"); !strings.Contains(shown, "tokens 1,000/minute   of tier standard") {
		t.Errorf("tier set: got %s, want the limit of 1,000 tokens a minute with its tier", shown)
	}
	m.must("subscription", "create", "team-a", "--tier", "standard", "--name", "Team A")
	primary := strings.TrimSuffix(m.must("key", "create", "team-a"), "\n")
	secondary := strings.TrimSuffix(m.must("key", "create", "team-a", "--slot", "secondary", "-q"), "\n")

	grant := m.expect(primary, nil)
	if grant.Subscription.Name != "Team A" || grant.Tier.Limits[0].PerMinute != 1000 || grant.Slot != subscription.Primary || grant.Tier.AllowsModel("c") {
		t.Errorf("the primary key: got %+v, want Team A with 1000 tokens a minute, without the model c", grant)
	}
	if grant := m.expect(secondary, nil); grant.Slot != subscription.Secondary {
		t.Errorf("the secondary key: got %+v, want its slot", grant)
	}

	rotated := strings.TrimSuffix(m.must("key", "rotate", "team-a"), "\n")
	m.expect(primary, subscription.ErrUnauthorized)
	m.expect(rotated, nil)
	m.must("key", "revoke", "team-a", "--slot", "secondary")
	m.expect(secondary, subscription.ErrUnauthorized)

	if shown := m.must("subscription", "suspend", "team-a"); !strings.Contains(shown, "suspended") {
		t.Errorf("subscription suspend: got %s, want suspended", shown)
	}
	m.expect(rotated, subscription.ErrUnauthorized)
	m.must("subscription", "resume", "team-a")
	m.expect(rotated, nil)

	for _, key := range []string{primary, secondary, rotated, testPepper} {
		if strings.Contains(m.stderr.String(), key) {
			t.Error("got a key or the pepper on stderr, want them nowhere")
		}
	}
}

func TestOverridesAreSetAndInherited(t *testing.T) {
	m := newTerminal(t)
	m.must("tier", "set", "standard", "--create", "--tokens-per-minute", "1000")
	before := version(t, m.must("subscription", "create", "a", "--tier", "standard", "--tokens-per-minute", "50", "--max-wait", "2s", "-o", "json"))
	key := strings.TrimSpace(m.must("key", "create", "a"))
	if tier := m.expect(key, nil).Tier; tier.Limits[0].PerMinute != 50 || tier.MaxWait == 0 {
		t.Errorf("created with overrides: got %+v, want 50 tokens a minute and a maximum wait", tier)
	}
	after := version(t, m.must("subscription", "set", "a", "--burst-tokens", "7", "--inherit", "tokens-per-minute,max-wait", "-o", "json"))
	if tier := m.expect(key, nil).Tier; tier.Limits[0].PerMinute != 1000 || tier.MaxWait != 0 || tier.Limits[0].Burst != 7 || after <= before {
		t.Errorf("inherited: got version %d after %d and %+v, want a later one, 1000 tokens a minute, no wait and a burst of 7", after, before, tier)
	}
	m.must("tier", "set", "gold", "--create", "--tokens-per-minute", "9000")
	m.must("subscription", "set", "a", "--tier", "gold", "--inherit", "burst-tokens")
	if tier := m.expect(key, nil).Tier; tier.ID != "gold" || tier.Limits[0].PerMinute != 9000 || tier.Limits[0].Burst != 0 {
		t.Errorf("moved to another tier: got %+v, want gold with 9000 tokens a minute and no burst", tier)
	}
	var shown struct{ Overrides json.RawMessage }
	if err := json.Unmarshal([]byte(m.must("subscription", "show", "a", "-o", "json")), &shown); err != nil || shown.Overrides != nil {
		t.Errorf("with every limit inherited: got overrides %s and error %v, want none", shown.Overrides, err)
	}
}

// version returns the version in a result's JSON.
func version(t *testing.T, text string) int64 {
	t.Helper()
	var shown struct{ Version int64 }
	if err := json.Unmarshal([]byte(text), &shown); err != nil || shown.Version == 0 {
		t.Fatalf("got %s and error %v, want a version", text, err)
	}
	return shown.Version
}

func TestJSONOutputIsComplete(t *testing.T) {
	m := newTerminal(t)
	for _, list := range []string{"tier", "group", "subscription"} {
		if shown := m.must(list, "list", "--output", "json"); strings.TrimSpace(shown) != "[]" {
			t.Errorf("%s list: got %s, want []", list, shown)
		}
	}
	m.must("tier", "set", "standard", "--create", "--tokens-per-minute", "1000")
	m.must("subscription", "create", "a", "--tier", "standard")
	m.must("tier", "set", "other", "--create")
	m.must("subscription", "create", "b", "--tier", "other")

	var made struct{ Subscription, Slot, Created, Key string }
	if err := json.Unmarshal([]byte(m.must("key", "create", "a", "-o", "json")), &made); err != nil ||
		made.Subscription != "a" || made.Slot != "primary" || made.Created == "" || !subscription.WellFormed(made.Key) {
		t.Errorf("key create: got %+v and error %v, want a primary key of a with its time", made, err)
	}
	var listed []struct{ ID, Tier string }
	if err := json.Unmarshal([]byte(m.must("subscription", "list", "--tier", "other", "-o", "json")), &listed); err != nil || len(listed) != 1 || listed[0].ID != "b" {
		t.Errorf("subscription list --tier other: got %+v and error %v, want b only", listed, err)
	}
	shown := m.must("subscription", "show", "a", "-o", "json")
	var account subscription.Details
	if err := json.Unmarshal([]byte(shown), &account); err != nil || len(account.Rules.Limits) != 1 || account.Rules.Limits[0].PerMinute != 1000 || len(account.Keys) != 1 {
		t.Errorf("subscription show: got %+v and error %v, want 1000 tokens a minute and one key", account, err)
	}
	if strings.Contains(shown, made.Key) || strings.Contains(strings.ToLower(shown), "hash") {
		t.Errorf("subscription show: got %s, want neither the key nor its hash", shown)
	}
}

func TestVersionPrintsJSON(t *testing.T) {
	m := newTerminal(t)
	var build struct{ Version string }
	if err := json.Unmarshal([]byte(m.must("version", "-o", "json")), &build); err != nil || build.Version != strings.TrimSpace(m.must("version")) {
		t.Errorf("version as JSON: got %+v and error %v, want the version that the table shows", build, err)
	}
}

func TestTablesShowTheResults(t *testing.T) {
	m := newTerminal(t)
	if _, stderr, _ := m.run("subscription", "list"); !strings.Contains(stderr, "subscription create") {
		t.Errorf("an empty list: got %q, want a hint at subscription create", stderr)
	}
	m.must("tier", "set", "standard", "--create", "--tokens-per-minute", "1234567", "--token-quota", "2000000", "--token-quota-period", "Daily")
	m.must("subscription", "create", "a", "--tier", "standard")
	m.must("key", "create", "a")
	for _, test := range []struct {
		args  []string
		parts []string
	}{
		{[]string{"tier", "list"}, []string{"TIER", "tokens 1,234,567/minute 2,000,000/day", "prompt", "degrade", "all"}},
		{[]string{"tier", "show", "standard"}, []string{"Reserve", "prompt", "of tier standard"}},
		{[]string{"subscription", "list"}, []string{"SUBSCRIPTION", "standard", "active", " UTC"}},
		{[]string{"subscription", "show", "a"}, []string{"1,234,567", "Key, primary", " UTC"}},
	} {
		shown := m.must(test.args...)
		for _, part := range test.parts {
			if !strings.Contains(shown, part) {
				t.Errorf("tollgate %s: got\n%s\nwant %s in it", strings.Join(test.args, " "), shown, part)
			}
		}
	}
}

func TestSurprisingLimitsAreWarnedAbout(t *testing.T) {
	m := newTerminal(t)
	if _, stderr, status := m.run("tier", "set", "misspelt", "--create"); status != exitDone || !strings.Contains(stderr, "warning: nothing is limited") {
		t.Errorf("a tier without limits: got status %d and %q, want %d and a warning that nothing is limited", status, stderr, exitDone)
	}
	_, stderr, status := m.run("tier", "set", "strict", "--create", "--tokens-per-minute", "1000", "--reserve", "full", "--on-store-down", "open", "-q")
	if status != exitDone || !strings.Contains(stderr, "warning: onStoreDown open: ") || !strings.Contains(stderr, "maxCompletionTokens") {
		t.Errorf("onStoreDown open with reserve full: got status %d and %q, want %d and warnings about onStoreDown and maxCompletionTokens", status, stderr, exitDone)
	}
}

func TestBadInputIsReportedAndChangesNothing(t *testing.T) {
	m := newTerminal(t)
	m.must("tier", "set", "standard", "--create", "--tokens-per-minute", "1000")
	m.must("subscription", "create", "a", "--tier", "standard")
	m.must("key", "create", "a")
	before := m.must("tier", "list", "-o", "json") + m.must("subscription", "show", "a", "-o", "json")
	for _, test := range []struct {
		status int
		parts  []string
		args   []string
	}{
		{exitUsage, []string{`unknown command "tear"`, "did you mean tier", "tollgate --help"}, []string{"tear"}},
		{exitUsage, []string{`unknown command "sett"`, "did you mean set", "tollgate tier --help"}, []string{"tier", "sett"}},
		{exitUsage, []string{"unknown flag: --bogus", "tollgate tier set --help"}, []string{"tier", "set", "x", "--bogus"}},
		{exitUsage, []string{"ID is missing"}, []string{"tier", "set"}},
		{exitUsage, []string{"there is nothing to change"}, []string{"subscription", "set", "a"}},
		{exitUsage, []string{`"y" is one argument too many`}, []string{"tier", "show", "x", "y"}},
		{exitUsage, []string{`ID is "..", which can't be an id`, "tollgate tier show ID"}, []string{"tier", "show", ".."}},
		{exitUsage, []string{`ID is ""`}, []string{"subscription", "suspend", ""}},
		{exitUsage, []string{"--output", "use table or json"}, []string{"tier", "list", "-o", "yaml"}},
		{exitUsage, []string{"--tokens-per-minute", "use a whole number of tokens"}, []string{"tier", "set", "x", "--create", "--tokens-per-minute", "1.5"}},
		{exitUsage, []string{"--max-wait", "use a time with its unit"}, []string{"tier", "set", "x", "--create", "--max-wait", "5"}},
		{exitUsage, []string{"--shadow", "use true or false"}, []string{"tier", "set", "x", "--create", "--shadow=maybe"}},
		{exitUsage, []string{`id "Gold Tier" is not an id`, "a-z"}, []string{"tier", "set", "Gold Tier", "--create"}},
		{exitUsage, []string{"tokensPerMinute is out of range", "burstTokens is out of range", `reserve "all" is unknown: use none, prompt, full`},
			[]string{"tier", "set", "x", "--create", "--tokens-per-minute", "-1", "--burst-tokens", "-1", "--reserve", "all"}},
		{exitUsage, []string{"limits.tokens.quota is above", "could never take effect"}, []string{"tier", "set", "standard", "--create", "--token-quota", "90000", "--token-quota-period", "Hourly"}},
		{exitUsage, []string{"--tier is missing", "tollgate tier list"}, []string{"subscription", "create", "b"}},
		{exitNotFound, []string{`tier "gold" was not found`}, []string{"subscription", "create", "b", "--tier", "gold"}},
		{exitNotFound, []string{`tier "gold" was not found`}, []string{"subscription", "set", "a", "--tier", "gold"}},
		{exitConflict, []string{`subscription "a" exists already`}, []string{"subscription", "create", "a", "--tier", "standard"}},
		{exitUsage, []string{`--inherit "speed" is not a value that can be inherited`, "tokens-per-minute"}, []string{"subscription", "set", "a", "--inherit", "speed"}},
		{exitUsage, []string{"limits.tokens.counterKey has the unknown part {user}"}, []string{"subscription", "set", "a", "--counter-key", "{user}"}},
		{exitUsage, []string{"would store a header that may contain a secret"}, []string{"tier", "set", "x", "--create", "--tokens-per-minute", "1", "--counter-key", "{header:Authorization}"}},
		{exitNotFound, []string{`subscription "b" was not found`}, []string{"subscription", "suspend", "b"}},
		{exitNotFound, []string{`subscription "b" was not found`}, []string{"subscription", "show", "b"}},
		{exitUsage, []string{`id "it's" is not an id`}, []string{"key", "create", "it's"}},
		{exitNotFound, []string{`subscription "b" was not found`}, []string{"key", "create", "b"}},
		{exitConflict, []string{"the primary key", "exists already", "rotate it"}, []string{"key", "create", "a"}},
		{exitUsage, []string{`slot "third" is unknown: use primary or secondary`}, []string{"key", "rotate", "a", "--slot", "third"}},
		{exitNotFound, []string{"the secondary key", "was not found", "create it"}, []string{"key", "rotate", "a", "--slot", "secondary"}},
		{exitUsage, []string{"--slot is missing", "primary or secondary"}, []string{"key", "revoke", "a"}},
	} {
		m.fails(test.status, test.parts, test.args...)
	}
	if after := m.must("tier", "list", "-o", "json") + m.must("subscription", "show", "a", "-o", "json"); after != before {
		t.Errorf("after bad input: got\n%s\nwant\n%s", after, before)
	}
}

// A misspelt id must not create a second tier.
func TestSetDoesNotCreateAMisspeltTier(t *testing.T) {
	m := newTerminal(t)
	m.fails(exitNotFound, []string{`no tier "gold"`, "--create"}, "tier", "set", "gold", "--tokens-per-minute", "1000")
	m.stderr.Reset()
	m.must("tier", "set", "gold", "--create", "--tokens-per-minute", "1000")
	if !strings.Contains(m.stderr.String(), "Tier gold is created") {
		t.Errorf("a new tier: got the note %q, want \"Tier gold is created\"", m.stderr.String())
	}
	for _, typo := range []string{"glod", "golt", "gol", "golds", "god", "bold"} {
		m.fails(exitNotFound, []string{`no tier "` + typo + `"`, `Did you mean "gold"?`, "--create"}, "tier", "set", typo, "--tokens-per-minute", "1")
	}
	m.fails(exitNotFound, []string{`no tier "silver"`}, "tier", "set", "silver")
	m.stderr.Reset()
	m.must("tier", "set", "gold", "--create", "--burst-tokens", "5")
	m.must("tier", "set", "gold", "--max-wait", "1s")
	if strings.Contains(m.stderr.String(), "is created") {
		t.Errorf("an existing tier: got the note %q, want none that it is created", m.stderr.String())
	}
	if shown := m.must("tier", "list"); strings.Count(shown, "\n") != 2 {
		t.Errorf("tier list: got %s, want a header and one tier", shown)
	}
	m.fails(exitUsage, []string{"tokensPerMinute is out of range"}, "tier", "set", "bronze", "--create", "--tokens-per-minute", "-1")
	m.fails(exitUsage, []string{"tokensPerMinute is out of range"}, "tier", "set", "gold", "--tokens-per-minute", "-1")
}

package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

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
	tables      tables
	said        bytes.Buffer // all that was ever printed, but for keys on stdout
}

func newTerminal(t *testing.T) *terminal {
	t.Helper()
	connection := azurite.Shared(t)
	t.Chdir(t.TempDir())
	n := opened.Add(1)
	return &terminal{t: t, environment: map[string]string{"AzureWebJobsStorage": connection, "KEY_PEPPER": testPepper},
		tables: tables{directory: tablestore.Tables{Tiers: fmt.Sprintf("tiers%d", n), Subscriptions: fmt.Sprintf("subscriptions%d", n), Keys: fmt.Sprintf("keys%d", n)},
			counters: fmt.Sprintf("counters%d", n), history: fmt.Sprintf("usage%d", n), audit: fmt.Sprintf("audit%d", n)}}
}

// run runs one command.
func (m *terminal) run(args ...string) (stdout, stderr string, status int) {
	m.t.Helper()
	var out, err bytes.Buffer
	a := &app{getenv: func(name string) string { return m.environment[name] }, stdout: &out, stderr: &err, tables: m.tables}
	status = a.execute(m.t.Context(), args)
	m.said.Write(err.Bytes())
	return out.String(), err.String(), status
}

// must runs a command that must succeed, and returns its output.
func (m *terminal) must(args ...string) string {
	m.t.Helper()
	stdout, stderr, status := m.run(args...)
	if status != exitDone {
		m.t.Fatalf("tollgate %s: status %d: %s", strings.Join(args, " "), status, stderr)
	}
	return stdout
}

// fails runs a command and checks its exit status, and that stderr has each of parts.
func (m *terminal) fails(status int, parts []string, args ...string) {
	m.t.Helper()
	stdout, stderr, got := m.run(args...)
	if got != status || stdout != "" {
		m.t.Errorf("tollgate %s: status %d, want %d; printed %q", strings.Join(args, " "), got, status, stdout)
	}
	for _, part := range parts {
		if !strings.Contains(stderr, part) {
			m.t.Errorf("tollgate %s printed %q, want %q in it", strings.Join(args, " "), stderr, part)
		}
	}
}

// directory returns a directory on the same tables, as the gateway has one.
func (m *terminal) directory() *subscription.Directory {
	m.t.Helper()
	service, e1 := azure.Open(azure.Settings{ConnectionString: secret.New(m.environment["AzureWebJobsStorage"])})
	pepper, e2 := subscription.NewPepper(testPepper)
	if err := errors.Join(e1, e2); err != nil {
		m.t.Fatal(err)
	}
	return subscription.NewDirectory(tablestore.New(service, m.tables.directory), pepper)
}

// expect authenticates a key with a new directory, which has nothing cached.
func (m *terminal) expect(key string, want error) *subscription.Grant {
	m.t.Helper()
	grant, err := m.directory().Authenticate(m.t.Context(), key)
	if !errors.Is(err, want) {
		m.t.Fatalf("Authenticate: %v, want %v", err, want)
	}
	return grant
}

func TestAnOperatorSetsUpAndSuspendsASubscription(t *testing.T) {
	m := newTerminal(t)
	if shown := m.must("tier", "set", "standard", "--create", "--tokens-per-minute", "1000", "--models", "a,b"); !strings.Contains(shown, "Tokens per minute       1,000") {
		t.Errorf("tier set printed %s", shown)
	}
	m.must("subscription", "create", "team-a", "--tier", "standard", "--name", "Team A")
	primary := strings.TrimSuffix(m.must("key", "create", "team-a"), "\n")
	secondary := strings.TrimSuffix(m.must("key", "create", "team-a", "--slot", "secondary", "-q"), "\n")

	grant := m.expect(primary, nil)
	if grant.Subscription.Name != "Team A" || grant.Tier.TokensPerMinute != 1000 || grant.Slot != subscription.Primary || grant.Tier.Serves("c") {
		t.Errorf("the primary key grants %+v", grant)
	}
	if grant := m.expect(secondary, nil); grant.Slot != subscription.Secondary {
		t.Errorf("the secondary key grants %+v", grant)
	}

	rotated := strings.TrimSuffix(m.must("key", "rotate", "team-a"), "\n")
	m.expect(primary, subscription.ErrUnauthorized)
	m.expect(rotated, nil)
	m.must("key", "revoke", "team-a", "--slot", "secondary")
	m.expect(secondary, subscription.ErrUnauthorized)

	if shown := m.must("subscription", "suspend", "team-a"); !strings.Contains(shown, "suspended") {
		t.Errorf("suspend printed %s", shown)
	}
	m.expect(rotated, subscription.ErrUnauthorized)
	m.must("subscription", "resume", "team-a")
	m.expect(rotated, nil)

	for _, key := range []string{primary, secondary, rotated, testPepper} {
		if strings.Contains(m.said.String(), key) {
			t.Error("a secret was printed beside a result")
		}
	}
}

func TestOverridesAreSetAndInherited(t *testing.T) {
	m := newTerminal(t)
	m.must("tier", "set", "standard", "--create", "--tokens-per-minute", "1000")
	before := version(t, m.must("subscription", "create", "a", "--tier", "standard", "--tokens-per-minute", "50", "--max-wait", "2s", "-o", "json"))
	key := strings.TrimSpace(m.must("key", "create", "a"))
	if tier := m.expect(key, nil).Tier; tier.TokensPerMinute != 50 || tier.MaxWait == 0 {
		t.Errorf("created with overrides: %+v", tier)
	}
	after := version(t, m.must("subscription", "set", "a", "--burst-tokens", "7", "--inherit", "tokens-per-minute,max-wait", "-o", "json"))
	if tier := m.expect(key, nil).Tier; tier.TokensPerMinute != 1000 || tier.MaxWait != 0 || tier.BurstTokens != 7 || after <= before {
		t.Errorf("inherited, version %d after %d: %+v", after, before, tier)
	}
	m.must("tier", "set", "gold", "--create", "--tokens-per-minute", "9000")
	m.must("subscription", "set", "a", "--tier", "gold", "--inherit", "burst-tokens")
	if tier := m.expect(key, nil).Tier; tier.ID != "gold" || tier.TokensPerMinute != 9000 || tier.BurstTokens != 0 {
		t.Errorf("moved: %+v", tier)
	}
	var shown struct{ Overrides json.RawMessage }
	if err := json.Unmarshal([]byte(m.must("subscription", "show", "a", "-o", "json")), &shown); err != nil || shown.Overrides != nil {
		t.Errorf("overrides that are all inherited: %s, %v", shown.Overrides, err)
	}
}

func version(t *testing.T, text string) int64 {
	t.Helper()
	var shown struct{ Version int64 }
	if err := json.Unmarshal([]byte(text), &shown); err != nil || shown.Version == 0 {
		t.Fatalf("no version in %s: %v", text, err)
	}
	return shown.Version
}

func TestJSONOutputIsComplete(t *testing.T) {
	m := newTerminal(t)
	for _, list := range []string{"tier", "subscription"} {
		if shown := m.must(list, "list", "--output", "json"); strings.TrimSpace(shown) != "[]" {
			t.Errorf("an empty list is %s", shown)
		}
	}
	m.must("tier", "set", "standard", "--create", "--tokens-per-minute", "1000")
	m.must("subscription", "create", "a", "--tier", "standard")
	m.must("tier", "set", "other", "--create")
	m.must("subscription", "create", "b", "--tier", "other")

	var made struct{ Subscription, Slot, Created, Key string }
	if err := json.Unmarshal([]byte(m.must("key", "create", "a", "-o", "json")), &made); err != nil ||
		made.Subscription != "a" || made.Slot != "primary" || made.Created == "" || !subscription.WellFormed(made.Key) {
		t.Errorf("key create: %+v, %v", made, err)
	}
	var listed []struct{ ID, Tier string }
	if err := json.Unmarshal([]byte(m.must("subscription", "list", "--tier", "other", "-o", "json")), &listed); err != nil || len(listed) != 1 || listed[0].ID != "b" {
		t.Errorf("subscription list: %+v, %v", listed, err)
	}
	shown := m.must("subscription", "show", "a", "-o", "json")
	var account subscription.Account
	if err := json.Unmarshal([]byte(shown), &account); err != nil || account.Limits.TokensPerMinute != 1000 || len(account.Keys) != 1 {
		t.Errorf("subscription show: %+v, %v", account, err)
	}
	if strings.Contains(shown, made.Key) || strings.Contains(strings.ToLower(shown), "hash") {
		t.Errorf("subscription show gives a key away: %s", shown)
	}
}

func TestVersionPrintsJSON(t *testing.T) {
	m := newTerminal(t)
	var build struct{ Version string }
	if err := json.Unmarshal([]byte(m.must("version", "-o", "json")), &build); err != nil || build.Version != strings.TrimSpace(m.must("version")) {
		t.Errorf("%+v, %v", build, err)
	}
}

func TestTablesShowTheResults(t *testing.T) {
	m := newTerminal(t)
	if _, stderr, _ := m.run("subscription", "list"); !strings.Contains(stderr, "subscription create") {
		t.Errorf("an empty list says %q", stderr)
	}
	m.must("tier", "set", "standard", "--create", "--tokens-per-minute", "1234567", "--token-quota", "2000000", "--token-quota-period", "Daily")
	m.must("subscription", "create", "a", "--tier", "standard")
	m.must("key", "create", "a")
	for _, test := range []struct {
		args  []string
		parts []string
	}{
		{[]string{"tier", "list"}, []string{"TIER", "1,234,567", "2,000,000 Daily", "prompt", "degrade", "{subscription}", "all"}},
		{[]string{"tier", "show", "standard"}, []string{"Reserve", "prompt", "Counter key"}},
		{[]string{"subscription", "list"}, []string{"SUBSCRIPTION", "standard", "active", " UTC"}},
		{[]string{"subscription", "show", "a"}, []string{"1,234,567", "Key, primary", " UTC"}},
	} {
		shown := m.must(test.args...)
		for _, part := range test.parts {
			if !strings.Contains(shown, part) {
				t.Errorf("tollgate %s printed\n%s\nwithout %s", strings.Join(test.args, " "), shown, part)
			}
		}
	}
}

func TestSurprisingLimitsAreWarnedAbout(t *testing.T) {
	m := newTerminal(t)
	if _, stderr, status := m.run("tier", "set", "misspelt", "--create"); status != exitDone || !strings.Contains(stderr, "warning: nothing is limited") {
		t.Errorf("a tier without limits: status %d, said %q", status, stderr)
	}
	_, stderr, status := m.run("tier", "set", "strict", "--create", "--tokens-per-minute", "1000", "--reserve", "full", "--on-store-down", "open", "-q")
	if status != exitDone || !strings.Contains(stderr, "warning: with onStoreDown open") || !strings.Contains(stderr, "maxCompletionTokens") {
		t.Errorf("status %d, said %q", status, stderr)
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
		{exitUsage, []string{"tokenQuota is above", "could never take effect"}, []string{"tier", "set", "standard", "--create", "--token-quota", "90000", "--token-quota-period", "Hourly"}},
		{exitUsage, []string{"--tier is missing", "tollgate tier list"}, []string{"subscription", "create", "b"}},
		{exitNotFound, []string{`tier "gold" was not found`}, []string{"subscription", "create", "b", "--tier", "gold"}},
		{exitNotFound, []string{`tier "gold" was not found`}, []string{"subscription", "set", "a", "--tier", "gold"}},
		{exitConflict, []string{`subscription "a" exists already`}, []string{"subscription", "create", "a", "--tier", "standard"}},
		{exitUsage, []string{`--inherit "speed" is not a limit`, "tokens-per-minute"}, []string{"subscription", "set", "a", "--inherit", "speed"}},
		{exitUsage, []string{"counterKey has the unknown part {user}"}, []string{"subscription", "set", "a", "--counter-key", "{user}"}},
		{exitUsage, []string{"would store a header that may hold a secret"}, []string{"tier", "set", "x", "--create", "--tokens-per-minute", "1", "--counter-key", "{header:Authorization}"}},
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
		t.Errorf("after bad input:\n%s\nbefore:\n%s", after, before)
	}
}

func TestUnreachableStorageIsReported(t *testing.T) {
	m := newTerminal(t)
	m.environment["AzureWebJobsStorage"] = "DefaultEndpointsProtocol=http;AccountName=" + azurite.AccountName +
		";AccountKey=" + azurite.AccountKey + ";TableEndpoint=http://127.0.0.1:1/" + azurite.AccountName
	m.fails(exitFailed, []string{"table storage can't be reached", "Is the storage that AzureWebJobsStorage names running"}, "tier", "list")
	m.fails(exitFailed, []string{"table storage can't be reached"}, "key", "create", "a")
}

func TestSettingsComeFromTheEnvironmentOrAFile(t *testing.T) {
	m := newTerminal(t)
	m.must("tier", "set", "standard", "--create")
	connection := m.environment["AzureWebJobsStorage"]
	const elsewhere = "DefaultEndpointsProtocol=http;AccountName=a;AccountKey=a2V5;TableEndpoint=http://127.0.0.1:1/a"
	write := func(path, text string) {
		t.Helper()
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	values := func(connection string) string {
		return fmt.Sprintf("\ufeff"+`{"IsEncrypted":false,"Values":{"AzureWebJobsStorage":%q,"KEY_PEPPER":%q}}`, connection, testPepper)
	}

	write("local.settings.json", values(elsewhere))
	m.must("tier", "show", "standard") // the environment wins

	m.environment = map[string]string{"AzureWebJobsStorage__accountName": "UPPER"}
	m.fails(exitFailed, []string{"AzureWebJobsStorage__accountName is"}, "tier", "list") // and is not mixed with the file's

	m.environment = nil
	m.fails(exitFailed, []string{"can't be reached"}, "tier", "list") // the one here
	other := filepath.Join(t.TempDir(), "other.json")
	write(other, values(connection))
	m.must("tier", "show", "standard", "--settings", other)
	m.must("subscription", "create", "a", "--tier", "standard", "--settings", other)
	if key := strings.TrimSpace(m.must("key", "create", "a", "--settings", other)); !subscription.WellFormed(key) {
		t.Error("no key with the file's pepper")
	}

	for text, want := range map[string]string{
		`{"IsEncrypted":true,"Values":{"AzureWebJobsStorage":"canary"}}`: "is encrypted",
		`{"Values":{"KEY_PEPPER":["canary"]}}`:                           "is not a settings file",
		`canary`:                                                         "is not a settings file",
		`{"Values":{"STORE":"memory"}}`:                                  "STORE is memory",
		`{}`:                                                             "AzureWebJobsStorage is missing in the environment and " + other,
	} {
		write(other, text)
		m.fails(exitFailed, []string{want}, "tier", "list", "--settings", other)
	}
	m.fails(exitFailed, []string{"--settings", "absent.json"}, "tier", "list", "--settings", "absent.json")
	if strings.Contains(m.said.String(), "canary") {
		t.Error("an error shows what is in a settings file")
	}
}

// az ends lines with a carriage return on Windows, which $(…) keeps.
func TestANewlineAfterASettingIsIgnored(t *testing.T) {
	m := newTerminal(t)
	m.must("tier", "set", "standard", "--create", "--tokens-per-minute", "10")
	m.must("subscription", "create", "a", "--tier", "standard")
	m.environment["KEY_PEPPER"] += "\r"
	m.expect(strings.TrimSpace(m.must("key", "create", "a")), nil)
	delete(m.environment, "KEY_PEPPER")
	if err := os.WriteFile("local.settings.json", fmt.Appendf(nil, `{"Values":{"KEY_PEPPER":%q}}`, testPepper+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	m.expect(strings.TrimSpace(m.must("key", "create", "a", "--slot", "secondary")), nil)
	m.deploy()
	m.environment["MANAGE_KEY"] += "\r"
	m.must("tier", "list")
}

func TestAKeyNeedsThePepper(t *testing.T) {
	m := newTerminal(t)
	for pepper, want := range map[string]string{"": "KEY_PEPPER is missing", "canary": "KEY_PEPPER is shorter than 16 bytes"} {
		m.environment["KEY_PEPPER"] = pepper
		m.fails(exitFailed, []string{want, "it must be the gateway's"}, "key", "create", "a")
	}
	if strings.Contains(m.said.String(), "canary") {
		t.Error("an error shows the pepper")
	}
	m.must("tier", "set", "standard", "--create") // which needs none
}

// A misspelt id must not create a second tier.
func TestSetDoesNotCreateAMisspeltTier(t *testing.T) {
	m := newTerminal(t)
	m.fails(exitNotFound, []string{`no tier "gold"`, "--create"}, "tier", "set", "gold", "--tokens-per-minute", "1000")
	m.said.Reset()
	m.must("tier", "set", "gold", "--create", "--tokens-per-minute", "1000")
	if !strings.Contains(m.said.String(), "Tier gold is created") {
		t.Errorf("a new tier is created with the note %q, want one that says so", m.said.String())
	}
	for _, typo := range []string{"glod", "golt", "gol", "golds", "god", "bold"} {
		m.fails(exitNotFound, []string{`no tier "` + typo + `"`, `Did you mean "gold"?`, "--create"}, "tier", "set", typo, "--tokens-per-minute", "1")
	}
	m.fails(exitNotFound, []string{`no tier "silver"`}, "tier", "set", "silver")
	m.said.Reset()
	m.must("tier", "set", "gold", "--create", "--burst-tokens", "5")
	m.must("tier", "set", "gold", "--max-wait", "1s")
	if strings.Contains(m.said.String(), "is created") {
		t.Errorf("a tier that was there is called new: %q", m.said.String())
	}
	if shown := m.must("tier", "list"); strings.Count(shown, "\n") != 2 {
		t.Errorf("tiers: %s", shown)
	}
	m.fails(exitUsage, []string{"tokensPerMinute is out of range"}, "tier", "set", "bronze", "--create", "--tokens-per-minute", "-1")
	m.fails(exitUsage, []string{"tokensPerMinute is out of range"}, "tier", "set", "gold", "--tokens-per-minute", "-1")
}

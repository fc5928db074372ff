package main

import (
	"encoding/csv"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode"

	"tollgate/handler/limit"
	"tollgate/handler/subscription"
)

func TestImportMakesATierSubscriptionsAndKeys(t *testing.T) {
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
		`remaining-tokens-header-name="x-left"/><rate-limit-by-key calls="1200" renewal-period="60" counter-key="@(context.Request.IpAddress)"/>`+
		`<quota calls="9000" renewal-period="3600"/><cache-lookup/></inbound></policies>`)
	subs := write("subs.json", `{"value":[{"name":"Team-A","properties":{"scope":"/x/products/gold","displayName":"Team A","state":"active"}},`+
		`{"name":"team-b","properties":{"scope":"/x/products/gold","state":"suspended"}},{"name":"team-c","properties":{"scope":"/x/products/free","state":"active"}}]}`)
	keys := filepath.Join(t.TempDir(), "keys.csv")
	args := []string{"import", "--tier", "gold", "--policy", policy, "--subscriptions", subs, "--product", "gold", "--keys-to", keys}

	shown := m.must(append(args, "--dry-run")...)
	fields := strings.Join(strings.Fields(shown), " ")
	for _, part := range []string{"would be created", "REMAINING_TOKENS_HEADER=x-left", "cache-lookup", "Limits of tier gold:",
		"tokens tokens 500 - {subscription}", "calls calls 1,200 - {client-ip}", "calls-2 calls - 9,000 Hourly {subscription}"} {
		if !strings.Contains(fields, part) {
			t.Errorf("a dry run: got\n%s\nwant %s in it", shown, part)
		}
	}
	if shown := m.must("tier", "list", "-o", "json"); strings.TrimSpace(shown) != "[]" {
		t.Errorf("after a dry run: got the tiers %s, want none", shown)
	}
	if shown := m.must(args...); !strings.Contains(shown, "created, with a new key") || strings.Contains(shown, "team-c") {
		t.Errorf("import: got\n%s\nwant subscriptions created with a new key, without team-c", shown)
	}
	info, err := os.Stat(keys)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Fatalf("the file of keys: got %v and error %v, want the mode 0600", info, err)
	}
	text, err := os.ReadFile(keys)
	if err != nil {
		t.Fatal(err)
	}
	rows, err := csv.NewReader(strings.NewReader(string(text))).ReadAll()
	if err != nil || len(rows) != 3 || rows[1][0] != "team-a" {
		t.Fatalf("the file of keys: got %d rows and error %v, want a header and 2 keys, team-a's first", len(rows), err)
	}
	if grant := m.expect(rows[1][2], nil); grant.Tier.Reserve != subscription.ReserveNone || grant.Subscription.Name != "Team A" || len(grant.Limits) != 3 ||
		grant.Limits[0].PerMinute != 500 || grant.Limits[1].Unit != limit.Calls || grant.Limits[1].PerMinute != 1200 || grant.Limits[2].Quota != 9000 {
		t.Errorf("the imported key: got %+v, want Team A with 500 tokens and 1200 calls a minute, 9000 calls an hour, and no reservation", grant)
	}
	m.expect(rows[2][2], subscription.ErrUnauthorized) // the export has it suspended
	if strings.Contains(m.stderr.String(), rows[1][2]) {
		t.Error("import: got a key on stderr, want it in the file only")
	}
	m.fails(exitFailed, []string{"--keys-to"}, args...) // the file of keys exists, and is never overwritten
	if shown := m.must(args[:9]...); strings.Count(shown, "exists already") != 3 || strings.Contains(shown, "Limits of") {
		t.Errorf("a second import: got\n%s\nwant \"exists already\" three times, and no limits", shown)
	}
	if shown := m.must("import", "--tier", "gold", "--subscriptions", ended, "--keys-to", filepath.Join(t.TempDir(), "more.csv")); !strings.Contains(shown, "its expiry on 2020-01-02 00:00 UTC, which has passed") {
		t.Errorf("importing an expired subscription: got\n%s\nwant its expiry on 2020-01-02 00:00 UTC", shown)
	}
	m.fails(exitUsage, []string{"--tier is missing"}, "import", "--policy", policy)
	m.fails(exitUsage, []string{"no llm-token-limit, rate-limit or quota"}, "import", "--tier", "x", "--policy", write("other.xml", "<policies/>"))
}

// TestImportPrintsNoControlCharacters: the output quotes a policy's values in lost parts,
// settings and errors, and others wrote the policy.
func TestImportPrintsNoControlCharacters(t *testing.T) {
	m := newTerminal(t)
	const acts = "\u009b31m\u202e\u2066\u0085\u007f" // control characters that XML allows: C1, bidi and DEL
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
				t.Errorf("%v: got %U in\n%q\nwant no control characters", args, r, stdout+stderr)
				break
			}
		}
		if !strings.Contains(stdout+stderr, "\ufffd") && !strings.Contains(stdout+stderr, "not XML") {
			t.Errorf("%v: got\n%s\nwant U+FFFD in place of the control characters, or \"not XML\"", args, stdout+stderr)
		}
	}
}

func TestADryRunShowsTheImportsChanges(t *testing.T) {
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
	if strings.Count(shown, "exists already, and would stay unchanged") != 1 || strings.Count(shown, "would be created") != 1 {
		t.Errorf("a dry run: got\n%s\nwant one subscription that stays and one that would be created", shown)
	}
}

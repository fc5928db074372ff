package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"

	"tollgate/handler/local/fakemodel"
	"tollgate/handler/manage"
	"tollgate/handler/secret"
	"tollgate/handler/subscription"
)

const testKey = "canary-operator-key-0123456789abcdef"

// deploy serves the operators' API over the terminal's tables, as a deployed
// gateway does, and leaves the terminal only its address and key.
func (m *terminal) deploy() *httptest.Server {
	m.t.Helper()
	a := &app{getenv: func(name string) string { return m.environment[name] }, tables: m.tables}
	stores, err := a.openTables()
	if err != nil {
		m.t.Fatal(err)
	}
	config := a.operators(stores)
	config.Auth = manage.OperatorKey(secret.New(testKey))
	config.Checks = []manage.Check{}
	server := httptest.NewServer(manage.New(config))
	m.t.Cleanup(server.Close)
	m.environment = map[string]string{"TOLLGATE_SERVER": server.URL, "MANAGE_KEY": testKey}
	return server
}

func TestTheCommandsWorkOnADeployedGateway(t *testing.T) {
	m := newTerminal(t)
	m.count("team-a/tokens", 12_468)
	m.deploy()
	m.must("tier", "set", "standard", "--create", "--tokens-per-minute", "1000")
	m.must("subscription", "create", "team-a", "--tier", "standard")
	key := strings.TrimSpace(m.must("key", "create", "team-a", "--expires", "720h"))
	if !subscription.WellFormed(key) {
		t.Errorf("key create: got %q, want a key", key)
	}
	if shown := m.must("subscription", "show", "team-a"); !strings.Contains(shown, ", expires ") || !strings.Contains(shown, "1,000") {
		t.Errorf("subscription show: got %s, want the key's expiry and 1,000", shown)
	}
	if shown := m.must("usage", "team-a"); !strings.Contains(shown, "12.4k") {
		t.Errorf("usage: got %s, want 12.4k", shown)
	}
	if shown := m.must("audit"); !strings.Contains(shown, "operator key") || !strings.Contains(shown, "key.create") || strings.Contains(shown, key) {
		t.Errorf("audit: got %s, want key.create by the operator key, without the key", shown)
	}
	if shown := m.must("doctor"); !strings.Contains(shown, "accepts the login") {
		t.Errorf("doctor: got %s, want \"accepts the login\"", shown)
	}
	m.fails(exitNotFound, []string{`tier "gold" was not found`}, "subscription", "create", "b", "--tier", "gold")
	m.fails(exitConflict, []string{"exists already"}, "subscription", "create", "team-a", "--tier", "standard")
	m.environment["MANAGE_KEY"] = "another"
	m.fails(exitDenied, []string{"the operator's key"}, "tier", "list")
	if strings.Contains(m.stderr.String(), testKey) {
		t.Error("got the operator's key on stderr, want it nowhere")
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

// The MANAGE_KEY of local.settings.json is for a gateway on this machine: no other
// server may get it.
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
	var account subscription.Details
	if err := json.Unmarshal([]byte(m.must("subscription", "show", "a", "-o", "json")), &account); err != nil || len(account.Keys) != 2 {
		t.Errorf("after the rotation: got %+v and error %v, want 2 keys", account, err)
	}
	if shown := m.must("key", "expire", "a", "--slot", "primary", "--in", "48h"); !strings.Contains(shown, "expires ") {
		t.Errorf("key expire --in: got %s, want an expiry", shown)
	}
	if shown := m.must("key", "expire", "a", "--slot", "primary", "--never"); strings.Contains(shown, "expires ") {
		t.Errorf("key expire --never: got %s, want no expiry", shown)
	}
	m.fails(exitUsage, []string{"--in TIME or --never"}, "key", "expire", "a", "--slot", "primary")
	m.fails(exitUsage, []string{`--expires is "tomorrow"`}, "key", "rotate", "a", "--expires", "tomorrow")
	m.fails(exitUsage, []string{"expires is not in the future"}, "key", "rotate", "a", "--expires", "-1h")
	m.fails(exitUsage, []string{"overlap is out of range"}, "key", "rotate", "a", "--overlap", "2161h")
	m.must("key", "revoke", "a", "--slot", "primary")
	m.expect(first, subscription.ErrUnauthorized)
	m.expect(second, subscription.ErrUnauthorized)
}

func TestDoctorNamesTheFix(t *testing.T) {
	m := newTerminal(t)
	model := httptest.NewServer(new(fakemodel.Endpoint))
	defer model.Close()
	m.environment["UPSTREAM_URL"], m.environment["UPSTREAM_API_KEY"] = model.URL, fakemodel.Key
	m.must("tier", "set", "standard", "--create", "--tokens-per-minute", "1000")
	m.must("subscription", "create", "a", "--tier", "standard")
	if shown := m.must("doctor"); strings.Contains(shown, "WRONG") || !strings.Contains(shown, "1 tier, 0 groups, 1 subscription") || !strings.Contains(shown, "of the table service's") {
		t.Errorf("doctor: got\n%s\nwant nothing wrong, with 1 tier, 1 subscription and the table service's time", shown)
	}
	m.must("key", "create", "a")
	for name, wrong := range map[string][2]string{ // each prevents the start or makes every call fail
		"UPSTREAM_HEADER_TIMEOUT": {"5", "UPSTREAM_HEADER_TIMEOUT is"}, "BASE_PATH": {"inference", "BASE_PATH is"}, "TELEMETRY_SAMPLING": {"10%", "TELEMETRY_SAMPLING is"},
		"METRIC_INTERVAL": {"7s", "METRIC_INTERVAL is"}, "CONSOLE": {"true", "CONSOLE is"}, "MANAGE_KEY": {"short", "MANAGE_KEY is"}, "UPSTREAM_SHAPE": {"azure", "UPSTREAM_SHAPE is"},
		"UPSTREAM_API_KEY": {"canary", "refuses the credential with 401"}, "KEY_PEPPER": {"another-canary-of-a-pepper", "KEY_PEPPER is not the one"},
	} {
		before := m.environment[name]
		m.environment[name] = wrong[0]
		if stdout, stderr, status := m.run("doctor"); status != exitFailed || !strings.Contains(stdout, wrong[1]) || strings.Contains(stdout+stderr, "canary") {
			t.Errorf("%s=%s: got status %d and\n%s%s\nwant %d and %s, without the secret", name, wrong[0], status, stdout, stderr, exitFailed, wrong[1])
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
			t.Errorf("doctor: got\n%s\nwant %s in it", stdout, part)
		}
	}
	if status != exitFailed || !strings.Contains(stderr, "checks found something wrong") || strings.Contains(stdout+stderr, "canary") {
		t.Errorf("doctor: got status %d and %s, want %d and \"checks found something wrong\", without a secret", status, stderr, exitFailed)
	}
	m.environment["UPSTREAM_URL"], m.environment["UPSTREAMS"] = "", "[{"
	if stdout, _, _ := m.run("doctor"); !strings.Contains(stdout, "UPSTREAMS is not a JSON array") {
		t.Errorf("unreadable UPSTREAMS: got\n%s\nwant \"UPSTREAMS is not a JSON array\"", stdout)
	}
	m.environment = nil
	if stdout, _, status := m.run("doctor", "-o", "json"); status != exitFailed || !strings.Contains(stdout, "AzureWebJobsStorage is missing") {
		t.Errorf("without settings: got status %d and %s, want %d and \"AzureWebJobsStorage is missing\"", status, stdout, exitFailed)
	}
}

func TestEveryChangeIsAudited(t *testing.T) {
	m := newTerminal(t)
	m.must("tier", "set", "standard", "--create", "--tokens-per-minute", "1000")
	m.must("tier", "set", "standard", "--create", "--tokens-per-minute", "2000")
	shown := m.must("audit", "standard")
	if !strings.Contains(shown, "limits from tokens 1,000/minute to tokens 2,000/minute") || !strings.Contains(shown, "command line (") || !strings.Contains(shown, "done") {
		t.Errorf("audit: got\n%s\nwant the change from 1000 to 2000 by the command line, done", shown)
	}
}

package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"tollgate/handler/local/azurite"
	"tollgate/handler/subscription"
)

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
	m.fails(exitFailed, []string{"AzureWebJobsStorage__accountName is"}, "tier", "list") // the file adds nothing to the environment's account

	m.environment = nil
	m.fails(exitFailed, []string{"can't be reached"}, "tier", "list") // local.settings.json of this folder
	other := filepath.Join(t.TempDir(), "other.json")
	write(other, values(connection))
	m.must("tier", "show", "standard", "--settings", other)
	m.must("subscription", "create", "a", "--tier", "standard", "--settings", other)
	if key := strings.TrimSpace(m.must("key", "create", "a", "--settings", other)); !subscription.WellFormed(key) {
		t.Errorf("key create with the file's pepper: got %q, want a key", key)
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
	if strings.Contains(m.stderr.String(), "canary") {
		t.Error("got the settings file's content in an error, want it nowhere")
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
	if strings.Contains(m.stderr.String(), "canary") {
		t.Error("got the pepper in an error, want it nowhere")
	}
	m.must("tier", "set", "standard", "--create") // it needs no pepper
}

func TestUnreachableStorageIsReported(t *testing.T) {
	m := newTerminal(t)
	m.environment["AzureWebJobsStorage"] = azurite.ConnectionString("1")
	m.fails(exitFailed, []string{"table storage can't be reached", "Is the storage that AzureWebJobsStorage names running"}, "tier", "list")
	m.fails(exitFailed, []string{"table storage can't be reached"}, "key", "create", "a")
}

package console_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"tollgate/handler/asynctest"
	"tollgate/handler/azure/azuretest"
	"tollgate/handler/ledger"
	"tollgate/handler/ledger/ledgertest"
	ledgertables "tollgate/handler/ledger/tablestore"
	"tollgate/handler/local/azurite"
	"tollgate/handler/local/fakemodel"
)

const operatorKey = "the-operators-key-of-these-tests-alone"

// A fixture is a running gateway with Azurite and a simulated DeepSeek-R1.
type fixture struct {
	t          *testing.T
	url        string
	connection string // to the tables
}

// newFixture starts a gateway that stops when the test ends.
func newFixture(t *testing.T) *fixture {
	t.Helper()
	emulator := azurite.Own(t)
	model := httptest.NewServer(new(fakemodel.Endpoint))
	t.Cleanup(model.Close)
	binary := filepath.Join(t.TempDir(), "handler")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", binary, "tollgate/handler").CombinedOutput(); err != nil {
		t.Fatalf("go build: got error %v and %s, want the gateway", err, out)
	}
	port, err := azurite.FreePort()
	if err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	command := exec.Command(binary)
	command.Stdout, command.Stderr = &log, &log
	command.Env = append(os.Environ(), "PORT="+port, "FUNCTIONS_CUSTOMHANDLER_PORT=", "FUNCTIONS_HTTPWORKER_PORT=", "STORE=tables", "AzureWebJobsStorage="+emulator.ConnectionString,
		"KEY_PEPPER=the pepper of these tests", "UPSTREAM_URL="+model.URL, "UPSTREAM_SHAPE=openai", "UPSTREAM_API_KEY="+fakemodel.Key, "MODELS=DeepSeek-R1", "MANAGE_KEY="+operatorKey, "CONSOLE=on")
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = command.Process.Signal(os.Interrupt)
		_ = command.Wait()
		if t.Failed() {
			t.Logf("the gateway's log:\n%.8000s", log.String())
		}
	})
	f := &fixture{t, "http://127.0.0.1:" + port, emulator.ConnectionString}
	f.waitUntilReady()
	return f
}

// waitUntilReady waits until the gateway answers.
func (f *fixture) waitUntilReady() {
	f.t.Helper()
	asynctest.Eventually(f.t, "the gateway answers", func() error {
		response, err := http.Get(f.url + "/")
		if err == nil {
			response.Body.Close()
		}
		return err
	})
}

// send makes a request and decodes the answer unless into is nil. It returns the status.
func (f *fixture) send(method, path, key string, body, into any) int {
	f.t.Helper()
	text, err := json.Marshal(body)
	if err != nil {
		f.t.Fatal(err)
	}
	request, err := http.NewRequestWithContext(f.t.Context(), method, f.url+path, bytes.NewReader(text))
	if err != nil {
		f.t.Fatal(err)
	}
	request.Header.Set("Authorization", "Bearer "+key)
	request.Header.Set("Content-Type", "application/json")
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		f.t.Fatal(err)
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(response.Body)
	if err != nil {
		f.t.Fatal(err)
	}
	if into != nil {
		if err := json.Unmarshal(answer, into); err != nil {
			f.t.Fatalf("%s %s: got %d %s, want JSON", method, path, response.StatusCode, answer)
		}
	}
	return response.StatusCode
}

// operate makes a request to /manage that must succeed.
func (f *fixture) operate(method, path string, body, into any) {
	f.t.Helper()
	if status := f.send(method, "/manage"+path, operatorKey, body, into); status >= 300 {
		f.t.Fatalf("%s %s: got %d, want below 300", method, path, status)
	}
}

// populate creates tiers, subscriptions, a history of the last hours, and a few real
// calls. It returns team-a's key.
func (f *fixture) populate() string {
	f.t.Helper()
	f.operate("PUT", "/tiers/standard", map[string]any{"tokensPerMinute": 2000, "tokenQuota": 500_000, "tokenQuotaPeriod": "Daily"}, nil)
	f.operate("PUT", "/tiers/gold", map[string]any{"tokensPerMinute": 10_000}, nil)
	for id, body := range map[string]map[string]any{"team-a": {"tier": "standard", "name": "Team A"}, "research": {"tier": "gold", "name": "Research and development"},
		"small": {"tier": "gold", "overrides": map[string]any{"tokensPerMinute": 150}}, "asleep": {"tier": "standard", "suspended": true}} {
		f.operate("PUT", "/subscriptions/"+id, body, nil)
	}
	f.recordUsage()
	keys := make(map[string]string)
	for _, id := range []string{"team-a", "research", "small"} {
		var made struct{ Key string }
		f.operate("POST", "/subscriptions/"+id+"/keys/primary", nil, &made)
		keys[id] = made.Key
		for range 5 {
			f.send("POST", "/openai/v1/chat/completions", made.Key, map[string]any{"model": "DeepSeek-R1", "messages": []any{map[string]any{"role": "user", "content": "hello " + id}}}, nil)
		}
	}
	return keys["team-a"]
}

// recordUsage records usage of the last four hours, one minute of it with calls that a limit in
// shadow would have refused.
func (f *fixture) recordUsage() {
	f.t.Helper()
	service := azuretest.Open(f.t, f.connection)
	store := ledgertables.New(service, ledgertables.DefaultTable)
	now := time.Now()
	for i, id := range []string{"team-a", "research", "small"} {
		for ago := int64(2); ago < 240; ago += 1 + int64(i)*3 {
			wave := (ago*ago*7+ago*int64(13*i+5))%(900-300*int64(i)) + 40
			used := ledger.Totals{Calls: wave/60 + 1, PromptTokens: wave / 4, CachedTokens: wave / 9, CompletionTokens: wave, ReasoningTokens: wave / 2}
			if wave > 700 {
				used.Refused, used.RefusedBy = wave/200, map[string]int64{"tokens": wave / 200}
			}
			if i == 1 && ago == 22 {
				used.Shadowed = 2
			}
			ledgertest.Record(f.t, store, id, "DeepSeek-R1", now.Add(-time.Duration(ago)*time.Minute), used)
		}
	}
}

// browser returns the path of Chromium: CHROMIUM, or chromium on the PATH. It skips the
// test if it or its driver is missing.
func browser(t *testing.T) string {
	t.Helper()
	if testing.Short() {
		t.Skip("skipped by -short: it drives a browser")
	}
	name := os.Getenv("CHROMIUM")
	if name == "" {
		name = "chromium"
	}
	path, err := exec.LookPath(name)
	if err != nil {
		t.Skipf("%s is not installed: install Chromium, or set CHROMIUM to its path", name)
	}
	if _, err := os.Stat("browser/node_modules/playwright-core"); err != nil {
		t.Skip("the browser's driver is not installed: run npm ci in handler/console/browser")
	}
	return path
}

// TestCallersAndOperatorsUseTheConsoleInABrowser does in Chromium what callers and operators
// do, with a running gateway, and saves screenshots in .artifacts/console.
func TestCallersAndOperatorsUseTheConsoleInABrowser(t *testing.T) {
	chromium := browser(t)
	f := newFixture(t)
	key := f.populate()
	pictures, err := filepath.Abs("../../.artifacts/console")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	command := exec.CommandContext(ctx, "node", "browser/console.mjs", f.url, operatorKey, key, pictures)
	command.Env = append(os.Environ(), "CHROMIUM_PATH="+chromium)
	out, err := command.CombinedOutput()
	if err != nil {
		t.Errorf("the browser's checks: got error %v and\n%s\nwant all to pass", err, shortened(string(out), key))
	}
	for _, view := range []string{"entry", "caller", "operator"} {
		for _, kind := range []string{"desk-light", "desk-dark", "phone-light", "phone-dark"} {
			if info, err := os.Stat(filepath.Join(pictures, fmt.Sprintf("%s-%s.png", view, kind))); err != nil || time.Since(info.ModTime()) > 6*time.Minute {
				t.Errorf("got no new screenshot of %s, %s, want one", view, kind)
			}
		}
	}
}

// shortened returns the driver's output, cut to 6,000 bytes and without the key.
func shortened(text, key string) string {
	text = strings.ReplaceAll(text, key, "(key)")
	return text[:min(len(text), 6000)]
}

package e2e

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"tollgate/handler/app"
	"tollgate/handler/asynctest"
	"tollgate/handler/azure"
	"tollgate/handler/limit"
	"tollgate/handler/local/azurite"
	"tollgate/handler/local/r1sim"
	"tollgate/handler/secret"
	"tollgate/handler/subscription"
	"tollgate/handler/subscription/subscriptiontest"
	"tollgate/handler/subscription/tablestore"
)

// A running is a gateway in this process, run as main runs it.
type running struct {
	url, key string
	ended    chan int
}

// launch runs the gateway over an emulator's port, before a simulated model.
func launch(t *testing.T, port string) *running {
	t.Helper()
	own, err := azurite.FreePort()
	if err != nil {
		t.Fatal(err)
	}
	model := httptest.NewServer(new(r1sim.Endpoint))
	t.Cleanup(model.Close)
	values := map[string]string{"PORT": own, "KEY_PEPPER": subscriptiontest.PepperSecret, "UPSTREAM_URL": model.URL, "UPSTREAM_API_KEY": r1sim.Key,
		"AzureWebJobsStorage": azurite.ConnectionString(port)}
	g := &running{url: "http://127.0.0.1:" + own, key: subscription.NewKey(), ended: make(chan int, 1)}
	ctx, stop := context.WithCancel(context.Background())
	var out, errs asynctest.Buffer
	go func() { g.ended <- app.Run(ctx, env(values), &out, &errs) }()
	t.Cleanup(func() {
		stop()
		if status := <-g.ended; status != app.ExitDone {
			t.Errorf("got exit status %d, want %d: %s", status, app.ExitDone, errs.String())
		}
		if strings.Contains(out.String(), g.key) {
			t.Error("the log shows the key")
		}
	})
	waitForGateway(t, g.url)
	return g
}

// waitForGateway waits until a gateway answers at a URL.
func waitForGateway(t *testing.T, url string) {
	t.Helper()
	asynctest.Eventually(t, "the gateway answers", func() error {
		response, err := http.Get(url + "/")
		if err == nil {
			response.Body.Close()
		}
		return err
	})
}

// subscribe gives the gateway's key a subscription, if it has none, that is
// refused while the counters can't be reached.
func (g *running) subscribe(t *testing.T, emulator *azurite.Server) {
	t.Helper()
	service, err := azure.Open(azure.Settings{ConnectionString: secret.New(emulator.ConnectionString)})
	if err != nil {
		t.Fatal(err)
	}
	store := tablestore.New(service, tablestore.DefaultTables)
	gold := subscription.Tier{ID: "gold", Limits: subscription.Limits{TokensPerMinute: 1_000_000, OnStoreDown: limit.FailClosed}}
	if err := subscriptiontest.Add(t.Context(), store, subscriptiontest.PepperSecret, gold, "team-a", g.key); err != nil {
		t.Fatal(err)
	}
}

// call makes one and returns its status and body, which must be one of the
// gateway's own errors, with a time to wait, where it isn't an answer.
func (g *running) call(t *testing.T) (int, string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, g.url+"/openai/v1/chat/completions",
		strings.NewReader(`{"model":"DeepSeek-R1","messages":[{"role":"user","content":"x"}]}`))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Api-Key", g.key)
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil || !json.Valid(body) {
		t.Fatalf("%v: %s", err, body)
	}
	if response.StatusCode == http.StatusServiceUnavailable && response.Header.Get("Retry-After") == "" {
		t.Errorf("503 without Retry-After: %s", body)
	}
	return response.StatusCode, string(body)
}

// TestTheGatewaySurvivesAStorageOutage: it starts without, serves when the storage
// comes, says what is missing when it goes, and serves again when it is back.
func TestTheGatewaySurvivesAStorageOutage(t *testing.T) {
	if testing.Short() {
		t.Skip("skipped by -short: it runs the whole program")
	}
	port, err := azurite.FreePort()
	if err != nil {
		t.Fatal(err)
	}
	var emulator *azurite.Server
	dir := t.TempDir()
	restart := func() {
		emulator, err = azurite.StartOn(t.Context(), dir, port)
		if errors.Is(err, azurite.ErrNotInstalled) {
			t.Skip(err)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() { // after the gateway's end, which writes the last counters
		if emulator != nil {
			emulator.Stop()
		}
	})
	g := launch(t, port)
	answers := func(status int, part string) func() error {
		return func() error {
			if got, body := g.call(t); got != status || !strings.Contains(body, part) {
				return fmt.Errorf("got %d %s, want %d with %q", got, body, status, part)
			}
			return nil
		}
	}
	if err := answers(503, "directory_unavailable")(); err != nil {
		t.Fatalf("before there is storage: %v", err)
	}
	restart()
	g.subscribe(t, emulator)
	asynctest.Eventually(t, "calls are answered once the storage is there", answers(200, "usage"))
	emulator.Stop()
	asynctest.Eventually(t, "calls are refused once it is gone", answers(503, "counters_unavailable"))
	restart()
	g.subscribe(t, emulator) // an emulator that is killed may not have saved it yet
	asynctest.Eventually(t, "calls are answered once it is back", answers(200, "usage"))
}

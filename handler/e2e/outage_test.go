package e2e

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"tollgate/handler/asynctest"
	"tollgate/handler/azure/azuretest"
	"tollgate/handler/limit"
	"tollgate/handler/local/azurite"
	"tollgate/handler/local/fakemodel"
	"tollgate/handler/subscription"
	"tollgate/handler/subscription/subscriptiontest"
	"tollgate/handler/subscription/tablestore"
)

// A storedGateway is a gateway that keeps its counters and subscriptions in an emulator,
// which may be down.
type storedGateway struct {
	*running
	key string
}

// launch runs a gateway with an emulator on a port, before a simulated model.
func launch(t *testing.T, port string) storedGateway {
	t.Helper()
	model := httptest.NewServer(new(fakemodel.Endpoint))
	t.Cleanup(model.Close)
	g := storedGateway{key: subscription.NewKey(), running: run(t, "PORT", map[string]string{"KEY_PEPPER": subscriptiontest.PepperSecret,
		"UPSTREAM_URL": model.URL, "UPSTREAM_API_KEY": fakemodel.Key, "AzureWebJobsStorage": azurite.ConnectionString(port)})}
	t.Cleanup(func() {
		g.stop()
		if strings.Contains(g.out.String(), g.key) {
			t.Error("got the key in the log, want it nowhere")
		}
	})
	return g
}

// subscribe creates a subscription for the gateway's key, if there is none. Its calls are
// refused while the counters can't be reached.
func (g storedGateway) subscribe(t *testing.T, emulator *azurite.Server) {
	t.Helper()
	service := azuretest.Open(t, emulator.ConnectionString)
	store := tablestore.New(service, tablestore.DefaultTables)
	gold := subscription.Tier{ID: "gold", Rules: subscriptiontest.Limits{TokensPerMinute: 1_000_000, OnStoreDown: limit.FailClosed}.Rules()}
	if err := subscriptiontest.Add(t.Context(), store, subscriptiontest.PepperSecret, gold, "team-a", g.key); err != nil {
		t.Fatal(err)
	}
}

// call makes a call and returns the answer's status and body, which must be JSON. A 503
// must have Retry-After.
func (g storedGateway) call(t *testing.T) (int, string) {
	t.Helper()
	got := ask(t, http.MethodPost, g.url+"/openai/v1/chat/completions", `{"model":"DeepSeek-R1","messages":[{"role":"user","content":"x"}]}`, "Api-Key", g.key)
	if !json.Valid([]byte(got.body)) {
		t.Fatalf("got the body %s, want JSON", got.body)
	}
	if got.status == http.StatusServiceUnavailable && got.header.Get("Retry-After") == "" {
		t.Errorf("got 503 without Retry-After, want it: %s", got.body)
	}
	return got.status, got.body
}

// The gateway starts without storage, serves calls once the storage is there, refuses them
// during an outage, and serves them again afterwards.
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
		t.Fatalf("before the storage starts: got %v, want 503 with directory_unavailable", err)
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

package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"tollgate/handler/app"
	"tollgate/handler/asynctest"
	"tollgate/handler/local/azurite"
	"tollgate/handler/local/fakemodel"
	"tollgate/handler/local/insights"
	"tollgate/handler/subscription"
)

// TestUsageReachesTheCollectorBeforeTheExit runs the gateway as main does, and ends it: it
// must send all telemetry before it exits.
func TestUsageReachesTheCollectorBeforeTheExit(t *testing.T) {
	var service insights.Collector
	ingestion := httptest.NewServer(&service)
	defer ingestion.Close()
	model := httptest.NewServer(new(fakemodel.Endpoint))
	defer model.Close()
	key := subscription.NewKey()
	g := run(t, "PORT", memorySettings(model.URL, `{"id":"demo","tokensPerMinute":300}`, key,
		"APPLICATIONINSIGHTS_CONNECTION_STRING", insights.ConnectionString(ingestion.Listener.Addr().String()),
		"METRIC_DIMENSIONS", "Client IP,API ID,Subscription ID,Model,Team={header:X-Team}", "METRIC_INTERVAL", "1m", "REGION_NAME", "westeurope"))
	for range 3 {
		g.chat(t, http.StatusOK, key, "a canary of a prompt", "X-Team", "blue")
	}
	g.stop()
	if faults := service.Faults(); faults != nil {
		t.Errorf("got schema faults %v, want none", faults)
	}
	var spent float64
	requests := 0
	for _, item := range service.Items() {
		if item.Request != nil {
			requests++
			spent += item.Request.Measurements["Total Tokens"]
		}
		if strings.Contains(fmt.Sprintf("%+v %+v %+v %+v", item, item.Request, item.Dependency, item.Metric), "canary") || strings.Contains(fmt.Sprint(item.Properties), key) {
			t.Errorf("got the item %v, want neither a prompt nor a key in it", item)
		}
	}
	sum, calls := service.Sum("Total Tokens", "Client IP", "127.0.0.1", "API ID", "models", "Subscription ID", "team-a", "Model", "DeepSeek-R1", "Team", "blue", "Region", "westeurope")
	if requests != 3 || calls != 3 || sum != spent || sum == 0 {
		t.Errorf("got %d requests with %v tokens and metrics of %d calls with %v, want 3 of each with equal sums above 0", requests, spent, calls, sum)
	}
	limit, intervals := service.Sum("Minute Limit", "Limit", "tokens", "Subscription ID", "team-a", "Product ID", "demo")
	if intervals == 0 || limit != 300*float64(intervals) { // two if a minute ended meanwhile
		t.Errorf("got the minute's limit %v in %d intervals, want 300 in each of one or more", limit, intervals)
	}
	if operations, _ := service.Sum("Table Operations"); operations < 1 {
		t.Errorf("got %v table operations, want 1 or more", operations)
	}
}

func TestWithoutAConnectionStringTelemetryIsOffAndLoggedOnce(t *testing.T) {
	var out, errs bytes.Buffer
	values := maps.Clone(validSettings)
	port, err := azurite.FreePort()
	if err != nil {
		t.Fatal(err)
	}
	values["PORT"] = port
	ctx, stop := context.WithCancel(t.Context())
	stop()
	if status := app.Run(ctx, env(values), &out, &errs); status != app.ExitDone || strings.Count(out.String(), "telemetry is off") != 1 {
		t.Errorf("got exit status %d and %s%s, want %d and one line that telemetry is off", status, out.String(), errs.String(), app.ExitDone)
	}
}

// TestTelemetryArrivesThroughRedirectsRefusalsAndFloods runs the gateway as main
// does, with an ingestion service that redirects and is behind a firewall, a caller whose
// header the firewall refuses, and one who guesses keys.
func TestTelemetryArrivesThroughRedirectsRefusalsAndFloods(t *testing.T) {
	if testing.Short() {
		t.Skip("skipped by -short: it runs the whole program")
	}
	service := insights.Collector{Answer: func(w http.ResponseWriter, _ *http.Request, items []insights.Item) bool {
		for _, item := range items {
			if item.Properties["Team"] == "poison" {
				w.WriteHeader(http.StatusBadRequest)
				return true
			}
		}
		return false
	}}
	moved := httptest.NewServer(&service)
	defer moved.Close()
	ingestion := httptest.NewServer(http.RedirectHandler(moved.URL+"/v2/track", http.StatusPermanentRedirect))
	defer ingestion.Close()
	model := httptest.NewServer(new(fakemodel.Endpoint))
	defer model.Close()
	key := subscription.NewKey()
	g := run(t, "PORT", memorySettings(model.URL, `{"id":"demo","tokensPerMinute":100000}`, key,
		"APPLICATIONINSIGHTS_CONNECTION_STRING", insights.ConnectionString(ingestion.Listener.Addr().String()),
		"METRIC_DIMENSIONS", "SubscriptionId={Subscription ID},Team={header:X-Team}", "METRIC_INTERVAL", "1s"))
	call := func(team string) {
		t.Helper()
		g.chat(t, http.StatusOK, key, "hello", "X-Team", team)
	}
	arrived := func(team string) {
		t.Helper()
		asynctest.Eventually(t, "the metrics of "+team+" arrive", func() error {
			if _, calls := service.Sum("Total Tokens", "SubscriptionId", "team-a", "Team", team); calls != 1 {
				return fmt.Errorf("got %d calls of %s, want 1", calls, team)
			}
			return nil
		})
	}
	call("plain")
	arrived("plain")
	call("poison")
	call("beside")
	arrived("beside") // it may be in one batch with the poisoned items
	for n := range 3 {
		call(fmt.Sprint("fine", n))
		arrived(fmt.Sprint("fine", n))
	}
	const junk = 300
	for range junk {
		g.chat(t, http.StatusUnauthorized, "junk", "hello")
	}
	g.stop()
	checkItems(t, &service, junk)
	checkUnknownKeyLines(t, g.out.String(), junk)
}

// checkItems checks the items of six calls, one of them poisoned, and of junk calls with
// an unknown key.
func checkItems(t *testing.T, service *insights.Collector, junk int) {
	t.Helper()
	if dropped, _ := service.Sum("Telemetry Dropped", "Reason", "rejected"); dropped != 3 {
		t.Errorf("got %v items reported as rejected, want the poisoned call's three metrics", dropped)
	}
	calls, unknownKeys := 0, 0
	var represented float64
	for _, item := range service.Items() {
		switch {
		case item.Request == nil:
		case item.Request.ResponseCode == "401":
			unknownKeys++
			represented += 100 / item.SampleRate
		default:
			calls++
		}
	}
	if calls != 6 {
		t.Errorf("got items of %d calls, want 6 with the poisoned one", calls)
	}
	if refused, _ := service.Sum("Refusals", "Reason", "invalid_api_key"); refused != float64(junk) || represented < float64(junk-1) || represented > float64(junk+1) || unknownKeys > junk/2 {
		t.Errorf("got %v refusals and %d items that stand for %v calls, want %d refusals in at most %d items that stand for as many calls", refused, unknownKeys, represented, junk, junk/2)
	}
}

// checkUnknownKeyLines checks that the log has lines for at most half of junk calls with an
// unknown key, and says how many others there were.
func checkUnknownKeyLines(t *testing.T, log string, junk int) {
	t.Helper()
	lines, leftOut := 0, 0
	for line := range strings.Lines(log) {
		var read struct {
			Msg, Outcome string
			Lines        int
		}
		if err := json.Unmarshal([]byte(line), &read); err != nil {
			t.Fatal(err)
		}
		switch {
		case read.Outcome != "invalid_api_key":
		case read.Msg == "call":
			lines++
		default:
			leftOut += read.Lines
		}
	}
	if lines+leftOut != junk || lines > junk/2 {
		t.Errorf("got %d log lines about unknown keys and %d left out, want at most %d lines and %d in all", lines, leftOut, junk/2, junk)
	}
}

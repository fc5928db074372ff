package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"tollgate/handler/azurite"
	"tollgate/handler/collector"
	"tollgate/handler/r1sim"
	"tollgate/handler/subscription"
)

// TestWhatIsSpentReachesTheCollector runs the gateway as main does, and ends it:
// what was gathered is sent before the process is gone.
func TestWhatIsSpentReachesTheCollector(t *testing.T) {
	var service collector.Collector
	ingestion := httptest.NewServer(&service)
	defer ingestion.Close()
	model := httptest.NewServer(new(r1sim.Endpoint))
	defer model.Close()
	port, err := azurite.FreePort()
	if err != nil {
		t.Fatal(err)
	}
	key := subscription.NewKey()
	values := map[string]string{"PORT": port, "KEY_PEPPER": "0123456789abcdef", "UPSTREAM_URL": model.URL, "UPSTREAM_API_KEY": r1sim.Key, "STORE": "memory",
		"MEMORY_DIRECTORY":                      fmt.Sprintf(`{"tiers":[{"id":"demo","tokensPerMinute":300}],"subscriptions":[{"id":"demo","tier":"demo"}],"keys":[{"subscription":"demo","slot":"primary","key":%q}]}`, key),
		"APPLICATIONINSIGHTS_CONNECTION_STRING": collector.ConnectionString(ingestion.Listener.Addr().String()),
		"METRIC_DIMENSIONS":                     "Client IP,API ID,Subscription ID,Model,Team={header:X-Team}", "METRIC_INTERVAL": "1m", "REGION_NAME": "westeurope"}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan int, 1)
	var out, errs bytes.Buffer
	go func() { ended <- run(ctx, env(values), &out, &errs) }()
	eventually(t, "the gateway listens", func() error {
		response, err := http.Get("http://127.0.0.1:" + port + "/")
		if err == nil {
			response.Body.Close()
		}
		return err
	})
	const prompt = `{"model":"DeepSeek-R1","messages":[{"role":"user","content":"a canary of a prompt"}]}`
	for range 3 {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://127.0.0.1:"+port+"/models/chat/completions", strings.NewReader(prompt))
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set("Api-Key", key)
		request.Header.Set("X-Team", "blue")
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, response.Body)
		response.Body.Close()
	}
	stop()
	if status := <-ended; status != exitDone {
		t.Fatalf("status %d: %s", status, errs.String())
	}
	if faults := service.Faults(); faults != nil {
		t.Errorf("items break the schema: %v", faults)
	}
	var spent float64
	requests := 0
	for _, item := range service.Items() {
		if item.Request != nil {
			requests++
			spent += item.Request.Measurements["Total Tokens"]
		}
		if strings.Contains(fmt.Sprintf("%+v %+v %+v %+v", item, item.Request, item.Dependency, item.Metric), "canary") || strings.Contains(fmt.Sprint(item.Properties), key) {
			t.Errorf("an item shows a prompt or a key: %v", item)
		}
	}
	sum, calls := service.Sum("Total Tokens", "Client IP", "127.0.0.1", "API ID", "models", "Subscription ID", "demo", "Model", "DeepSeek-R1", "Team", "blue", "Region", "westeurope")
	if requests != 3 || calls != 3 || sum != spent || sum == 0 {
		t.Errorf("%d requests with %v tokens, and metrics of %d calls with %v", requests, spent, calls, sum)
	}
	limit, intervals := service.Sum("Tokens Per Minute Limit", "Subscription ID", "demo", "Product ID", "demo")
	if intervals == 0 || limit != 300*float64(intervals) { // two, where a minute ended meanwhile
		t.Errorf("the minute's limit is told as %v in %d intervals", limit, intervals)
	}
	if operations, _ := service.Sum("Table Operations"); operations < 1 {
		t.Errorf("%v operations of the counters are told", operations)
	}
}

func TestWithoutAConnectionStringTelemetryIsOffAndSaidOnce(t *testing.T) {
	var out, errs bytes.Buffer
	values := maps.Clone(fine)
	port, err := azurite.FreePort()
	if err != nil {
		t.Fatal(err)
	}
	values["PORT"] = port
	ctx, stop := context.WithCancel(t.Context())
	stop()
	if status := run(ctx, env(values), &out, &errs); status != exitDone || strings.Count(out.String(), "telemetry is off") != 1 {
		t.Errorf("status %d: %s%s", status, out.String(), errs.String())
	}
}

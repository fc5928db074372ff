package telemetry_test

import (
	"bytes"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"tollgate/handler/telemetry"
)

func dimensions(t *testing.T, entries ...string) []telemetry.Dimension {
	t.Helper()
	parsed, err := telemetry.ParseDimensions(entries)
	if err != nil {
		t.Fatal(err)
	}
	return parsed
}

func TestValuesBeyondMaxSeriesBecomeOtherAndSumsStayComplete(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sink := &fakeSink{}
		var log bytes.Buffer
		r := telemetry.New(telemetry.Config{Sink: sink, Log: slog.New(slog.NewTextHandler(&log, nil)), Dimensions: dimensions(t, "Team={header:X-Team}", "Subscription ID"), MaxSeries: 5})
		for interval := range 2 {
			for i := range 100 {
				c := call("team-a", 1, 1)
				c.Header = http.Header{"X-Team": {fmt.Sprint(interval, "-", i)}}
				r.Report(c)
			}
			time.Sleep(10 * time.Second)
		}
		_ = r.Close(t.Context())
		var sum float64
		others := 0
		total := sink.metrics(telemetry.TotalTokens)
		for _, m := range total {
			sum += m.Sum
			if m.Dimensions["Team"] == "other" && m.Dimensions["Subscription ID"] == "other" {
				others++
			}
		}
		if sum != 400 || len(total) != 12 || others != 2 {
			t.Errorf("got sum %v of %d series, %d of them other; want 400 of 12, one other an interval", sum, len(total), others)
		}
		if n := strings.Count(log.String(), "METRIC_DIMENSIONS"); n != 1 {
			t.Errorf("got %d warnings, want 1: %s", n, log.String())
		}
	})
}

func TestDimensionsCanHaveOtherNames(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sink := &fakeSink{}
		r := telemetry.New(telemetry.Config{Sink: sink, Log: slog.New(slog.DiscardHandler), Place: telemetry.Place{Region: "swedencentral"},
			Dimensions: dimensions(t, "SubscriptionId={Subscription ID}", "product = { Product ID }", "region_name={Location}", "Model", "team={header:x-team}")})
		c := call("team-a", 1, 1)
		c.Header = http.Header{"X-Team": {"blue"}}
		r.Report(c)
		_ = r.Close(t.Context())
		m := sink.metrics(telemetry.TotalTokens)
		if len(m) != 1 {
			t.Fatalf("got metrics %+v, want one", m)
		}
		for name, want := range map[string]string{"SubscriptionId": "team-a", "product": c.Tier, "region_name": "swedencentral", "Model": c.Model, "team": "blue", "Subscription ID": ""} {
			if got := m[0].Dimensions[name]; got != want {
				t.Errorf("%s: got %q, want %q", name, got, want)
			}
		}
	})
}

func TestParseDimensionsReportsEveryFault(t *testing.T) {
	_, err := telemetry.ParseDimensions([]string{"Color", "Team={header:}", "Key={header:api-key}", "Region", "Replayed=x", "Model", "Model", "Braces={x}", "", "A={Model", "B={Model}{Model}", "C={header:X-Auth-Token}", "D={model}", "E={}"})
	for _, part := range []string{`"Color"`, "{header:}", "api-key", `"Region"`, `"Replayed"`, `"Model" twice`, `"{x}": between braces use API ID,`, `"{Model"`, `"{Model}{Model}"`, "X-Auth-Token", `"{model}"`, `"{}"`, "14 dimensions"} {
		if err == nil || !strings.Contains(err.Error(), part) {
			t.Errorf("got %v, want %s in it", err, part)
		}
	}
}

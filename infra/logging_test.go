package infra_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestTheHostKeepsEveryLogLineOfTheHandler: by default the host keeps 20 items a second
// and instance, drops the others, and adds two lines of its own for each call.
// Source: https://learn.microsoft.com/azure/azure-functions/functions-host-json#applicationinsights
func TestTheHostKeepsEveryLogLineOfTheHandler(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../host.json")
	if err != nil {
		t.Fatal(err)
	}
	var host struct {
		Logging struct {
			LogLevel            map[string]string
			ApplicationInsights struct{ SamplingSettings struct{ IsEnabled *bool } }
		}
	}
	if err := json.Unmarshal(text, &host); err != nil {
		t.Fatal(err)
	}
	if sampled := host.Logging.ApplicationInsights.SamplingSettings.IsEnabled; sampled == nil || *sampled {
		t.Error("got sampling of the host's log lines, want none")
	}
	for category, want := range map[string]string{
		"Host.Function.Console": "Information", // the handler's lines
		"Function.gateway":      "Warning",     // the host's two lines a call
		"Host.Results":          "Error",       // the host's request item a call
		"default":               "Information", // when functions start and stop
	} {
		if got := host.Logging.LogLevel[category]; got != want {
			t.Errorf("%s: got the level %q, want %q", category, got, want)
		}
	}
	for category := range host.Logging.LogLevel {
		if function, found := strings.CutPrefix(category, "Function."); found {
			if _, err := os.Stat(filepath.Join("..", "functions", function, "function.json")); err != nil {
				t.Errorf("got a level for the function %s (error %v), want only functions that exist", function, err)
			}
		}
	}
}

package main

import (
	"bytes"
	"strings"
	"testing"
)

func env(values map[string]string) func(string) string {
	return func(name string) string { return values[name] }
}

// fine are settings without a fault.
var fine = map[string]string{"KEY_PEPPER": "canary-pepper-0123456789", "UPSTREAM_URL": "https://x.services.ai.azure.com",
	"UPSTREAM_API_KEY": "canary-upstream", "AzureWebJobsStorage": "UseDevelopmentStorage=true"}

func TestWrongSettingsStopTheStart(t *testing.T) {
	var out, errs bytes.Buffer
	if status := run(t.Context(), env(nil), &out, &errs); status != exitFailed || !strings.Contains(errs.String(), "KEY_PEPPER is missing") {
		t.Errorf("status %d: %s", status, errs.String())
	}
}

// Package e2e tests the whole program as a process runs it, from its settings to its last
// write, with stand-ins for everything outside. Most tests run the gateway in this process,
// with [run]; those that kill it or measure its memory run the program that buildGateway
// builds.
//
// Start reading at run in running_test.go.
package e2e

import (
	"bytes"
	"strings"
	"testing"

	"tollgate/handler/app"
)

func env(values map[string]string) func(string) string {
	return func(name string) string { return values[name] }
}

// validSettings holds valid settings.
var validSettings = map[string]string{"KEY_PEPPER": "canary-pepper-0123456789", "UPSTREAM_URL": "https://x.services.ai.azure.com",
	"UPSTREAM_API_KEY": "canary-upstream", "AzureWebJobsStorage": "UseDevelopmentStorage=true"}

func TestWrongSettingsPreventTheStart(t *testing.T) {
	var out, errs bytes.Buffer
	if status := app.Run(t.Context(), env(nil), &out, &errs); status != app.ExitFailed || !strings.Contains(errs.String(), "KEY_PEPPER is missing") {
		t.Errorf("got exit status %d and %s, want %d and \"KEY_PEPPER is missing\"", status, errs.String(), app.ExitFailed)
	}
}

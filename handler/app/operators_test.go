package app

import (
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"tollgate/handler/config"
)

// startApp serves an application with STORE=memory, validSettings and these settings.
func startApp(t *testing.T, settings map[string]string) *httptest.Server {
	t.Helper()
	values := map[string]string{"STORE": "memory", "MEMORY_DIRECTORY": `{"tiers":[{"id":"demo","tokensPerMinute":300}]}`}
	for _, more := range []map[string]string{validSettings, settings} {
		for name, value := range more {
			values[name] = value
		}
	}
	values["AzureWebJobsStorage"] = ""
	c, err := config.Load(env(values))
	if err != nil {
		t.Fatal(err)
	}
	app, err := New(c, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(app.handler)
	t.Cleanup(func() {
		server.Close()
		if err := app.Close(t.Context()); err != nil && t.Context().Err() == nil {
			t.Error(err)
		}
	})
	return server
}

// get requests a path with a fixed request id, so that equal errors have equal bodies.
func get(t *testing.T, server *httptest.Server, path, token string) (int, string, http.Header) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, server.URL+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("X-Request-Id", "one")
	request.Header.Set("Authorization", "Bearer "+token)
	response, err := http.DefaultTransport.RoundTrip(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, string(text), response.Header
}

const canaryKey = "canary-operator-key-0123456789abcdef"

func TestManageAndConsoleAnswer404UnlessTurnedOn(t *testing.T) {
	server := startApp(t, nil)
	_, nowhere, _ := get(t, server, "/nowhere", canaryKey)
	for _, path := range []string{"/manage", "/manage/tiers", "/manage/openapi.json", "/console", "/console/"} {
		if status, text, _ := get(t, server, path, canaryKey); status != http.StatusNotFound || text != nowhere {
			t.Errorf("%s: got %d %s, want 404 %s", path, status, text, nowhere)
		}
	}
}

func TestManageAndConsoleAreServedNextToTheGateway(t *testing.T) {
	server := startApp(t, map[string]string{"MANAGE_KEY": canaryKey, "CONSOLE": "on"})
	for path, want := range map[string]struct {
		status int
		part   string
	}{
		"/manage/tiers": {200, `"id":"demo"`}, "/manage/usage": {200, `"items":[]`}, "/manage/nowhere": {404, "no_such_path"}, "/manage/checks": {200, `"counters"`},
		"/console/": {200, "<!doctype html>"}, "/console": {200, "<!doctype html>"}, "/managed": {404, "route_not_found"}, "/usage": {401, "invalid_api_key"}, "/": {200, ""},
	} {
		status, text, _ := follow(t, server, path)
		if status != want.status || !strings.Contains(text, want.part) {
			t.Errorf("%s: got %d %.200s, want %d with %s", path, status, text, want.status, want.part)
		}
	}
	if status, text, _ := get(t, server, "/manage/tiers", "another"); status != http.StatusUnauthorized {
		t.Errorf("with a wrong key: got %d %s, want 401", status, text)
	}
}

// follow requests a path and follows one redirect.
func follow(t *testing.T, server *httptest.Server, path string) (int, string, http.Header) {
	t.Helper()
	status, text, header := get(t, server, path, canaryKey)
	if location := header.Get("Location"); status/100 == 3 {
		return get(t, server, location, canaryKey)
	}
	return status, text, header
}

func TestFaultsNameTheOperatorsSettings(t *testing.T) {
	for want, settings := range map[string]map[string]string{
		"MANAGE_KEY is shorter than 32 bytes":            {"MANAGE_KEY": "canary"},
		"MANAGE_KEY is a reference to Key Vault":         {"MANAGE_KEY": "@Microsoft.KeyVault(SecretUri=https://canary.vault.azure.net/secrets/x)"},
		"MANAGE_AUDIENCE is missing":                     {"MANAGE_ISSUER": "https://login.microsoftonline.com/t/v2.0"},
		"MANAGE_ISSUER is missing":                       {"MANAGE_AUDIENCE": "api://tollgate"},
		`MANAGE_ISSUER is "http://login.example/v2.0": `: {"MANAGE_AUDIENCE": "api://tollgate", "MANAGE_ISSUER": "http://login.example/v2.0"},
		`CONSOLE is "yes": use off or on`:                {"CONSOLE": "yes"},
	} {
		for name, value := range validSettings {
			settings[name] = value
		}
		if _, err := config.Load(env(settings)); err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "canary") {
			t.Errorf("got %v, want an error with %q and no secret", err, want)
		}
	}
}

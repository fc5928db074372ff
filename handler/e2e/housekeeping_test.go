package e2e

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"tollgate/handler/subscription"
	"tollgate/handler/subscription/subscriptiontest"
)

// inMemory runs the gateway without storage, for one subscription of a tier.
// portSetting sets its port: PORT, or the setting that the Functions host uses.
func inMemory(t *testing.T, tier, portSetting string) (url, key string) {
	t.Helper()
	key = subscription.NewKey()
	g := run(t, portSetting, map[string]string{"KEY_PEPPER": subscriptiontest.PepperSecret, "UPSTREAM_URL": "http://127.0.0.1:1", "UPSTREAM_API_KEY": "none", "STORE": "memory",
		"MEMORY_DIRECTORY": fmt.Sprintf(`{"tiers":[%s],"subscriptions":[{"id":"team-a","tier":"demo"}],"keys":[{"subscription":"team-a","slot":"primary","key":%q}]}`, tier, key)})
	return g.url, key
}

// ask makes a request with headers, pairs of name and value.
func ask(t *testing.T, method, address, body string, headers ...string) (int, string, string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, address, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(headers); i += 2 {
		request.Header.Set(headers[i], headers[i+1])
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, response.Header.Get("Content-Type"), string(text)
}

const timerFired = `{"Data":{},"Metadata":{}}`

// TestOnlyTheHostStartsHousekeeping: the Functions host POSTs to the timer function's
// folder name. The same request gets 404 with the headers of the host's proxy, as a
// caller's has, or with those of a page in a browser.
func TestOnlyTheHostStartsHousekeeping(t *testing.T) {
	url, key := inMemory(t, `{"id":"demo","tokensPerMinute":300}`, "FUNCTIONS_CUSTOMHANDLER_PORT")
	same := []string{"X-Request-Id", "same", "Api-Key", key}
	_, _, nothing := ask(t, http.MethodPost, url+"/nothing-here", timerFired, same...)
	for _, foreign := range [][]string{{"X-Forwarded-Host", "tollgate.example"}, {"X-Forwarded-Proto", "http"}, {"X-Forwarded-For", "203.0.113.7"}, {"X-Forwarded-Proto", ""},
		{"Forwarded", "for=203.0.113.7"}, {"Origin", "https://example.com"}, {"Origin", "null"}, {"Sec-Fetch-Site", "cross-site"}, {"Sec-Fetch-Site", "same-origin"}} {
		for _, path := range []string{"/housekeeping", "/%68ousekeeping"} {
			if status, _, body := ask(t, http.MethodPost, url+path, timerFired, append(foreign, same...)...); status != 404 || body != strings.ReplaceAll(nothing, "/nothing-here", "/housekeeping") {
				t.Errorf("%s with %v: got %d %s, want 404 as for any unknown path: %s", path, foreign, status, body, nothing)
			}
		}
	}
	if status, kind, body := ask(t, http.MethodPost, url+"/housekeeping", timerFired, same...); status != 200 || kind != "application/json" || !strings.HasPrefix(body, "{") || !strings.Contains(body, "0 failed") {
		t.Errorf("called by the host: got %d %s %s, want 200 with JSON and 0 failed", status, kind, body)
	}
	if status, _, body := ask(t, http.MethodPost, url+"/housekeeping", timerFired, same...); status != 200 || !strings.Contains(body, "left to another run") {
		t.Errorf("called by the host again: got %d %s, want 200 and \"left to another run\"", status, body)
	}
}

// TestWithoutAHostHousekeepingCannotBeStarted: without a host, any program on the machine
// can reach the port, pages in a browser included.
func TestWithoutAHostHousekeepingCannotBeStarted(t *testing.T) {
	url, key := inMemory(t, `{"id":"demo","tokensPerMinute":300}`, "PORT")
	for _, path := range []string{"/housekeeping", "/%68ousekeeping", "//housekeeping"} {
		if status, _, body := ask(t, http.MethodPost, url+path, timerFired, "Api-Key", key); status != 404 {
			t.Errorf("%s: got %d %s, want 404", path, status, body)
		}
	}
}

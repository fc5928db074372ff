package e2e

import (
	"net/http"
	"strings"
	"testing"

	"tollgate/handler/subscription"
)

const timerFired = `{"Data":{},"Metadata":{}}`

// The Functions host POSTs to the timer function's folder name. The same request gets 404
// if it has the headers of the host's proxy, as a caller's request has, or those of a page
// in a browser.
func TestOnlyTheHostStartsHousekeeping(t *testing.T) {
	key := subscription.NewKey()
	url := run(t, "FUNCTIONS_CUSTOMHANDLER_PORT", memorySettings("http://127.0.0.1:1", `{"id":"demo","tokensPerMinute":300}`, key)).url
	same := []string{"X-Request-Id", "same", "Api-Key", key}
	nothing := ask(t, http.MethodPost, url+"/nothing-here", timerFired, same...).body
	for _, foreign := range [][]string{{"X-Forwarded-Host", "tollgate.example"}, {"X-Forwarded-Proto", "http"}, {"X-Forwarded-For", "203.0.113.7"}, {"X-Forwarded-Proto", ""},
		{"Forwarded", "for=203.0.113.7"}, {"Origin", "https://example.com"}, {"Origin", "null"}, {"Sec-Fetch-Site", "cross-site"}, {"Sec-Fetch-Site", "same-origin"}} {
		for _, path := range []string{"/housekeeping", "/%68ousekeeping"} {
			if got := ask(t, http.MethodPost, url+path, timerFired, append(foreign, same...)...); got.status != 404 || got.body != strings.ReplaceAll(nothing, "/nothing-here", "/housekeeping") {
				t.Errorf("%s with %v: got %d %s, want 404 as for any unknown path: %s", path, foreign, got.status, got.body, nothing)
			}
		}
	}
	got := ask(t, http.MethodPost, url+"/housekeeping", timerFired, same...)
	if kind := got.header.Get("Content-Type"); got.status != 200 || kind != "application/json" || !strings.HasPrefix(got.body, "{") || !strings.Contains(got.body, "0 failed") {
		t.Errorf("called by the host: got %d %s %s, want 200 with JSON and 0 failed", got.status, kind, got.body)
	}
	if got := ask(t, http.MethodPost, url+"/housekeeping", timerFired, same...); got.status != 200 || !strings.Contains(got.body, "left to another run") {
		t.Errorf("called by the host again: got %d %s, want 200 and \"left to another run\"", got.status, got.body)
	}
}

// Without a host any program on the machine can reach the port, and so can a page in a
// browser.
func TestWithoutAHostHousekeepingCannotBeStarted(t *testing.T) {
	key := subscription.NewKey()
	url := run(t, "PORT", memorySettings("http://127.0.0.1:1", `{"id":"demo","tokensPerMinute":300}`, key)).url
	for _, path := range []string{"/housekeeping", "/%68ousekeeping", "//housekeeping"} {
		if got := ask(t, http.MethodPost, url+path, timerFired, "Api-Key", key); got.status != 404 {
			t.Errorf("%s: got %d %s, want 404", path, got.status, got.body)
		}
	}
}

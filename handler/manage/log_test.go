package manage_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// doRaw makes a request with any method and path, valid or not, and with a bearer token unless
// it is empty. It returns the status.
func (f *fixture) doRaw(method, path, token string) int {
	f.t.Helper()
	r := httptest.NewRequest(http.MethodGet, "/manage/me", nil)
	r.Method, r.URL.Path, r.RequestURI = method, path, path
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	recorder := httptest.NewRecorder()
	f.api.ServeHTTP(recorder, r)
	return recorder.Code
}

func TestTheLogShowsRoutesAndNoPaths(t *testing.T) {
	const pasted = "tg_abcdefghijklmnopqrstuvwxyz0123"
	for _, token := range []string{"", "wrong", operatorKey} {
		f := newFixture(t)
		f.log.Reset()
		for method, path := range map[string]string{
			"GET": "/manage/" + pasted, "PUT": "/manage/subscriptions/" + pasted, "DELETE": "/manage/subscriptions/a/keys/" + pasted,
			"HEAD": "/manage/" + strings.Repeat("x", 30_000), "POST": "/manage//../" + pasted, pasted: "/manage/tiers",
		} {
			f.doRaw(method, path, token)
		}
		text := f.log.String()
		if strings.Contains(text, pasted) || strings.Contains(text, "xxxx") {
			t.Errorf("token %q: got the path in the log, want the route alone: %s", token, text)
		}
		for _, want := range []string{`"route":"PUT /manage/subscriptions/{id}"`, `"route":"DELETE /manage/subscriptions/{id}/keys/{slot}"`, `"route":"GET (no route)"`, `"route":"(other) /manage/tiers"`} {
			if !strings.Contains(text, want) {
				t.Errorf("token %q: got the log %s, want it to contain %s", token, text, want)
			}
		}
		for line := range strings.Lines(text) {
			if len(line) > 300 {
				t.Errorf("a log line: got %d bytes, want at most 300", len(line))
			}
		}
	}
}

func TestRequestsWithoutATokenAreLoggedSparingly(t *testing.T) {
	f := newFixture(t)
	f.log.Reset()
	for range 1000 {
		if status := f.doRaw("GET", "/manage/tiers", "wrong"); status != http.StatusUnauthorized {
			t.Fatalf("got status %d, want 401", status)
		}
		f.doRaw("GET", "/manage/openapi.json", "")
	}
	if lines := strings.Count(f.log.String(), "\n"); lines < 2 || lines > 30 {
		t.Errorf("got %d lines about 2,000 requests without a valid token, want 2 to 30", lines)
	}
	for range 50 {
		f.doRaw("GET", "/manage/tiers", operatorKey)
	}
	if lines := strings.Count(f.log.String(), `"who":"operator key"`); lines != 50 {
		t.Errorf("got %d lines about 50 requests of an operator, want 50", lines)
	}
}

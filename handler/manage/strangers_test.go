package manage_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// askRaw sends a request as it stands, with a bearer token where there is one.
func (o *office) askRaw(method, path, token string) int {
	o.t.Helper()
	r := httptest.NewRequest(http.MethodGet, "/manage/me", nil)
	r.Method, r.URL.Path, r.RequestURI = method, path, path
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	recorder := httptest.NewRecorder()
	o.api.ServeHTTP(recorder, r)
	return recorder.Code
}

func TestTheLogHasRoutesAndNoPaths(t *testing.T) {
	const pasted = "tg_abcdefghijklmnopqrstuvwxyz0123"
	for _, token := range []string{"", "wrong", operatorKey} {
		o := newOffice(t)
		o.log.Reset()
		for method, path := range map[string]string{
			"GET": "/manage/" + pasted, "PUT": "/manage/subscriptions/" + pasted, "DELETE": "/manage/subscriptions/a/keys/" + pasted,
			"HEAD": "/manage/" + strings.Repeat("x", 30_000), "POST": "/manage//../" + pasted, pasted: "/manage/tiers",
		} {
			o.askRaw(method, path, token)
		}
		said := o.log.String()
		if strings.Contains(said, pasted) || strings.Contains(said, "xxxx") {
			t.Errorf("token %q: the log has what was pasted: %s", token, said)
		}
		for _, want := range []string{`"route":"PUT /manage/subscriptions/{id}"`, `"route":"DELETE /manage/subscriptions/{id}/keys/{slot}"`, `"route":"GET (no route)"`, `"route":"(other) /manage/tiers"`} {
			if !strings.Contains(said, want) {
				t.Errorf("token %q: the log lacks %s: %s", token, want, said)
			}
		}
		for line := range strings.Lines(said) {
			if len(line) > 300 {
				t.Errorf("a line of %d bytes", len(line))
			}
		}
	}
}

func TestStrangersDontFillTheManageLog(t *testing.T) {
	o := newOffice(t)
	o.log.Reset()
	for range 1000 {
		if status := o.askRaw("GET", "/manage/tiers", "wrong"); status != http.StatusUnauthorized {
			t.Fatalf("status %d", status)
		}
		o.askRaw("GET", "/manage/openapi.json", "")
	}
	if lines := strings.Count(o.log.String(), "\n"); lines < 2 || lines > 30 {
		t.Errorf("%d lines about 2,000 requests of strangers", lines)
	}
	for range 50 {
		o.askRaw("GET", "/manage/tiers", operatorKey)
	}
	if lines := strings.Count(o.log.String(), `"who":"operator key"`); lines != 50 {
		t.Errorf("%d lines about 50 requests of an operator", lines)
	}
}

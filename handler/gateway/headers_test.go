package gateway_test

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"tollgate/handler/subscription/subscriptiontest"
)

// Caches ignore the headers that hold the keys, so a cached /usage could be served to
// another caller.
func TestNoAnswerIsCachedOrSniffed(t *testing.T) {
	status := http.StatusOK
	b := start(t, subscriptiontest.Limits{TokensPerMinute: 300}, func(w http.ResponseWriter, r *http.Request) {
		for name, value := range map[string]string{"Cache-Control": "public, max-age=3600", "Expires": "Thu, 01 Jan 2099 00:00:00 GMT", "Age": "1", "Etag": `"x"`, "Vary": "Accept", "Pragma": "x", "Last-Modified": "Thu, 01 Jan 2009 00:00:00 GMT"} {
			w.Header().Set(name, value)
		}
		body, _ := io.ReadAll(r.Body)
		if status == http.StatusOK && strings.Contains(string(body), `"stream":true`) {
			w.Header().Set("Content-Type", "text/event-stream")
			_, _ = io.WriteString(w, "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"hi\"},\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n")
			return
		}
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		_, _ = io.WriteString(w, `{"choices":[{"message":{"content":"hi"}}],"usage":{"prompt_tokens":5,"completion_tokens":1,"total_tokens":6}}`)
	})
	check := func(what string, want int, answer *http.Response) {
		t.Helper()
		h := answer.Header
		if answer.StatusCode != want || strings.Join(h["Cache-Control"], ";") != "no-store" || strings.Join(h["X-Content-Type-Options"], ";") != "nosniff" {
			t.Errorf("%s: got %d with %v, want %d with no-store and nosniff", what, answer.StatusCode, h, want)
		}
		for _, name := range []string{"Expires", "Age", "Etag", "Vary", "Pragma", "Last-Modified"} {
			if h.Get(name) != "" {
				t.Errorf("%s: got %s %q from the endpoint, want it dropped", what, name, h.Get(name))
			}
		}
	}
	whole, _ := b.post(t, demoPath, demo)
	streamed, _ := b.post(t, demoPath, strings.Replace(demo, "{", `{"stream":true,`, 1))
	malformed, _ := b.post(t, demoPath, "{")
	unknown, _ := b.post(t, "/nowhere", demo)
	keyless, _ := b.post(t, demoPath, demo, "Api-Key", "")
	check("an answer", 200, whole)
	check("a stream", 200, streamed)
	check("a bad request", 400, malformed)
	check("no route", 404, unknown)
	check("no key", 401, keyless)
	for path, want := range map[string]int{"/": 200, "/usage": 200, "/models": 200, "/v1/chat/completions": 405} {
		answer, _ := b.get(t, path)
		check("GET "+path, want, answer)
	}
	for _, status = range []int{400, 429, 500} {
		answer, _ := b.post(t, demoPath, demo)
		check("the endpoint's own error", status, answer)
	}
	status = http.StatusForbidden
	answer, _ := b.post(t, demoPath, demo)
	check("an error of the gateway's own", 502, answer)
}

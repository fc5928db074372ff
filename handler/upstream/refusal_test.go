package upstream_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"tollgate/handler/secret"
	"tollgate/handler/upstream"
)

func TestARefusalKeepsItsStatusBodyAndRetryAfter(t *testing.T) {
	date := time.Now().Add(time.Hour).UTC().Format(http.TimeFormat)
	for name, c := range map[string]struct {
		status   int
		header   http.Header
		min, max time.Duration
	}{
		"429 without a time":              {429, http.Header{}, 0, 0},
		"429 with seconds":                {429, http.Header{"Retry-After": {"7"}}, 7 * time.Second, 7 * time.Second},
		"429 with milliseconds":           {429, http.Header{"Retry-After": {"8"}, "Retry-After-Ms": {"7123"}}, 7123 * time.Millisecond, 7123 * time.Millisecond},
		"429 with a date":                 {429, http.Header{"Retry-After": {date}}, 30 * time.Minute, time.Hour},
		"503 with a date in the past":     {503, http.Header{"Retry-After": {"Mon, 02 Jan 2006 15:04:05 GMT"}}, 0, 0},
		"408 with a negative time":        {408, http.Header{"Retry-After": {"-5"}}, 0, 0},
		"424 with a malformed time":       {424, http.Header{"Retry-After": {"soon"}, "Retry-After-Ms": {"NaN"}}, 0, 0},
		"500 with an enormous time":       {500, http.Header{"Retry-After": {"1e300"}}, 365 * 24 * time.Hour, 365 * 24 * time.Hour},
		"422, a fault of the call":        {422, http.Header{"Content-Type": {"application/json"}}, 0, 0},
		"401, which is about our own key": {401, http.Header{"Www-Authenticate": {"Bearer"}}, 0, 0},
	} {
		t.Run(name, func(t *testing.T) {
			client := newClient(t, upstream.Timeouts{}, endpoint(serve(t, func(w http.ResponseWriter, _ *http.Request) {
				for key, values := range c.header {
					w.Header()[key] = values
				}
				w.WriteHeader(c.status)
				_, _ = io.WriteString(w, `{"error":{"code":"x"}}`)
			})))
			_, err := client.Send(t.Context(), aCall(false))
			var refused *upstream.StatusError
			if !errors.As(err, &refused) {
				t.Fatalf("got %v, want a *StatusError", err)
			}
			if refused.Status != c.status || string(refused.Body) != `{"error":{"code":"x"}}` {
				t.Errorf("got %d %s, want %d and the body as sent", refused.Status, refused.Body, c.status)
			}
			if refused.RetryAfter < c.min || refused.RetryAfter > c.max {
				t.Errorf("got RetryAfter %v, want %v to %v", refused.RetryAfter, c.min, c.max)
			}
			if refused.Header.Get("Retry-After") != c.header.Get("Retry-After") || refused.Header.Get("Www-Authenticate") != "" {
				t.Errorf("got header %v, want Retry-After %q and no Www-Authenticate", refused.Header, c.header.Get("Retry-After"))
			}
		})
	}
}

// A page of HTML may name resources, and a browser would show it.
func TestARefusalsBodyIsEmptyUnlessItIsJSONAndHoldsNoCredential(t *testing.T) {
	const key = "upstream-key"
	padded := func(n int) string { return `{"error":"` + strings.Repeat("x", n-len(`{"error":""}`)) + `"}` }
	for name, c := range map[string]struct{ encoding, body, want string }{
		"an object":                  {"", `{"error":{"code":"x"}}`, `{"error":{"code":"x"}}`},
		"an array":                   {"", ` [{"error":1}]`, ` [{"error":1}]`},
		"a byte order mark":          {"", "\xEF\xBB\xBF{}", "{}"},
		"the encoding none":          {"none", `{"error":1}`, `{"error":1}`},
		"compressed":                 {"gzip", `{"error":1}`, ""},
		"HTML":                       {"", "<html>sub-1</html>", ""},
		"a text":                     {"", "no healthy upstream", ""},
		"a JSON string":              {"", `"no"`, ""},
		"JSON that breaks off":       {"", `{"error":"no`, ""},
		"two objects":                {"", `{"error":1}{"error":2}`, ""},
		"nothing":                    {"", "", ""},
		"as much as is read":         {"", padded(64 << 10), padded(64 << 10)},
		"more than is read":          {"", padded(64<<10 + 1), ""},
		"our key":                    {"", `{"error":"bad key upstream-key, ` + key + `","` + key + `":1}`, `{"error":"bad key (secret), (secret)","(secret)":1}`},
		"our key in other spellings": {"", `{"error":"bad key upstr\u0065am-key"}`, ""},
	} {
		client := newClient(t, upstream.Timeouts{}, endpoint(serve(t, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Encoding", c.encoding)
			w.Header().Set("Content-Type", "text/html")
			w.WriteHeader(500)
			_, _ = io.WriteString(w, c.body)
		})))
		_, err := client.Send(t.Context(), aCall(false))
		refused, ok := errors.AsType[*upstream.StatusError](err)
		if !ok || string(refused.Body) != c.want || refused.Header.Get("Content-Type") != "" {
			t.Errorf("%s: got %v, %.80q %v; want %.80q without a Content-Type", name, err, refused.Body, refused.Header, c.want)
		}
	}
}

func TestATokenIsRemovedFromARefusal(t *testing.T) {
	e := endpoint(serve(t, func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(400)
		_, _ = io.WriteString(w, `{"error":"`+r.Header.Get("Authorization")+`"}`)
	}))
	e.Key = secret.Text{}
	e.Token = func(context.Context) (string, error) { return "eyJ0eXAi.eyJhdWQi.c2ln", nil }
	_, err := newClient(t, upstream.Timeouts{}, e).Send(t.Context(), aCall(false))
	if refused, ok := errors.AsType[*upstream.StatusError](err); !ok || string(refused.Body) != `{"error":"Bearer (secret)"}` {
		t.Errorf("got %v with body %s, want the token replaced", err, refused.Body)
	}
}

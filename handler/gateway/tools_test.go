package gateway_test

import (
	"encoding/json"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	"tollgate/handler/gateway"
	"tollgate/handler/limit"
	"tollgate/handler/local/fakemodel"
	"tollgate/handler/secret"
	"tollgate/handler/shape"
	"tollgate/handler/subscription"
	"tollgate/handler/subscription/subscriptiontest"
	"tollgate/handler/upstream"
)

// toolCalls records the shape of a tool's calls: paths, headers, fields and sizes. In place
// of each text, the file has its length in bytes.
type toolCalls struct {
	Tool  string
	Calls []struct {
		Method, Path string
		Headers      [][2]string
		Body         map[string]json.RawMessage
	}
}

// filler returns a text of n bytes.
func filler(n int) string {
	return strings.Repeat("Somebody asks for the time and is told. ", n/40+1)[:n]
}

// filled returns a recorded value with texts in place of their lengths: $text is a string,
// $name a tool's name, $json an object, $schema a JSON Schema.
func filled(t *testing.T, value any) any {
	t.Helper()
	switch value := value.(type) {
	case []any:
		for i := range value {
			value[i] = filled(t, value[i])
		}
	case map[string]any:
		if len(value) == 1 {
			for kind, n := range value {
				if text, known := replacement(kind, n); known {
					return text
				}
			}
		}
		for name := range value {
			value[name] = filled(t, value[name])
		}
	}
	return value
}

// names numbers the names of tools, which must differ.
var names atomic.Int64

func replacement(kind string, length any) (stand any, known bool) {
	n, ok := length.(float64)
	if !ok {
		return nil, false
	}
	switch kind {
	case "$text":
		return filler(int(n)), true
	case "$name":
		return "tool_" + strconv.FormatInt(names.Add(1), 10), true
	case "$json":
		return map[string]any{"city": filler(max(0, int(n)-len(`{"city":""}`)))}, true
	case "$schema":
		const frame = `{"type":"object","properties":{"city":{"type":"string","description":""}},"required":["city"]}`
		return json.RawMessage(strings.Replace(frame, `""`, `"`+filler(max(0, int(n)-len(frame)))+`"`, 1)), true
	}
	return nil, false
}

// recorded reads what is recorded of a tool, with texts.
func recorded(t *testing.T, tool string) toolCalls {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", "tools", tool+".json"))
	if err != nil {
		t.Fatal(err)
	}
	var r toolCalls
	if err := json.Unmarshal(text, &r); err != nil {
		t.Fatalf("%s: %v", tool, err)
	}
	return r
}

// body returns a recorded body as JSON.
func body(t *testing.T, fields map[string]json.RawMessage) string {
	t.Helper()
	whole := make(map[string]any)
	for name, raw := range fields {
		var value any
		if err := json.Unmarshal(raw, &value); err != nil {
			t.Fatal(err)
		}
		whole[name] = filled(t, value)
	}
	text, err := json.Marshal(whole)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// A toolFixture is a gateway in front of a fake model that has an endpoint of the openai and
// one of the anthropic shape.
type toolFixture struct {
	*fixture
	endpoint *fakemodel.Endpoint
	got      atomic.Value // string: the last body at the endpoint
	headers  atomic.Value // http.Header
}

// startTools starts a gateway for these models, by the API that each speaks.
func startTools(t *testing.T, limits subscriptiontest.Limits, models ...string) *toolFixture {
	t.Helper()
	w := &toolFixture{endpoint: &fakemodel.Endpoint{}}
	if limits.TokenQuota > 0 {
		limits.TokenQuotaPeriod = limit.Yearly
	}
	address := serve(t, func(writer http.ResponseWriter, r *http.Request) {
		text, _ := io.ReadAll(r.Body)
		w.got.Store(string(text))
		w.headers.Store(r.Header)
		r.Body = io.NopCloser(strings.NewReader(string(text)))
		w.endpoint.ServeHTTP(writer, r)
	})
	w.fixture = start(t, limits, nil, func(config *gateway.Config) {
		key := secret.New(fakemodel.Key)
		own := func(prefix string) map[string]upstream.Model {
			found := make(map[string]upstream.Model)
			for _, name := range models {
				if strings.HasPrefix(name, "claude") == (prefix == "claude") {
					found[name] = upstream.Model{Name: name}
				}
			}
			return found
		}
		var endpoints []upstream.Endpoint
		for _, e := range []upstream.Endpoint{{Name: "openai", URL: address, Shape: shape.OpenAI, Key: key, Models: own("")}, {Name: "anthropic", URL: address, Shape: shape.Anthropic, Key: key, Models: own("claude")}} {
			if len(e.Models) > 0 {
				endpoints = append(endpoints, e)
			}
		}
		config.Upstream, config.Models = newUpstream(t, upstream.Timeouts{}, endpoints...), models
	})
	return w
}

// The tools get their answers, are charged what the endpoint bills, and what they send
// reaches the endpoint unchanged, without their key.
func TestToolsThatPeopleRunAreServed(t *testing.T) {
	for tool, wants := range map[string]struct {
		model, end string
		passed     []string // headers
	}{
		"claude-code": {"claude-opus-5-5", "event: message_stop\n", []string{"Anthropic-Version", "Anthropic-Beta"}},
		"codex":       {"gpt-5-mini", "event: response.completed\n", nil},
	} {
		t.Run(tool, func(t *testing.T) {
			w := startTools(t, subscriptiontest.Limits{TokenQuota: 10_000_000}, wants.model)
			for i, call := range recorded(t, tool).Calls {
				sent := body(t, call.Body)
				headers := []string{"Api-Key", ""}
				for _, h := range call.Headers {
					value := strings.Replace(h[1], "$key", w.key, 1)
					if n, ok := strings.CutPrefix(value, "$text:"); ok {
						length, _ := strconv.Atoi(n)
						value = strings.TrimSpace(filler(length))
					}
					headers = append(headers, h[0], value)
				}
				headers = append(headers, "Accept-Encoding", "identity") // the test's client reads the answer itself
				charged, billed := w.spent(t), w.endpoint.Billed()
				response, answer := w.post(t, call.Path, sent, headers...)
				if response.StatusCode != 200 || !strings.Contains(answer, wants.end) {
					t.Fatalf("call %d: got %d %s, want a whole answer", i, response.StatusCode, answer)
				}
				w.serving.Wait()
				if got, want := w.spent(t)-charged, w.endpoint.Billed()-billed; got != want || want < 1000 {
					t.Errorf("call %d: got %d tokens charged, want the %d billed, and more than 1,000", i, got, want)
				}
				if w.got.Load() != sent {
					t.Errorf("call %d: got another body at the endpoint than was sent", i)
				}
				at := w.headers.Load().(http.Header)
				for _, name := range wants.passed {
					if sent := response.Request.Header.Get(name); at.Get(name) != sent || sent == "" {
						t.Errorf("call %d: got %s %q at the endpoint, want %q", i, name, at.Get(name), sent)
					}
				}
				if text, _ := json.Marshal(at); strings.Contains(string(text), w.key) || strings.Contains(string(text), "told") {
					t.Errorf("call %d: got the headers %s at the endpoint, want neither the key nor the tool's own", i, text)
				}
			}
		})
	}
}

// A tool that is refused gets an error in the form that it reads, and knows when to retry.
func TestToolsThatAreRefusedGetTheirOwnFormOfErrors(t *testing.T) {
	for tool, wants := range map[string]struct{ model, begins, kind string }{
		"claude-code": {"claude-opus-5-5", `{"type":"error","error":{"type":"`, "request_too_large"},
		"codex":       {"gpt-5-mini", `{"statusCode":413,`, ""},
	} {
		w := startTools(t, subscriptiontest.Limits{TokensPerMinute: 2000, Reserve: subscription.ReservePrompt}, wants.model)
		call := recorded(t, tool).Calls[0]
		response, answer := w.post(t, call.Path, body(t, call.Body), "Anthropic-Version", "2023-06-01")
		if response.StatusCode != 413 || !strings.HasPrefix(answer, wants.begins+wants.kind) || response.Header.Get("X-Should-Retry") != "false" {
			t.Errorf("%s: got %d %s, want 413 that begins with %s, not to be retried", tool, response.StatusCode, answer, wants.begins)
		}
	}
}

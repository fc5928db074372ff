package gateway_test

import (
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"tollgate/handler/gateway"
	"tollgate/handler/limit"
	"tollgate/handler/shape"
	"tollgate/handler/subscription/subscriptiontest"
	"tollgate/handler/upstream"
)

// A 200 without an answer is a failure of its endpoint. The gateway asks another, and the
// caller pays for that answer.
func TestAnotherEndpointAnswersWhereOneHasNoAnswer(t *testing.T) {
	whole, streamed := answered, thought+said+together+finished
	for name, test := range map[string]struct {
		body  string
		model http.HandlerFunc
	}{
		"blank lines":                 {asked, answer("\n\n\n")},
		"an empty body":               {asked, answer("")},
		"HTML":                        {asked, called("text/html", "<html></html>")},
		"other JSON":                  {asked, answer(`{"detail":"Internal error"}`)},
		"an answer cut off":           {asked, answer(`{"choices":[`, cut)},
		"an unpaid account":           {asked, refusing(402, `{"error":"Insufficient Balance"}`)},
		"[DONE] alone":                {stream, events(finished)},
		"comments":                    {stream, events(": hi\n\n: hi\n\n" + finished)},
		"a stream of nothing":         {stream, events("")},
		"a stream cut at once":        {stream, events(": hi\n\n", cut)},
		"HTML in place of a stream":   {stream, called("text/html", "<html></html>")},
		"HTML called a stream":        {stream, events("<html></html>")},
		"JSON in place of a stream":   {stream, answer(`{"code":1}`)},
		"a stream called JSON, empty": {stream, called("application/json", finished)},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			want := whole
			second := answer(whole)
			if test.body == stream {
				want, second = streamed, events(streamed)
			}
			b := openWith(t, subscriptiontest.Limits{TokenQuota: 10_000, TokenQuotaPeriod: limit.Yearly}, before(t,
				upstream.Endpoint{Name: "a", URL: serving(t, test.model), Shape: shape.OpenAI, Priority: 1},
				upstream.Endpoint{Name: "b", URL: serving(t, second), Shape: shape.OpenAI, Priority: 2}), upstream.Timeouts{}, nil)
			for range 7 { // enough for a to be paused
				response, body := b.post(t, path, test.body)
				if response.StatusCode != 200 || body != want || response.Header.Get("x-tollgate-upstream") != "b" {
					t.Fatalf("got %d %v %q, want 200 from b: %q", response.StatusCode, response.Header, body, want)
				}
			}
			if used := b.spent(t); used != 700 {
				t.Errorf("got %d tokens used by 7 calls of 100, want 700", used)
			}
		})
	}
}

// Once a part of an answer has reached the caller, the gateway asks no other endpoint.
func TestNoOtherEndpointIsAskedOnceTheAnswerHasBegun(t *testing.T) {
	for name, model := range map[string]http.HandlerFunc{
		"text":       events(thought + said),
		"a role":     events(`data: {"choices":[{"index":0,"delta":{"role":"assistant"}}]}` + "\n\n"),
		"an error":   events(failing),
		"usage":      events(told),
		"junk, long": events("data: " + strings.Repeat("x", 100_000) + "\n\n"),
	} {
		b := openWith(t, subscriptiontest.Limits{}, before(t,
			upstream.Endpoint{Name: "a", URL: serving(t, model), Shape: shape.OpenAI, Priority: 1},
			upstream.Endpoint{Name: "b", URL: serving(t, func(http.ResponseWriter, *http.Request) { t.Errorf("%s: got a call to b, want none", name) }), Shape: shape.OpenAI, Priority: 2}),
			upstream.Timeouts{}, nil)
		_, _, _ = b.read(t.Context(), stream)
	}
}

// While every endpoint of a model is throttled its callers get a 429 and the wait;
// other models of the same endpoints are served.
func TestAThrottledModelIsA429AndOthersAreStillServed(t *testing.T) {
	model := func(w http.ResponseWriter, r *http.Request) {
		if strings.Contains(r.URL.Path, "/d1/") {
			refusing(429, `{"error":{"code":"429"}}`, "Retry-After", "60")(w, r)
			return
		}
		answer(answered)(w, r)
	}
	models := map[string]upstream.Model{"DeepSeek-R1": {Name: "d1"}, "gpt-oss": {Name: "d2"}}
	b := openWith(t, subscriptiontest.Limits{}, before(t,
		upstream.Endpoint{Name: "a", URL: serving(t, model), Shape: shape.Deployments, Models: models},
		upstream.Endpoint{Name: "b", URL: serving(t, model), Shape: shape.Deployments, Models: models}), upstream.Timeouts{}, nil)
	if response, body := b.post(t, path, asked); response.StatusCode != 429 || body != `{"error":{"code":"429"}}` || response.Header.Get("Retry-After") != "60" {
		t.Errorf("at first: got %d %v %s, want upstream's own 429 with Retry-After 60", response.StatusCode, response.Header, body)
	}
	response, body := b.post(t, path, asked)
	var told struct{ Error struct{ Code string } }
	if err := json.Unmarshal([]byte(body), &told); err != nil || response.StatusCode != 429 || told.Error.Code != "upstream_throttled" || response.Header.Get("Retry-After") == "" {
		t.Errorf("then: got %d %v %s, want 429 upstream_throttled with Retry-After", response.StatusCode, response.Header, body)
	}
	if response, body := b.post(t, path, strings.Replace(asked, "DeepSeek-R1", "gpt-oss", 1)); response.StatusCode != 200 {
		t.Errorf("another model: got %d %s, want 200", response.StatusCode, body)
	}
}

// An answer whose content is a stream is relayed as one, whatever its Content-Type:
// event by event, with keep-alive comments, and with the right type.
func TestAStreamOfAnyTypeIsPassedOnAsItArrives(t *testing.T) {
	for _, kind := range []string{"", "application/json", "application/octet-stream", "text/plain; charset=utf-8", "text/event-stream, text/event-stream", "text/event-stream;;", "text/event-stream"} {
		release := make(chan struct{})
		b := openWith(t, subscriptiontest.Limits{}, func(*gateway.Config) {}, upstream.Timeouts{KeepAlive: 50 * time.Millisecond},
			called(kind, "\n"+thought, func(w http.ResponseWriter, r *http.Request) {
				<-release
				answer(said+together+finished)(w, r)
			}))
		request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, b.URL+path, strings.NewReader(stream))
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set("Api-Key", b.key)
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		first := make([]byte, len("\n"+thought+": keep-alive\n\n"))
		if _, err := io.ReadFull(response.Body, first); err != nil || string(first) != "\n"+thought+": keep-alive\n\n" {
			t.Errorf("%q: got %q, %v at first; want the thought and a keep-alive comment", kind, first, err)
		}
		close(release)
		rest, err := io.ReadAll(response.Body)
		response.Body.Close()
		if got := response.Header.Get("Content-Type"); err != nil || !strings.HasSuffix(string(rest), said+together+finished) || !strings.HasPrefix(got, "text/event-stream") || strings.Contains(got, ",") {
			t.Errorf("%q: got Content-Type %q, then %q, %v; want one text/event-stream and the rest of the stream", kind, got, rest, err)
		}
	}
}

// After a keep-alive comment it is too late for another status or another endpoint, so a
// stream without an answer is cut.
func TestAStreamThatWasKeptAliveAndHoldsNoAnswerIsCut(t *testing.T) {
	release := make(chan struct{})
	b, log := openLogged(t, subscriptiontest.Limits{TokenQuota: 1000, TokenQuotaPeriod: limit.Yearly}, upstream.Timeouts{KeepAlive: 50 * time.Millisecond},
		events(": hi\n\n", func(w http.ResponseWriter, r *http.Request) {
			<-release
			answer(finished)(w, r)
		}))
	response := b.openStream(t)
	if _, err := io.ReadFull(response.Body, make([]byte, len(": keep-alive\n\n"))); err != nil {
		t.Fatal(err)
	}
	close(release)
	if rest, err := io.ReadAll(response.Body); err == nil || strings.Contains(string(rest), "[DONE]") {
		t.Errorf("then: got %q, %v; want a cut", rest, err)
	}
	if line := log.call(t); line.Outcome != "upstream_broken" || line.Prompt+line.Completion != 0 {
		t.Errorf("reported %+v, want upstream_broken and nothing charged", line)
	}
}

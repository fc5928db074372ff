package gateway_test

import (
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"tollgate/handler/limit"
	"tollgate/handler/shape"
	"tollgate/handler/subscription/subscriptiontest"
	"tollgate/handler/upstream"
)

// A 200 without an answer is a failure of its endpoint. The gateway asks another, and the
// caller pays for that answer.
func TestAnotherEndpointAnswersWhereOneHasNoAnswer(t *testing.T) {
	whole, streamed := wholeAnswer, thoughtEvent+textEvent+stopAndUsageEvent+doneEvent
	for name, test := range map[string]struct {
		body  string
		model http.HandlerFunc
	}{
		"blank lines":                 {plainBody, answer("\n\n\n")},
		"an empty body":               {plainBody, answer("")},
		"HTML":                        {plainBody, withType("text/html", "<html></html>")},
		"other JSON":                  {plainBody, answer(`{"detail":"Internal error"}`)},
		"an answer cut off":           {plainBody, answer(`{"choices":[`, cut)},
		"an unpaid account":           {plainBody, refusing(402, `{"error":"Insufficient Balance"}`)},
		"[DONE] alone":                {streamBody, events(doneEvent)},
		"comments":                    {streamBody, events(": hi\n\n: hi\n\n" + doneEvent)},
		"a stream of nothing":         {streamBody, events("")},
		"a stream cut at once":        {streamBody, events(": hi\n\n", cut)},
		"HTML in place of a stream":   {streamBody, withType("text/html", "<html></html>")},
		"HTML called a stream":        {streamBody, events("<html></html>")},
		"JSON in place of a stream":   {streamBody, answer(`{"code":1}`)},
		"a stream called JSON, empty": {streamBody, withType("application/json", doneEvent)},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			want := whole
			second := answer(whole)
			if test.body == streamBody {
				want, second = streamed, events(streamed)
			}
			b := start(t, subscriptiontest.Limits{TokenQuota: 10_000, TokenQuotaPeriod: limit.Yearly}, nil, withEndpoints(t,
				upstream.Endpoint{Name: "a", URL: serve(t, test.model), Shape: shape.OpenAI, Priority: 1},
				upstream.Endpoint{Name: "b", URL: serve(t, second), Shape: shape.OpenAI, Priority: 2}))
			for range 7 { // enough for a to be paused
				response, body := b.post(t, demoPath, test.body)
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
		"text":       events(thoughtEvent + textEvent),
		"a role":     events(`data: {"choices":[{"index":0,"delta":{"role":"assistant"}}]}` + "\n\n"),
		"an error":   events(errorEvent),
		"usage":      events(usageEvent),
		"junk, long": events("data: " + strings.Repeat("x", 100_000) + "\n\n"),
	} {
		b := start(t, subscriptiontest.Limits{}, nil, withEndpoints(t,
			upstream.Endpoint{Name: "a", URL: serve(t, model), Shape: shape.OpenAI, Priority: 1},
			upstream.Endpoint{Name: "b", URL: serve(t, func(http.ResponseWriter, *http.Request) { t.Errorf("%s: got a call to b, want none", name) }), Shape: shape.OpenAI, Priority: 2}))
		_, _, _ = b.read(t.Context(), streamBody)
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
		answer(wholeAnswer)(w, r)
	}
	models := map[string]upstream.Model{"DeepSeek-R1": {Name: "d1"}, "gpt-oss": {Name: "d2"}}
	b := start(t, subscriptiontest.Limits{}, nil, withEndpoints(t,
		upstream.Endpoint{Name: "a", URL: serve(t, model), Shape: shape.Deployments, Models: models},
		upstream.Endpoint{Name: "b", URL: serve(t, model), Shape: shape.Deployments, Models: models}))
	if response, body := b.post(t, demoPath, plainBody); response.StatusCode != 429 || body != `{"error":{"code":"429"}}` || response.Header.Get("Retry-After") != "60" {
		t.Errorf("at first: got %d %v %s, want upstream's own 429 with Retry-After 60", response.StatusCode, response.Header, body)
	}
	response, body := b.post(t, demoPath, plainBody)
	var decoded struct{ Error struct{ Code string } }
	if err := json.Unmarshal([]byte(body), &decoded); err != nil || response.StatusCode != 429 || decoded.Error.Code != "upstream_throttled" || response.Header.Get("Retry-After") == "" {
		t.Errorf("then: got %d %v %s, want 429 upstream_throttled with Retry-After", response.StatusCode, response.Header, body)
	}
	if response, body := b.post(t, demoPath, strings.Replace(plainBody, "DeepSeek-R1", "gpt-oss", 1)); response.StatusCode != 200 {
		t.Errorf("another model: got %d %s, want 200", response.StatusCode, body)
	}
}

// An answer whose content is a stream is relayed as one, whatever its Content-Type:
// event by event, with keep-alive comments, and with the right type.
func TestAStreamOfAnyTypeIsPassedOnAsItArrives(t *testing.T) {
	for _, kind := range []string{"", "application/json", "application/octet-stream", "text/plain; charset=utf-8", "text/event-stream, text/event-stream", "text/event-stream;;", "text/event-stream"} {
		release := make(chan struct{})
		b := startWith(t, subscriptiontest.Limits{}, upstream.Timeouts{KeepAlive: 50 * time.Millisecond}, withType(kind, "\n"+thoughtEvent, func(w http.ResponseWriter, r *http.Request) {
			<-release
			answer(textEvent+stopAndUsageEvent+doneEvent)(w, r)
		}))
		response := b.begin(t, b.key, streamBody)
		first := make([]byte, len("\n"+thoughtEvent+": keep-alive\n\n"))
		if _, err := io.ReadFull(response.Body, first); err != nil || string(first) != "\n"+thoughtEvent+": keep-alive\n\n" {
			t.Errorf("%q: got %q, %v at first; want the thought and a keep-alive comment", kind, first, err)
		}
		close(release)
		rest, err := io.ReadAll(response.Body)
		response.Body.Close()
		if got := response.Header.Get("Content-Type"); err != nil || !strings.HasSuffix(string(rest), textEvent+stopAndUsageEvent+doneEvent) || !strings.HasPrefix(got, "text/event-stream") || strings.Contains(got, ",") {
			t.Errorf("%q: got Content-Type %q, then %q, %v; want one text/event-stream and the rest of the stream", kind, got, rest, err)
		}
	}
}

// After a keep-alive comment it is too late for another status or another endpoint, so a
// stream without an answer is cut.
func TestAStreamThatWasKeptAliveAndHoldsNoAnswerIsCut(t *testing.T) {
	release := make(chan struct{})
	b, log := startLogged(t, subscriptiontest.Limits{TokenQuota: 1000, TokenQuotaPeriod: limit.Yearly}, upstream.Timeouts{KeepAlive: 50 * time.Millisecond},
		events(": hi\n\n", func(w http.ResponseWriter, r *http.Request) {
			<-release
			answer(doneEvent)(w, r)
		}))
	response := b.begin(t, b.key, streamBody)
	if _, err := io.ReadFull(response.Body, make([]byte, len(": keep-alive\n\n"))); err != nil {
		t.Fatal(err)
	}
	close(release)
	if rest, err := io.ReadAll(response.Body); err == nil || strings.Contains(string(rest), "[DONE]") {
		t.Errorf("then: got %q, %v; want a cut", rest, err)
	}
	if line := log.call(t); line.Outcome != "upstream_broken" || line.Prompt+line.Completion != 0 {
		t.Errorf("got %+v reported, want upstream_broken and nothing charged", line)
	}
}

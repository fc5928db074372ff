package gateway_test

import (
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"

	"tollgate/handler/gateway"
	"tollgate/handler/limit"
	"tollgate/handler/shape"
	"tollgate/handler/subscription"
	"tollgate/handler/subscription/subscriptiontest"
	"tollgate/handler/upstream"
)

// longCall returns a call of about this many bytes.
func longCall(bytes int, fields string) string {
	return fmt.Sprintf(`{%s"messages":[{"role":"user","content":%q}]}`, fields, strings.Repeat("What is the time? ", bytes/18))
}

// begin makes a call and waits until its answer begins. The caller leaves when the test
// ends.
func (b *fixture) begin(t *testing.T, key, body string) *http.Response {
	t.Helper()
	request := b.newRequest(t.Context(), t, http.MethodPost, demoPath, strings.NewReader(body), "Api-Key", key)
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { response.Body.Close() })
	return response
}

// withLargeBodies allows bodies of 4 MiB, within a byte budget.
func withLargeBodies(budget int64) func(*gateway.Config) {
	return func(c *gateway.Config) { c.MaxBody, c.Budget = 4<<20, budget }
}

func TestConcurrentCallsAreLimitedBySubscription(t *testing.T) {
	model := events(thoughtEvent, hang)
	for name, test := range map[string]struct {
		limits  subscriptiontest.Limits
		refuses bool
	}{
		"two":           {subscriptiontest.Limits{TokensPerMinute: 1e6, MaxConcurrent: new(int64(2))}, true},
		"two in shadow": {subscriptiontest.Limits{TokensPerMinute: 1e6, MaxConcurrent: new(int64(2)), Shadow: true}, false},
		"any number":    {subscriptiontest.Limits{TokensPerMinute: 1e6, MaxConcurrent: new(int64(0))}, false},
		"the default":   {subscriptiontest.Limits{TokensPerMinute: 1e6}, false},
	} {
		t.Run(name, func(t *testing.T) {
			b := start(t, test.limits, model)
			other := b.join(t, "team-b")
			for range 2 {
				if got := b.begin(t, b.key, streamBody).StatusCode; got != http.StatusOK {
					t.Fatalf("got %d for the first calls, want 200", got)
				}
			}
			third := b.begin(t, b.key, streamBody)
			if shadowed := third.Header.Get("X-Tollgate-Shadow") == "too_many_concurrent_calls"; shadowed != test.limits.Shadow {
				t.Errorf("got X-Tollgate-Shadow %q, want too_many_concurrent_calls in it: %t", third.Header.Get("X-Tollgate-Shadow"), test.limits.Shadow)
			}
			if got := b.begin(t, other, streamBody).StatusCode; got != http.StatusOK {
				t.Errorf("got %d for another subscription's call, want 200", got)
			}
			if !test.refuses {
				if third.StatusCode != http.StatusOK {
					t.Errorf("got %d, want 200", third.StatusCode)
				}
				return
			}
			text, _ := io.ReadAll(third.Body)
			var decoded struct {
				Error struct{ Code, Message, Type string }
			}
			if err := json.Unmarshal(text, &decoded); err != nil || third.StatusCode != http.StatusTooManyRequests || third.Header.Get("Retry-After") != "1" ||
				decoded.Error.Code != "too_many_concurrent_calls" || !strings.Contains(decoded.Error.Message, "2 calls") {
				t.Errorf("got %d %v %s, want 429 too_many_concurrent_calls that says 2 calls, with Retry-After 1", third.StatusCode, third.Header, text)
			}
		})
	}
}

func TestTheDefaultIsAHundredConcurrentCalls(t *testing.T) {
	b := start(t, subscriptiontest.Limits{TokensPerMinute: 1e6, Reserve: subscription.ReserveNone}, events(thoughtEvent, hang))
	for i := range 101 {
		want := http.StatusOK
		if i == 100 {
			want = http.StatusTooManyRequests
		}
		if got := b.begin(t, b.key, streamBody).StatusCode; got != want {
			t.Fatalf("call %d: got %d, want %d", i+1, got, want)
		}
	}
}

func TestAnEndedCallNoLongerCounts(t *testing.T) {
	b := start(t, subscriptiontest.Limits{TokensPerMinute: 1e6, MaxConcurrent: new(int64(1))}, answering(5))
	for i := range 5 {
		if response, body := b.post(t, demoPath, demo); response.StatusCode != http.StatusOK {
			t.Fatalf("call %d: got %d %s, want 200", i+1, response.StatusCode, body)
		}
		b.serving.Wait()
		if response, _ := b.post(t, demoPath, `{}`); response.StatusCode != http.StatusBadRequest {
			t.Fatalf("got %d for a call without messages, want 400", response.StatusCode)
		}
		b.serving.Wait()
	}
}

// The gateway drops a prompt when its stream begins, so that the next call has room. The
// prompt is still charged in full.
func TestABodyIsDroppedOnceItsStreamHasBegun(t *testing.T) {
	const budget = 2 << 20
	end := make(chan struct{})
	body := longCall(budget/2-1<<16, `"stream":true,`)
	b, log := startLarge(t, budget, events(thoughtEvent, func(w http.ResponseWriter, _ *http.Request) {
		<-end
		_, _ = io.WriteString(w, stopEvent+doneEvent)
	}))
	var streams []*http.Response
	for range 3 { // two bodies at once would exceed the subscription's share
		response := b.begin(t, b.key, body)
		if response.StatusCode != http.StatusOK {
			t.Fatalf("got status %d, want 200", response.StatusCode)
		}
		streams = append(streams, response)
	}
	close(end)
	for _, s := range streams {
		if text, err := io.ReadAll(s.Body); err != nil || !strings.HasSuffix(string(text), doneEvent) {
			t.Errorf("got %v: %q, want a stream to its end", err, text)
		}
		prompt, completion := promptIn(t, body), textOf("Let me think of the hour.")
		if got := log.call(t); got.Status != 200 || got.Outcome != "" || got.Prompt != prompt || got.Completion != completion {
			t.Errorf("got %+v reported, want 200 without an outcome, %d prompt tokens and %d completion tokens", got, prompt, completion)
		}
	}
}

// startLarge starts a gateway with large bodies and a byte budget, and returns its log.
func startLarge(t *testing.T, budget int64, model http.HandlerFunc) (*fixture, logLines) {
	t.Helper()
	log := make(logLines, 100)
	b := start(t, subscriptiontest.Limits{TokensPerMinute: 1e9}, model, func(c *gateway.Config) {
		withLargeBodies(budget)(c)
		c.Log = slog.New(slog.NewJSONHandler(log, nil))
	})
	return b, log
}

// An endpoint that is asked after another gets the whole body.
func TestABodyIsKeptForTheNextEndpoint(t *testing.T) {
	body := longCall(1<<20, `"stream":true,`)
	received := make(chan int, 1)
	change := withEndpoints(t,
		upstream.Endpoint{Name: "a", Shape: shape.OpenAI, Priority: 1, URL: serve(t, events("", cut))},
		upstream.Endpoint{Name: "b", Shape: shape.OpenAI, Priority: 2, URL: serve(t, func(w http.ResponseWriter, r *http.Request) {
			all, _ := io.ReadAll(r.Body)
			received <- len(all)
			events(thoughtEvent+stopAndUsageEvent+doneEvent)(w, r)
		})})
	b := start(t, subscriptiontest.Limits{TokensPerMinute: 1e9}, hang, func(c *gateway.Config) {
		withLargeBodies(32 << 20)(c)
		change(c)
	})
	response, text := b.post(t, demoPath, strings.Replace(body, "{", `{"model":"DeepSeek-R1",`, 1))
	if response.StatusCode != http.StatusOK || response.Header.Get("X-Tollgate-Upstream") != "b" || !strings.HasSuffix(text, doneEvent) {
		t.Fatalf("got %d from endpoint %q: %q; want 200 from b, to its end", response.StatusCode, response.Header.Get("X-Tollgate-Upstream"), text)
	}
	if n := <-received; n < len(body) {
		t.Errorf("got %d bytes at the second endpoint, want %d and more", n, len(body))
	}
}

// A caller with nothing left to spend costs the instance no memory: its large body is
// neither kept nor parsed, unless that could change the answer.
func TestABodyIsDiscardedIfNothingIsLeftToSpend(t *testing.T) {
	for name, test := range map[string]struct {
		limits subscriptiontest.Limits
		want   int // status of the answer to a large body that isn't JSON
	}{
		"reserve prompt": {subscriptiontest.Limits{TokensPerMinute: 100_000}, 429},
		"reserve none":   {subscriptiontest.Limits{TokensPerMinute: 100_000, Reserve: subscription.ReserveNone}, 429},
		"reserve full":   {subscriptiontest.Limits{TokensPerMinute: 100_000, Reserve: subscription.ReserveFull, MaxCompletionTokens: 10}, 429},
		"a quota":        {subscriptiontest.Limits{TokenQuota: 100_000, TokenQuotaPeriod: limit.Yearly}, 403},
		"in shadow":      {subscriptiontest.Limits{TokensPerMinute: 100_000, Shadow: true}, 400},
		"that may wait":  {subscriptiontest.Limits{TokensPerMinute: 100_000, MaxWait: subscription.Duration(time.Second)}, 400},
		"by model":       {subscriptiontest.Limits{TokensPerMinute: 100_000, CounterKey: "{subscription}{model}"}, 400},
		"some models":    {subscriptiontest.Limits{TokensPerMinute: 100_000, Models: []string{"DeepSeek-R1"}}, 400},
	} {
		for _, sized := range []bool{true, false} {
			t.Run(fmt.Sprint(name, ", sized ", sized), func(t *testing.T) {
				b := start(t, test.limits, answering(200_000), withLargeBodies(16<<20))
				if got, text := b.sendBody(t, strings.NewReader("x"+longCall(1<<20, ""))); got.StatusCode != http.StatusBadRequest {
					t.Fatalf("got %d %s for a body that isn't JSON while tokens are left, want 400", got.StatusCode, text)
				}
				if got, text := b.post(t, demoPath, demo); got.StatusCode != http.StatusOK {
					t.Fatalf("got %d %s for the call that spends everything, want 200", got.StatusCode, text)
				}
				var from io.Reader = strings.NewReader("x" + longCall(1<<20, ""))
				if !sized {
					from = io.MultiReader(from)
				}
				got, text := b.sendBody(t, from)
				if got.StatusCode != test.want {
					t.Errorf("got %d %s, want %d", got.StatusCode, text, test.want)
				}
				if test.want == 400 {
					return
				}
				small, _ := b.post(t, demoPath, demo)
				if got.StatusCode != small.StatusCode || got.Header.Get("Retry-After") == "" || got.Header.Get("x-apim-remaining-tokens") != small.Header.Get("x-apim-remaining-tokens") {
					t.Errorf("got %d %v, want Retry-After, and the status and x-apim-remaining-tokens of a small body's answer: %d %v", got.StatusCode, got.Header, small.StatusCode, small.Header)
				}
				if n := b.calls.Load(); n != 1 {
					t.Errorf("got %d calls to upstream, want 1", n)
				}
			})
		}
	}
}

// sendBody sends a call, whose body may have no declared size.
func (b *fixture) sendBody(t *testing.T, body io.Reader) (*http.Response, string) {
	t.Helper()
	return fetch(t, b.newRequest(t.Context(), t, http.MethodPost, demoPath, body))
}

// A body without a Content-Length is read like any other, up to the limit.
func TestABodyOfUnknownSizeIsReadUpToTheLimit(t *testing.T) {
	b := start(t, subscriptiontest.Limits{TokensPerMinute: 1e9}, answering(5), withLargeBodies(16<<20))
	for bytes, want := range map[int]int{1 << 10: 200, 1<<16 - 100: 200, 1<<16 + 100: 200, 2 << 20: 200, 4<<20 - 200: 200, 4<<20 + 200: 413} {
		got, text := b.sendBody(t, io.MultiReader(strings.NewReader(longCall(bytes, ""))))
		if got.StatusCode != want {
			t.Errorf("%d bytes: got %d %s, want %d", bytes, got.StatusCode, text, want)
		}
	}
}

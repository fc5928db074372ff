package gateway_test

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"tollgate/handler/asynctest"
	"tollgate/handler/gateway"
	"tollgate/handler/limit"
	"tollgate/handler/shape"
	"tollgate/handler/subscription"
	"tollgate/handler/subscription/subscriptiontest"
	"tollgate/handler/upstream"
)

// startModel returns a gateway for one model of a name, and its log.
func startModel(t *testing.T, limits subscriptiontest.Limits, model string, settle time.Duration, timeouts upstream.Timeouts, handler http.HandlerFunc) (*fixture, logLines) {
	t.Helper()
	log := make(logLines, 100)
	if limits.TokenQuota == 0 {
		limits.TokenQuota = 1_000_000
	}
	limits.TokenQuotaPeriod = limit.Yearly
	return startWith(t, limits, timeouts, nil, func(c *gateway.Config) {
		endpoint := upstream.Endpoint{URL: serve(t, handler), Shape: shape.OpenAI}
		c.Upstream, c.Models, c.SettleTimeout = newUpstream(t, timeouts, endpoint), []string{model}, settle
		c.Log = slog.New(slog.NewJSONHandler(log, nil))
	}), log
}

// usageOf returns a stream's last chunk, with its usage in tokens.
func usageOf(prompt, completion int) string {
	return fmt.Sprintf(`data: {"choices":[],"usage":{"prompt_tokens":%d,"completion_tokens":%d,"total_tokens":%d}}`+"\n\n", prompt, completion, prompt+completion)
}

// When a caller leaves, its call is charged its bound at once, because the subscription's
// next call may follow immediately. The endpoint's usage replaces the bound when it arrives.
func TestACallWhoseCallerLeavesIsChargedItsBoundAndThenItsUsage(t *testing.T) {
	whole := strings.Replace(wholeAnswer, `"completion_tokens":75,"total_tokens":100`, `"completion_tokens":20020,"total_tokens":20045`, 1)
	for name, test := range map[string]struct {
		body, sent, rest string
		headers          bool // whether headers are sent before the caller leaves
		want             int64
	}{
		"hidden tokens of a stream":         {streamBody, textEvent, stopEvent + usageOf(9, 20020) + doneEvent, true, 20029},
		"audio of a stream":                 {strings.Replace(streamBody, "{", `{"modalities":["text","audio"],`, 1), `data: {"choices":[{"index":0,"delta":{"audio":{"data":"QUFB"}}}]}` + "\n\n", usageOf(9, 300) + doneEvent, true, 309},
		"a stream that hasn't begun":        {streamBody, "", textEvent + stopEvent + usageOf(9, 500) + doneEvent, false, 509},
		"an answer that isn't streamed":     {plainBody, "", whole, false, 20045},
		"an answer, half of it":             {plainBody, whole[:100], whole[100:], true, 20045},
		"a prediction that is rejected":     {strings.Replace(streamBody, "{", `{"prediction":{"type":"content","content":"a b c"},`, 1), textEvent, usageOf(9, 900) + doneEvent, true, 909},
		"a stream that asked for no stream": {plainBody, "", thoughtEvent + textEvent + stopEvent + usageOf(9, 77) + doneEvent, false, 86},
	} {
		for _, reserve := range []subscription.Reserve{subscription.ReservePrompt, subscription.ReserveFull} {
			t.Run(fmt.Sprint(name, ", ", reserve), func(t *testing.T) {
				t.Parallel()
				begun, left := make(chan struct{}), make(chan struct{})
				b, log := startModel(t, subscriptiontest.Limits{Reserve: reserve, MaxCompletionTokens: 30_000}, "o3", time.Minute, upstream.Timeouts{}, func(w http.ResponseWriter, r *http.Request) {
					_, _ = io.Copy(io.Discard, r.Body)
					if test.headers {
						if test.body == plainBody {
							w.Header().Set("Content-Type", "application/json")
						} else {
							w.Header().Set("Content-Type", "text/event-stream")
						}
						_, _ = io.WriteString(w, test.sent)
						_ = http.NewResponseController(w).Flush()
					}
					close(begun)
					<-left
					_, _ = io.WriteString(w, test.rest)
				})
				b.leaveOnce(t, strings.Replace(test.body, "DeepSeek-R1", "o3", 1), begun)
				b.serving.Wait()
				if spent := b.spent(t); spent < 6000 { // the cap, or a minute at 100 a second
					t.Errorf("got %d tokens used up when the caller has left, want 6000 or more", spent)
				}
				close(left)
				if line := log.chat(t); line.Outcome != "client_closed" || line.Prompt+line.Completion != test.want {
					t.Errorf("got %+v reported, want client_closed and %d tokens", line, test.want)
				}
				if spent := b.spent(t); spent != test.want {
					t.Errorf("got %d tokens used up, want %d", spent, test.want)
				}
			})
		}
	}
}

// waitForSpending waits until enough reports that enough tokens are used up.
func (b *fixture) waitForSpending(t *testing.T, enough func(spent int64) bool) {
	t.Helper()
	asynctest.Eventually(t, "enough tokens are used up", func() error {
		if spent := b.spent(t); !enough(spent) {
			return fmt.Errorf("got %d tokens used up, want enough for the test to go on", spent)
		}
		return nil
	})
}

// chat waits for the report of a chat completion.
func (l logLines) chat(t *testing.T) logLine {
	t.Helper()
	for {
		if r := l.call(t); r.Stream != nil {
			return r
		}
	}
}

// If no usage arrives after the caller left or the time ran out, the call stays charged at
// its bound, even if an error arrives.
func TestOnlyUsageLowersTheChargeOfACallWhoseCallerLeft(t *testing.T) {
	for name, then := range map[string]http.HandlerFunc{
		"a cut":        cut,
		"a 500":        func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(500) },
		"a 429":        func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(429) },
		"an error":     func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, `{"error":{"message":"x"}}`) },
		"no usage":     func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, emptyAnswer) },
		"junk":         func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "<html>") },
		"17 MB":        func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, strings.Repeat(" ", 17<<20)) },
		"error events": func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, errorEvent+doneEvent) },
	} {
		for _, body := range []string{plainBody, streamBody} {
			for _, settle := range []time.Duration{0, 5 * time.Second} {
				t.Run(fmt.Sprint(name, body == streamBody, settle), func(t *testing.T) {
					t.Parallel()
					begun, left := make(chan struct{}), make(chan struct{})
					b, log := startModel(t, subscriptiontest.Limits{Reserve: subscription.ReserveFull, MaxCompletionTokens: 400}, "o3", settle, upstream.Timeouts{}, func(w http.ResponseWriter, r *http.Request) {
						_, _ = io.Copy(io.Discard, r.Body)
						close(begun)
						select {
						case <-left:
							then(w, r)
						case <-r.Context().Done():
						}
					})
					b.leaveOnce(t, strings.Replace(body, "DeepSeek-R1", "o3", 1), begun)
					if settle > 0 {
						b.serving.Wait()
						close(left)
					}
					line := log.chat(t)
					if line.Completion != 400 || line.Prompt < 10 || b.spent(t) != line.Prompt+400 {
						t.Errorf("got %+v reported and got %d tokens used up, want 10 or more for the prompt and 400, the same in both", line, b.spent(t))
					}
				})
			}
		}
	}
}

// A call that runs out of time is charged, and read on, like one whose caller leaves.
func TestACallThatRunsOutOfTimeIsChargedItsBoundAndThenItsUsage(t *testing.T) {
	for name, test := range map[string]struct {
		body, first string
		timeouts    upstream.Timeouts
		status      int
	}{
		"a stream that doesn't begin": {streamBody, "", upstream.Timeouts{Header: 300 * time.Millisecond}, 504},
		"a whole answer":              {plainBody, "", upstream.Timeouts{Whole: 300 * time.Millisecond}, 504},
		"a stream that falls silent":  {streamBody, textEvent, upstream.Timeouts{Idle: 300 * time.Millisecond}, 200},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			over := make(chan struct{})
			b, log := startModel(t, subscriptiontest.Limits{MaxCompletionTokens: 5000}, "o3", time.Minute, test.timeouts, func(w http.ResponseWriter, r *http.Request) {
				_, _ = io.Copy(io.Discard, r.Body)
				if test.body == streamBody {
					w.Header().Set("Content-Type", "text/event-stream")
				}
				if test.first != "" {
					_, _ = io.WriteString(w, test.first)
					_ = http.NewResponseController(w).Flush()
				}
				<-over
				if test.body == streamBody {
					_, _ = io.WriteString(w, textEvent+stopEvent+usageOf(8, 4000)+doneEvent)
				} else {
					_, _ = io.WriteString(w, strings.Replace(wholeAnswer, `"completion_tokens":75,"total_tokens":100`, `"completion_tokens":3983,"total_tokens":4008`, 1))
				}
			})
			status, _, _ := b.read(t.Context(), strings.Replace(test.body, "DeepSeek-R1", "o3", 1))
			if status != test.status {
				t.Errorf("got status %d, want %d", status, test.status)
			}
			b.waitForSpending(t, func(spent int64) bool { return spent > 4008 }) // a minute at 100 a second, or the cap
			close(over)
			if line := log.chat(t); line.Prompt+line.Completion != 4008 {
				t.Errorf("got %+v reported, want 4008 tokens", line)
			}
			if spent := b.spent(t); spent != 4008 {
				t.Errorf("got %d tokens used up, want 4008", spent)
			}
		})
	}
}

// All choices are charged, even if the answer is too large to be read.
func TestAnAnswerThatIsTooLargeIsChargedItsBound(t *testing.T) {
	b, log := startModel(t, subscriptiontest.Limits{Reserve: subscription.ReserveFull, MaxCompletionTokens: 1000}, "gpt-4o", time.Second, upstream.Timeouts{},
		answer(strings.Replace(wholeAnswer, `{"choices"`, `{"choices":[{"index":7,"message":{"content":"a"},"logprobs":"`+strings.Repeat("x", upstream.MaxBody)+`"}],"c"`, 1)))
	body := strings.Replace(strings.Replace(plainBody, "{", `{"n":8,"max_tokens":1000,`, 1), "DeepSeek-R1", "gpt-4o", 1)
	if status, text, _ := b.read(t.Context(), body); status != 502 {
		t.Errorf("got %d %.200s, want 502", status, text)
	}
	if line := log.chat(t); line.Completion != 8000 {
		t.Errorf("got %+v reported, want 8 x 1000 tokens", line)
	}
}

// A call without a bound is refused under reserve: full only.
func TestTheRefusalOfAnUnboundedCallNamesItsField(t *testing.T) {
	for _, reserve := range []subscription.Reserve{subscription.ReservePrompt, subscription.ReserveFull} {
		b, _ := startModel(t, subscriptiontest.Limits{Reserve: reserve, MaxCompletionTokens: 50}, "gpt-4o", 0, upstream.Timeouts{}, answer(wholeAnswer))
		for field, body := range map[string]string{
			"data_sources":                     `{"data_sources":[{}],"messages":[{"role":"user","content":"hi"}]}`,
			"messages[0].content[0].type":      `{"messages":[{"role":"user","content":[{"type":"input_audio","input_audio":{"data":"QUFB"}}]}]}`,
			"messages[0].content[0].image_url": `{"messages":[{"role":"user","content":[{"type":"image_url","image_url":{"url":"data:application/pdf;base64,QUFB"}}]}]}`,
			"tools[0]":                         `{"tools":[{"type":"web_search"}],"messages":[{"role":"user","content":"hi"}]}`,
		} {
			response, text := b.post(t, demoPath, body)
			if full := reserve == subscription.ReserveFull; full != (response.StatusCode == 400) || full && !strings.Contains(text, `"param":"`+field+`"`) {
				t.Errorf("%s, %s: got %d %s, want 400 naming the field: %t", reserve, field, response.StatusCode, text, full)
			}
		}
	}
}

// The cap is sent only in the field that the model obeys, by either of its names or by its
// family.
func TestTheCapIsSentInTheFieldThatTheModelObeys(t *testing.T) {
	for _, test := range []struct {
		reserve            subscription.Reserve
		model, own, family string
		fields, want       string
	}{
		{subscription.ReservePrompt, "gpt-5-mini", "chat-prod", "", ``, "max_completion_tokens=500"},
		{subscription.ReservePrompt, "smart", "o3-mini", "", ``, "max_completion_tokens=500"},
		{subscription.ReservePrompt, "codex-mini", "codex-mini", "", ``, "max_completion_tokens=500"},
		{subscription.ReservePrompt, "model-router", "model-router", "", ``, "max_completion_tokens=500"},
		{subscription.ReservePrompt, "smart", "chat-prod", "o4-mini", ``, "max_completion_tokens=500"},
		{subscription.ReservePrompt, "o3", "chat-prod", "gpt-4o", ``, "max_tokens=500"},
		{subscription.ReservePrompt, "o3", "o3", "", `"max_tokens":9,`, "max_tokens=9"},
		{subscription.ReserveFull, "o3", "o3", "", `"max_tokens":9,`, "max_completion_tokens=9"},
		{subscription.ReserveFull, "o3", "o3", "", `"max_tokens":9,"max_completion_tokens":7,`, "max_completion_tokens=7"},
		{subscription.ReserveFull, "gpt-4o", "gpt-4o", "", `"max_completion_tokens":7,`, "max_completion_tokens=7"},
		{subscription.ReserveFull, "gpt-4o", "gpt-4o", "", `"max_tokens":9,"max_completion_tokens":7,`, "max_completion_tokens=7"},
		{subscription.ReserveFull, "gpt-4o", "gpt-4o", "", `"max_tokens":9,`, "max_tokens=9"},
		{subscription.ReserveFull, "DeepSeek-R1", "r1", "", `"max_completion_tokens":7,`, "max_tokens=7"},
		{subscription.ReserveFull, "chat", "x", "", `"max_tokens":null,"max_completion_tokens":7,`, "max_tokens=7"},
	} {
		for _, shape := range []shape.Shape{shape.Models, shape.OpenAI, shape.Deployments} {
			var got caps
			b := start(t, subscriptiontest.Limits{TokenQuota: 100_000, TokenQuotaPeriod: limit.Yearly, Reserve: test.reserve, MaxCompletionTokens: 500}, nil, func(c *gateway.Config) {
				withEndpoints(t, upstream.Endpoint{URL: serve(t, recording(t, &got, 30)), Shape: shape, Models: map[string]upstream.Model{test.model: {Name: test.own, Family: test.family}}})(c)
				c.Models = []string{test.model}
			})
			response, text := b.post(t, demoPath, strings.Replace(with(test.fields), "DeepSeek-R1", test.model, 1))
			if response.StatusCode != 200 || got.String() != test.want {
				t.Errorf("%+v, %s: got %d and sent %q, want 200 and %q: %s", test, shape, response.StatusCode, got.String(), test.want, text)
			}
		}
	}
}

// Usage is requested only from endpoints that support the option.
func TestUsageIsRequestedOnlyWhereTheEndpointSupportsIt(t *testing.T) {
	off := false
	for name, test := range map[string]struct {
		endpoint upstream.Endpoint
		fields   string
		want     bool
	}{
		"by default":         {upstream.Endpoint{Shape: shape.Deployments}, ``, true},
		"the first version":  {upstream.Endpoint{Shape: shape.Deployments, APIVersion: "2024-09-01-preview"}, ``, true},
		"an older version":   {upstream.Endpoint{Shape: shape.Deployments, APIVersion: "2023-05-15"}, ``, false},
		"beside data":        {upstream.Endpoint{Shape: shape.OpenAI}, `"data_sources":[{}],`, false},
		"beside no data":     {upstream.Endpoint{Shape: shape.OpenAI}, `"data_sources":null,`, true},
		"where it is off":    {upstream.Endpoint{Shape: shape.OpenAI, StreamOptions: &off}, ``, false},
		"to the models form": {upstream.Endpoint{Shape: shape.Models}, ``, false},
	} {
		var sent string
		test.endpoint.URL, test.endpoint.Deployment = serve(t, func(w http.ResponseWriter, r *http.Request) {
			body, _ := io.ReadAll(r.Body)
			sent = string(body)
			w.Header().Set("Content-Type", "text/event-stream")
			_, _ = io.WriteString(w, textEvent+stopAndUsageEvent+doneEvent)
		}), "gpt-4o"
		b := start(t, subscriptiontest.Limits{}, nil, withEndpoints(t, test.endpoint))
		if response, text := b.post(t, demoPath, strings.Replace(streamBody, "{", "{"+test.fields, 1)); response.StatusCode != 200 || strings.Contains(sent, "stream_options") != test.want {
			t.Errorf("%s: got %d %s and sent %s, want 200 and stream_options in it: %t", name, response.StatusCode, text, sent, test.want)
		}
	}
}

// A gateway that stops waits for the answers that are read on, until its time is up.
func TestReadingOnEndsWhenTheGatewayStops(t *testing.T) {
	log := make(logLines, 100)
	var served *gateway.Gateway
	begun := make(chan struct{}, 1)
	b := start(t, subscriptiontest.Limits{TokenQuota: 100_000, TokenQuotaPeriod: limit.Yearly, Reserve: subscription.ReserveFull, MaxCompletionTokens: 300}, nil, func(c *gateway.Config) {
		withEndpoints(t, upstream.Endpoint{URL: serve(t, answer("", func(_ http.ResponseWriter, r *http.Request) {
			begun <- struct{}{}
			<-r.Context().Done()
		})), Shape: shape.OpenAI})(c)
		c.Models, c.SettleTimeout, c.Log = []string{"o3"}, time.Hour, slog.New(slog.NewJSONHandler(log, nil))
		served = gateway.New(*c)
	})
	ctx, leave := context.WithCancel(t.Context())
	request := httptest.NewRequest(http.MethodPost, demoPath, strings.NewReader(strings.Replace(plainBody, "DeepSeek-R1", "o3", 1))).WithContext(ctx)
	request.Header.Set("Api-Key", b.key)
	over := make(chan struct{})
	go func() {
		defer close(over)
		served.ServeHTTP(httptest.NewRecorder(), request)
	}()
	<-begun
	leave()
	<-over
	last, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	served.Drain(last)
	if line := log.chat(t); line.Completion != 300 {
		t.Errorf("got %+v reported, want the 300 tokens that were reserved", line)
	}
}

// Tollgate's count of a plain chat with R1 is exact: a caller that leaves pays the count,
// and the endpoint is cancelled.
func TestAPlainChatIsCancelledAndCountedWhenItsCallerLeaves(t *testing.T) {
	cancelled := make(chan struct{})
	b, log := startModel(t, subscriptiontest.Limits{Reserve: subscription.ReserveFull, MaxCompletionTokens: 5000}, "DeepSeek-R1", time.Hour, upstream.Timeouts{}, events(thoughtEvent+textEvent, func(_ http.ResponseWriter, r *http.Request) {
		<-r.Context().Done()
		close(cancelled)
	}))
	ctx, leave := context.WithCancel(t.Context())
	defer leave()
	b.leaveAfter(ctx, streamBody, thoughtEvent+textEvent, leave)
	<-cancelled
	if line, want := log.chat(t), byCount.tokens(promptIn(t, streamBody)); line.Prompt+line.Completion != want {
		t.Errorf("got %+v reported, want %d tokens", line, want)
	}
}

// A call whose answer is read on still counts as one of its subscription's.
func TestACallThatIsReadOnCountsAsConcurrent(t *testing.T) {
	one, begun, left := int64(1), make(chan struct{}, 2), make(chan struct{})
	b, log := startModel(t, subscriptiontest.Limits{MaxConcurrent: &one}, "o3", time.Minute, upstream.Timeouts{}, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		begun <- struct{}{}
		<-left
		_, _ = io.WriteString(w, wholeAnswer)
	})
	body := strings.Replace(plainBody, "DeepSeek-R1", "o3", 1)
	b.leaveOnce(t, body, begun)
	b.serving.Wait()
	if response, text := b.post(t, demoPath, body); response.StatusCode != 429 || !strings.Contains(text, "too_many_concurrent_calls") {
		t.Errorf("while the answer is read on: got %d %s, want 429 too_many_concurrent_calls", response.StatusCode, text)
	}
	close(left)
	for log.chat(t).Outcome != "client_closed" { // skips the refused call's report, which came first
	}
	if response, text := b.post(t, demoPath, body); response.StatusCode != 200 {
		t.Errorf("afterwards: got %d %s, want 200", response.StatusCode, text)
	}
}

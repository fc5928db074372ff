package gateway_test

import (
	"context"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"tollgate/handler/gateway"
	"tollgate/handler/limit"
	"tollgate/handler/local/fakemodel"
	"tollgate/handler/shape"
	"tollgate/handler/subscription"
	"tollgate/handler/subscription/subscriptiontest"
	"tollgate/handler/upstream"
)

// Text that an endpoint wrote before it could notice that the caller left is billed. It
// is still in buffers on its way, so the gateway reads and counts it.
func TestTextOnItsWayWhenTheCallerLeavesIsCharged(t *testing.T) {
	for _, settle := range []time.Duration{0, time.Minute} {
		s := startBiller(t, subscriptiontest.Limits{TokenQuota: 1_000_000}, settle, "DeepSeek-R1")
		leave := func(pace string) (billed, charged int64) {
			billedBefore, spent := s.endpoint.Billed(), s.spent(t)
			s.end(t, strings.Replace(streamBody, "{", `{"max_tokens":900,`, 1), ending{stream: true, leaves: "\n\n", behaves: "completion=800,pace=" + pace})
			return s.endpoint.Billed() - billedBefore, s.spent(t) - spent
		}
		for range 2 {
			if billed, charged := leave("0s"); billed > charged {
				t.Errorf("written at once: got %d tokens billed and %d charged, want at least the bill charged", billed, charged)
			}
		}
		// A busy machine may stall the endpoint for longer than the gateway reads on.
		// Three times in a row it doesn't.
		var billed, charged int64
		for range 3 {
			if billed, charged = leave("1ms"); billed <= charged {
				break
			}
		}
		if billed > charged {
			t.Errorf("a token a millisecond: got %d tokens billed and %d charged, want at least the bill charged", billed, charged)
		}
	}
}

// Usage that comes with each chunk covers the call so far. A caller that leaves is
// charged the usage at the end.
func TestRunningUsageIsNotTheFinalChargeWhenTheCallerLeaves(t *testing.T) {
	running := strings.Replace(textEvent, "}]}", `}],"usage":{"prompt_tokens":9,"completion_tokens":1,"total_tokens":10}}`, 1)
	if running == textEvent {
		t.Fatalf("got no place for usage in %s, want one", textEvent)
	}
	for name, test := range map[string]struct {
		first string
		tells bool
	}{"in a chunk": {running, true}, "beside the chunks": {textEvent + usageOf(9, 1), true}, "and no more": {running, false}} {
		begun, left := make(chan struct{}), make(chan struct{})
		b, log := startModel(t, subscriptiontest.Limits{}, "o3", 5*time.Second, upstream.Timeouts{}, func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body)
			w.Header().Set("Content-Type", "text/event-stream")
			_, _ = io.WriteString(w, test.first)
			_ = http.NewResponseController(w).Flush()
			close(begun)
			<-left
			if test.tells {
				_, _ = io.WriteString(w, running+stopEvent+usageOf(9, 500)+doneEvent)
			}
		})
		ctx, leave := context.WithCancel(t.Context())
		defer leave()
		gone := make(chan struct{})
		go func() {
			defer close(gone)
			b.leaveAfter(ctx, strings.Replace(strings.Replace(streamBody, "DeepSeek-R1", "o3", 1), "{", `{"max_completion_tokens":600,`, 1), "late", leave)
		}()
		<-begun
		<-gone
		b.serving.Wait()
		if spent := b.spent(t); spent < 500 { // the bound of the call
			t.Errorf("%s: got %d tokens used up when the caller has left, want 500 or more", name, spent)
		}
		close(left)
		if line := log.chat(t); test.tells && line.Prompt+line.Completion != 509 || line.Prompt < 9 || line.Completion < 1 {
			t.Errorf("%s: got %+v reported, want 509 tokens where the endpoint sends usage (%t), and at least 9 and 1 otherwise", name, line, test.tells)
		}
	}
}

// A stream's last event may lack the blank line after it. It is read even if the caller
// has left.
func TestUsageInAStreamsUnterminatedLastEventIsRead(t *testing.T) {
	begun, left := make(chan struct{}), make(chan struct{})
	b, log := startModel(t, subscriptiontest.Limits{}, "o3", time.Minute, upstream.Timeouts{}, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.Header().Set("Content-Type", "text/event-stream")
		close(begun)
		<-left
		_, _ = io.WriteString(w, textEvent+stopEvent+strings.TrimSpace(usageOf(9, 77)))
	})
	b.leaveOnce(t, strings.Replace(streamBody, "DeepSeek-R1", "o3", 1), begun)
	b.serving.Wait()
	close(left)
	if line := log.chat(t); line.Prompt+line.Completion != 86 {
		t.Errorf("got %+v reported, want 86 tokens", line)
	}
}

// An answer of R1's that is read on to its end is charged by Tollgate's count if usage is
// missing, as if the caller had stayed; half an answer isn't.
func TestAWholeAnswerThatIsReadOnIsChargedByItsCount(t *testing.T) {
	untold, _, _ := strings.Cut(wholeAnswer, `,"usage"`)
	untold += "}"
	for name, test := range map[string]struct {
		rest string
		want func(got int64) bool
	}{
		"whole": {untold, func(got int64) bool { return got == byCount.tokens(promptIn(t, plainBody)) }},
		"half":  {untold[:len(untold)/2], func(got int64) bool { return got == promptIn(t, plainBody)+900 }},
		"error": {`{"error":{"message":"x"}}`, func(got int64) bool { return got == promptIn(t, plainBody)+900 }},
	} {
		begun, left := make(chan struct{}), make(chan struct{})
		b, log := startModel(t, subscriptiontest.Limits{Reserve: subscription.ReserveFull, MaxCompletionTokens: 900}, "DeepSeek-R1", time.Minute, upstream.Timeouts{}, func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body)
			close(begun)
			<-left
			_, _ = io.WriteString(w, test.rest)
		})
		b.leaveOnce(t, plainBody, begun)
		b.serving.Wait()
		if spent := b.spent(t); spent != promptIn(t, plainBody)+900 {
			t.Errorf("%s, when the caller has left: got %d tokens used up, want %d, as reserved", name, spent, promptIn(t, plainBody)+900)
		}
		close(left)
		if line := log.chat(t); !test.want(line.Prompt + line.Completion) {
			t.Errorf("%s: got %+v reported, want %d tokens for a whole answer and %d otherwise", name, line, byCount.tokens(promptIn(t, plainBody)), promptIn(t, plainBody)+900)
		}
	}
}

// Servers differ in which of two caps they obey, so the larger one is the bound.
func TestTheLargerOfTwoCapsIsTheBound(t *testing.T) {
	for _, caps := range []string{`"max_tokens":1,"max_completion_tokens":400,`, `"max_completion_tokens":1,"max_tokens":400,`} {
		for _, model := range []string{"chat-prod", "DeepSeek-V3.2", "gpt-4o", "o3"} {
			s := startBiller(t, subscriptiontest.Limits{TokenQuota: 1_000_000}, 20*time.Millisecond, model)
			s.end(t, `{"model":"`+model+`",`+caps+hi+`}`, ending{behaves: "first-token=1ms,hidden=300,cut-after=1"})
			if billed, spent := s.endpoint.Billed(), s.spent(t); billed > spent {
				t.Errorf("%s, %s: got %d tokens charged, want the %d that were billed or more", model, caps, spent, billed)
			}
		}
	}
}

// A model may have written all of a stop sequence but its end, which isn't sent.
func TestTextThatAStopSequenceWithholdsIsCharged(t *testing.T) {
	b, log := startModel(t, subscriptiontest.Limits{}, "DeepSeek-R1", time.Minute, upstream.Timeouts{}, events(thoughtEvent+textEvent+stopEvent+doneEvent))
	b.post(t, demoPath, strings.Replace(streamBody, "{", `{"stop":["x","`+strings.Repeat("stop here ", 20)+`"],`, 1))
	if line, want := log.chat(t), byCount.tokens(promptIn(t, streamBody)); line.Prompt+line.Completion < want+60 {
		t.Errorf("got %+v reported, want %d tokens and those of the sequence", line, want)
	}
}

// In shadow nothing is refused, not even a call without a bound.
func TestShadowLetsUnboundedCallsPass(t *testing.T) {
	b, _ := startModel(t, subscriptiontest.Limits{Reserve: subscription.ReserveFull, MaxCompletionTokens: 50, Shadow: true}, "gpt-4o", 0, upstream.Timeouts{}, answer(wholeAnswer))
	response, text := b.post(t, demoPath, `{"web_search_options":{},`+hi+`}`)
	if response.StatusCode != 200 || response.Header.Get("X-Tollgate-Shadow") != "unbounded_request" {
		t.Errorf("got %d %v %s, want 200 with X-Tollgate-Shadow unbounded_request", response.StatusCode, response.Header, text)
	}
}

// A 408 is billed for its prompt, even if another endpoint then answers. If only one
// prompt is reserved, no other endpoint is asked.
func TestAPromptThatAnEndpointReadBeforeItFailedIsCharged(t *testing.T) {
	for _, reserve := range []subscription.Reserve{subscription.ReservePrompt, subscription.ReserveFull} {
		for name, second := range map[string]http.HandlerFunc{"answers": answer(wholeAnswer), "fails": refusing(503, ""), "times out": refusing(408, `{"error":{"code":"Timeout"}}`), "breaks off": cut} {
			first := upstream.Endpoint{URL: serve(t, refusing(408, `{"error":{"code":"Timeout"}}`)), Shape: shape.OpenAI, Name: "a", Priority: 1}
			then := upstream.Endpoint{URL: serve(t, second), Shape: shape.OpenAI, Name: "b", Priority: 2}
			b := start(t, subscriptiontest.Limits{TokenQuota: 10_000, TokenQuotaPeriod: limit.Yearly, Reserve: reserve, MaxCompletionTokens: 100}, nil, withEndpoints(t, first, then))
			response, text := b.post(t, demoPath, plainBody)
			prompt := promptIn(t, plainBody)
			want, status := prompt, 408
			if reserve != subscription.ReserveFull {
				want += map[string]int64{"answers": 100, "times out": prompt}[name]
				status = map[string]int{"answers": 200, "fails": 503, "times out": 408, "breaks off": 502}[name]
			}
			if spent := b.spent(t); spent != want || response.StatusCode != status {
				t.Errorf("%s, the second %s: got %d %s with %d tokens charged, want %d with %d", reserve, name, response.StatusCode, text, spent, status, want)
			}
		}
	}
}

// A call that several models may answer is bounded by the dearest of them, and each is
// sent the cap that it obeys.
func TestSeveralFamiliesBehindOneNameAreBoundedByTheDearest(t *testing.T) {
	endpoint := &fakemodel.Endpoint{}
	fails := true
	url := func(fail bool) string {
		return serve(t, func(w http.ResponseWriter, r *http.Request) {
			if fail && fails {
				w.WriteHeader(503)
				return
			}
			r.Header.Set("Api-Key", fakemodel.Key)
			r.Header.Set(fakemodel.Header, "bill,no-usage,completion=90")
			endpoint.ServeHTTP(w, r)
		})
	}
	const quota = 3000
	of := func(family string) map[string]upstream.Model {
		return map[string]upstream.Model{"DeepSeek-R1": {Name: "chat", Family: family}}
	}
	b := start(t, subscriptiontest.Limits{TokenQuota: quota, TokenQuotaPeriod: limit.Yearly, Reserve: subscription.ReserveFull, MaxCompletionTokens: 90}, nil, func(c *gateway.Config) {
		withEndpoints(t,
			upstream.Endpoint{URL: url(true), Shape: shape.OpenAI, Name: "a", Priority: 1, Models: map[string]upstream.Model{"DeepSeek-R1": {Name: "DeepSeek-R1"}}},
			upstream.Endpoint{URL: url(false), Shape: shape.OpenAI, Name: "b", Priority: 2, Models: of("Llama-3.3-70B-Instruct")},
			upstream.Endpoint{URL: url(false), Shape: shape.OpenAI, Name: "c", Priority: 3, Models: of("Llama-3.3-70B-Instruct")})(c)
	})
	body := `{"model":"DeepSeek-R1","messages":[{"role":"user","content":"` + strings.Repeat("word ", 100) + `"}]}`
	for i := range 8 {
		fails = i%2 == 0
		before, spent := endpoint.Billed(), b.spent(t)
		response, text := b.post(t, demoPath, body)
		if billed, charged := endpoint.Billed()-before, b.spent(t)-spent; billed > charged || endpoint.Billed() > quota {
			t.Errorf("call %d: got %d %.100s, %d tokens billed and %d charged; want at least the bill charged, and all bills within %d", i, response.StatusCode, text, billed, charged, quota)
		}
	}
	if spent := b.spent(t); spent > quota {
		t.Errorf("got %d tokens used up, want at most the quota of %d", spent, quota)
	}
}

// A queued call gets the tokens that a call whose answer is read on turns out not to have
// used.
func TestAQueuedCallGetsTokensThatReadingOnGivesBack(t *testing.T) {
	begun, left := make(chan struct{}, 2), make(chan struct{})
	tell := sync.OnceFunc(func() { close(left) })
	defer tell()
	b := start(t, subscriptiontest.Limits{TokensPerMinute: 1000, Reserve: subscription.ReserveFull, MaxCompletionTokens: 800, MaxWait: subscription.Duration(2 * time.Minute)}, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		begun <- struct{}{}
		<-left
		_, _ = io.WriteString(w, wholeAnswer)
	}, func(c *gateway.Config) {
		c.Models, c.SettleTimeout = []string{"o3"}, time.Minute
	})
	body := strings.Replace(strings.Replace(plainBody, "DeepSeek-R1", "o3", 1), "{", `{"max_completion_tokens":800,`, 1)
	b.leaveOnce(t, body, begun)
	b.serving.Wait()
	status := make(chan int)
	go func() {
		code, _, _ := b.read(t.Context(), body)
		status <- code
	}()
	select {
	case code := <-status:
		t.Fatalf("while all is reserved: got status %d, want the call to wait", code)
	case <-begun:
		t.Fatal("while all is reserved: got a call to the endpoint, want it to wait")
	case <-time.After(100 * time.Millisecond): // the call waits, as it should
	}
	tell()
	freedAt := time.Now()
	if code := <-status; code != 200 || time.Since(freedAt) > 15*time.Second { // sooner than the next minute
		t.Errorf("got status %d %s after the usage arrived, want 200 within 15 s", code, time.Since(freedAt))
	}
}

// A call whose caller left while the counters can't be reached is charged when they are back,
// like any other.
func TestACallLeftWhileTheCountersAreDownIsChargedLater(t *testing.T) {
	for _, reserve := range []subscription.Reserve{subscription.ReservePrompt, subscription.ReserveNone} {
		for _, mode := range []limit.StoreDown{limit.Degrade, limit.FailOpen} {
			s := startBiller(t, subscriptiontest.Limits{TokenQuota: 100_000, Reserve: reserve, OnStoreDown: mode}, 30*time.Millisecond, "o3")
			s.end(t, `{"model":"o3",`+hi+`}`, ending{}) // so that the gateway knows the counter
			billed, spent := s.endpoint.Billed(), s.spent(t)
			s.down.Store(true)
			for range 8 {
				s.end(t, `{"model":"o3","max_completion_tokens":500,`+hi+`}`, ending{leaves: "begun", behaves: "first-token=1h,hidden=400"})
			}
			s.down.Store(false)
			s.waitForSpending(t, func(now int64) bool { return now-spent >= s.endpoint.Billed()-billed && now-spent >= 8*500 })
		}
	}
}

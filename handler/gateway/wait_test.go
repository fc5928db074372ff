package gateway_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"tollgate/handler/counter"
	countermem "tollgate/handler/counter/memstore"
	"tollgate/handler/gateway"
	"tollgate/handler/limit"
	"tollgate/handler/shape"
	"tollgate/handler/subscription"
	"tollgate/handler/subscription/subscriptiontest"
	"tollgate/handler/upstream"
)

// TestACallQueuesForTokens runs the gateway in virtual time. Only the model is outside
// it. Connections to it are closed after each call, because virtual time stops while
// one is open.
func TestACallQueuesForTokens(t *testing.T) {
	foundry := httptest.NewServer(answering(275, 5))
	defer foundry.Close()
	synctest.Test(t, func(t *testing.T) {
		time.Sleep(20 * time.Second) // virtual time starts at the beginning of a minute
		b := newFixture(t, subscriptiontest.Limits{TokensPerMinute: 300, MaxWait: subscription.Duration(50 * time.Second)}, time.Now)
		client := newUpstream(t, upstream.Timeouts{}, upstream.Endpoint{URL: foundry.URL, Shape: shape.OpenAI})
		config := b.config(t, client)
		g := gateway.New(config)
		call := func(ctx context.Context) (status int, header http.Header, waited time.Duration) {
			defer client.CloseIdle()
			began := time.Now()
			w := httptest.NewRecorder()
			r := httptest.NewRequestWithContext(ctx, http.MethodPost, "/v1/chat/completions", strings.NewReader(demo))
			r.Header.Set("Api-Key", b.key)
			g.ServeHTTP(w, r)
			return w.Code, w.Header(), time.Since(began)
		}
		if status, header, waited := call(t.Context()); status != 200 || header.Get("x-apim-remaining-tokens") != "0" || waited > time.Second {
			t.Errorf("the first: got %d after %s, %v; want 200 within 1 s, with 0 tokens left", status, waited, header)
		}
		if status, header, waited := call(t.Context()); status != 200 || header.Get("Retry-After") != "" || waited < 35*time.Second || waited > 45*time.Second {
			t.Errorf("the second: got %d after %s, %v; want 200 without Retry-After after 35 to 45 s, when the minute turns", status, waited, header)
		}
		for used := 30; used < 300; used += 30 { // until nothing is left
			call(t.Context())
		}
		time.Sleep(20 * time.Second) // the next minute is near enough to queue for
		left, leave := context.WithTimeout(t.Context(), time.Second)
		defer leave()
		if status, _, waited := call(left); status != 499 || waited > 2*time.Second {
			t.Errorf("a caller that leaves: got %d after %s, want 499 after a second", status, waited)
		}
		if err := config.Counter.Close(t.Context()); err != nil {
			t.Errorf("Close: got %v, want no error", err)
		}
	})
}

// A call is refused at once if the next minute comes later than maxWait.
func TestACallThatWouldQueueTooLongIsRefusedAtOnce(t *testing.T) {
	b := start(t, subscriptiontest.Limits{TokensPerMinute: 300, MaxWait: subscription.Duration(time.Minute)}, answering(1000))
	b.post(t, demoPath, demo) // a debt of two minutes and more
	began := time.Now()
	response, body := b.post(t, demoPath, demo)
	var seconds int
	if _, err := fmt.Sscan(response.Header.Get("Retry-After"), &seconds); err != nil || response.StatusCode != 429 || seconds < 120 || time.Since(began) > 30*time.Second {
		t.Errorf("got %d after %s, %v: %s; want 429 at once with Retry-After of 120 s or more", response.StatusCode, time.Since(began), response.Header, body)
	}
}

// A prompt whose bytes fit many times over isn't counted before the call. It is still
// charged by usage, or by its tokens if usage is missing.
func TestALongPromptIsChargedExactlyThoughNotCountedBefore(t *testing.T) {
	image := strings.Replace(longPrompt, `"role":"user","content":"`, `"role":"user","content":[{"type":"image_url","image_url":{"url":"https://example.com/x"}}]},{"role":"user","content":"`, 1)
	const usage, none = `{"choices":[],"usage":{"prompt_tokens":7000,"completion_tokens":3}}`, `{"choices":[{"message":{"role":"assistant","content":"Hi"}}]}`
	for name, test := range map[string]struct {
		body, answer string
		used         int64
	}{
		"usage":         {longPrompt, usage, 7003},
		"no usage":      {longPrompt, none, 5000 + promptOf(t) + 1},
		"with an image": {image, usage, 7003},
	} {
		var b *fixture
		var held int64 // tokens reserved while the call is made
		b = start(t, subscriptiontest.Limits{TokensPerMinute: 10_000_000}, func(w http.ResponseWriter, _ *http.Request) {
			held = b.usage(t, "").Minute.Used
			w.Header().Set("Content-Type", "application/json")
			fmt.Fprint(w, test.answer)
		})
		b.post(t, demoPath, demo) // so that the gateway knows the counter
		before := b.usage(t, "").Minute.Used
		response, answer := b.post(t, demoPath, test.body)
		if used := b.usage(t, "").Minute.Used - before; response.StatusCode != 200 || used != test.used {
			t.Errorf("%s: got %d with %d tokens used: %s; want %d", name, response.StatusCode, used, answer, test.used)
		}
		if held-before < 25_000 {
			t.Errorf("%s: got %d tokens reserved, want 25000 or more, the bound without a count", name, held-before)
		}
	}
}

// Some of the prompts that aren't counted before the call are counted afterwards and
// compared with usage. Otherwise large limits would never show that a template has changed.
func TestSomeUncountedPromptsAreComparedWithUsage(t *testing.T) {
	b := start(t, subscriptiontest.Limits{TokensPerMinute: 10_000_000}, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, `{"choices":[],"usage":{"prompt_tokens":225,"completion_tokens":3}}`)
	})
	b.post(t, demoPath, demo) // so that the gateway knows the counter
	long := strings.Replace(demo, "Can you", strings.Repeat("word ", 200)+"Can you", 1)
	for range 17 {
		b.post(t, demoPath, long)
	}
	if n := strings.Count(b.logged(), `"prompt_estimate":225,"prompt_tokens":225`); n != 2 {
		t.Errorf("got %d of 17 calls with the estimate beside their usage in the log, want the first and the last", n)
	}
}

// A long prompt is first bounded by its bytes. If they don't fit because another instance
// has spent tokens meanwhile, the gateway counts the prompt, and its tokens fit.
func TestALongPromptWhoseBytesDoNotFitIsCounted(t *testing.T) {
	now := fromMinuteStart() // the clock of all instances
	limits := subscriptiontest.Limits{TokensPerMinute: 10_000_000}
	store := countermem.NewAt(now)
	var counters []*counter.Counter
	over := func(c *gateway.Config) {
		c.Counter = counter.New(counter.Config{Now: now, Store: store, Log: c.Log})
		counters = append(counters, c.Counter)
	}
	first := start(t, limits, answering(5), over)
	first.post(t, demoPath, demo) // learns that almost a whole minute's tokens are left
	other := start(t, limits, answering(9_985_000), func(c *gateway.Config) { over(c); c.Directory = subscriptiontest.Directory(t, first.store) })
	other.key = first.key
	other.post(t, demoPath, demo)
	if err := counters[1].Close(t.Context()); err != nil { // writes all its charges
		t.Fatal(err)
	}
	if response, body := first.post(t, demoPath, longPrompt); response.StatusCode != 200 {
		t.Errorf("got %d %s, want 200", response.StatusCode, body)
	}
	if got := first.usage(t, ""); got.Total.Refused != 0 || got.Total.Calls != 2 {
		t.Errorf("got %+v, want this gateway's two calls and no refusal", got.Total)
	}
}

// Uncounted prompts may reserve only so much at once. A call that fails because the
// counters can't be reached must not keep its share of that.
func TestACallThatFailsWhileTheCountersAreDownReleasesItsBound(t *testing.T) {
	var b *fixture
	var held int64 // tokens reserved while the call is made
	b = start(t, subscriptiontest.Limits{TokensPerMinute: 10_000_000, OnStoreDown: limit.FailClosed}, func(w http.ResponseWriter, _ *http.Request) {
		held = b.usage(t, "").Minute.Used
		answering(5)(w, nil)
	})
	b.post(t, demoPath, demo) // so that the gateway knows the counter
	b.down.Store(true)
	for range 10 { // more calls than may be uncounted at once
		if response, body := b.post(t, demoPath, longPrompt); response.StatusCode != 503 {
			t.Errorf("got %d %s, want 503", response.StatusCode, body)
		}
	}
	b.down.Store(false)
	for response, _ := b.post(t, demoPath, longPrompt); response.StatusCode != 200; {
		response, _ = b.post(t, demoPath, longPrompt)
	}
	before := b.usage(t, "").Minute.Used
	if b.post(t, demoPath, longPrompt); held-before < 25_000 {
		t.Errorf("got %d tokens reserved, want 25000 or more: the prompt is not counted", held-before)
	}
}

// longPrompt has 5,000 words more than the demo.
var longPrompt = strings.Replace(demo, "Can you", strings.Repeat("word ", 5000)+"Can you", 1)

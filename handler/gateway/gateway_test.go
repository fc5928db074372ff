package gateway_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"tollgate/handler/asynctest"
	"tollgate/handler/counter"
	"tollgate/handler/counter/countertest"
	countermem "tollgate/handler/counter/memstore"
	"tollgate/handler/gateway"
	"tollgate/handler/ledger"
	ledgermem "tollgate/handler/ledger/memstore"
	"tollgate/handler/limit"
	"tollgate/handler/secret"
	"tollgate/handler/shape"
	"tollgate/handler/subscription"
	"tollgate/handler/subscription/memstore"
	"tollgate/handler/subscription/subscriptiontest"
	"tollgate/handler/upstream"
)

// A fixture is a gateway with one subscription, in front of the test's own model.
type fixture struct {
	*httptest.Server
	key   string
	store *memstore.Store
	down  atomic.Bool // whether the counters can't be reached
	log   *asynctest.Buffer
	now   func() time.Time // the counters' clock

	stored   *ledgermem.Store
	recorder *ledger.Recorder
	calls    atomic.Int64 // calls that reached upstream
	serving  sync.WaitGroup
}

// logged waits until every answered call is logged, and returns the log.
func (b *fixture) logged() string {
	b.serving.Wait()
	return b.log.String()
}

// start starts a gateway in front of a model, with the subscription team-a, whose tier demo
// has these limits. changes change the gateway's configuration; if they replace its Upstream,
// model may be nil. Every test builds its gateway with this function or, in virtual time,
// with newFixture.
func start(t *testing.T, limits subscriptiontest.Limits, model http.HandlerFunc, changes ...func(*gateway.Config)) *fixture {
	t.Helper()
	return startWith(t, limits, upstream.Timeouts{}, model, changes...)
}

// fromMinuteStart returns a clock that starts at the beginning of a UTC minute, so that a
// test's calls fall into one minute whenever it runs.
func fromMinuteStart() func() time.Time {
	now := time.Now()
	ahead := now.Truncate(time.Minute).Sub(now)
	return func() time.Time { return time.Now().Add(ahead) }
}

// newFixture returns a fixture whose store has the tier demo with these limits and its
// subscription team-a. It has no gateway yet: make one from its config.
func newFixture(t *testing.T, limits subscriptiontest.Limits, now func() time.Time) *fixture {
	t.Helper()
	b := &fixture{store: memstore.New(), log: &asynctest.Buffer{}, now: now, stored: ledgermem.New(nil)}
	b.recorder = ledger.NewRecorder(ledger.Config{Store: b.stored, Now: now, Log: slog.New(slog.DiscardHandler)})
	b.key = subscriptiontest.Seed(t, b.store, subscription.Tier{ID: "demo", Rules: limits.Rules()}, "team-a")
	return b
}

// config returns the settings of a gateway in front of an upstream.
func (b *fixture) config(t *testing.T, client *upstream.Client) gateway.Config {
	t.Helper()
	log := slog.New(slog.NewJSONHandler(b.log, nil))
	network := countertest.NewNetwork(0)
	network.Store = countermem.NewAt(b.now)
	link := network.Link()
	link.Date = b.now
	link.Fate = func(countertest.Operation) countertest.Fate {
		if b.down.Load() {
			return countertest.Busy
		}
		return countertest.Fine
	}
	counters := counter.New(counter.Config{Now: b.now, Log: log, Patience: 50 * time.Millisecond, Store: link})
	return gateway.Config{Directory: subscriptiontest.Directory(t, b.store), Counter: counters, Ledger: b.recorder, Usage: ledger.Reader{Store: b.stored}, Upstream: client, Log: log,
		Settings: gateway.Settings{BasePath: "/inference", Models: []string{"DeepSeek-R1"}, Headers: gateway.DefaultHeaderNames, MaxBody: 1 << 16,
			Addresses: gateway.Addresses{FrontEnd: true}}}
}

// newUpstream returns a client of endpoints. Those without a key get one.
func newUpstream(t *testing.T, timeouts upstream.Timeouts, endpoints ...upstream.Endpoint) *upstream.Client {
	t.Helper()
	for i := range endpoints {
		if endpoints[i].Key.Empty() {
			endpoints[i].Key = secret.New("upstream-key")
		}
	}
	client, err := upstream.New(endpoints, timeouts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.CloseIdle)
	return client
}

// startWith is start with timeouts for the requests to the model.
func startWith(t *testing.T, limits subscriptiontest.Limits, timeouts upstream.Timeouts, model http.HandlerFunc, changes ...func(*gateway.Config)) *fixture {
	t.Helper()
	b := newFixture(t, limits, fromMinuteStart())
	foundry := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b.calls.Add(1)
		model(w, r)
	}))
	client := newUpstream(t, timeouts, upstream.Endpoint{URL: foundry.URL, Shape: shape.OpenAI})
	config := b.config(t, client)
	for _, change := range changes {
		change(&config)
	}
	served := gateway.New(config)
	b.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b.serving.Add(1)
		defer b.serving.Done()
		served.ServeHTTP(w, r)
	}))
	t.Cleanup(func() {
		b.Close()
		client.CloseIdle()
		foundry.CloseClientConnections()
		foundry.Close()
	})
	return b
}

// newRequest returns a request with the subscription's key. headers are pairs of name and
// value; an empty value removes the header.
func (b *fixture) newRequest(ctx context.Context, t *testing.T, method, path string, body io.Reader, headers ...string) *http.Request {
	t.Helper()
	request, err := http.NewRequestWithContext(ctx, method, b.URL+path, body)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Api-Key", b.key)
	for i := 0; i < len(headers); i += 2 {
		request.Header.Set(headers[i], headers[i+1])
		if headers[i+1] == "" {
			request.Header.Del(headers[i])
		}
	}
	return request
}

// fetch sends a request and reads its whole answer.
func fetch(t *testing.T, request *http.Request) (*http.Response, string) {
	t.Helper()
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response, string(answer)
}

// post makes a call; headers are those of newRequest.
func (b *fixture) post(t *testing.T, path, body string, headers ...string) (*http.Response, string) {
	t.Helper()
	return fetch(t, b.newRequest(t.Context(), t, http.MethodPost, path, strings.NewReader(body), headers...))
}

const demo = `{"messages":[{"role":"system","content":"You are a sarcastic, unhelpful assistant."},{"role":"user","content":"Can you tell me the time, please?"}],"model":"DeepSeek-R1"}`

const demoPath = "/inference/models/chat/completions?api-version=2024-05-01-preview"

// answering is a model that answers call after call with these numbers of completion
// tokens.
func answering(completions ...int) http.HandlerFunc {
	var calls atomic.Int64
	return func(w http.ResponseWriter, _ *http.Request) {
		n := completions[min(int(calls.Add(1)), len(completions))-1]
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprintf(w, `{"choices":[{"message":{"role":"assistant","content":"hi"}}],"usage":{"prompt_tokens":25,"completion_tokens":%d,"total_tokens":%d}}`, n, 25+n)
	}
}

func TestCallsAreRefusedOnceTheMinutesTokensAreUsed(t *testing.T) {
	b := start(t, subscriptiontest.Limits{TokensPerMinute: 300}, answering(233, 184))
	retry := 61
	for i := range 10 {
		response, body := b.post(t, demoPath, demo)
		h := response.Header
		switch {
		case i == 0 && (response.StatusCode != 200 || h.Get("x-apim-remaining-tokens") != "42" || h.Get("x-apim-tokens-consumed") != "258"),
			i == 1 && (response.StatusCode != 200 || h.Get("x-apim-remaining-tokens") != "0" || h.Get("x-apim-tokens-consumed") != "209"),
			i > 1 && (response.StatusCode != 429 || h.Get("x-apim-remaining-tokens") != "0" || h.Get("x-apim-tokens-consumed") != ""):
			t.Fatalf("call %d: got %d %v %s, want first 200 with 42 tokens left and 258 consumed, then 200 with 0 and 209, then 429 with 0 and none", i+1, response.StatusCode, h, body)
		}
		if i < 2 {
			continue
		}
		var after int
		if _, err := fmt.Sscan(h.Get("x-apim-retry-after"), &after); err != nil || after > retry || after < 1 || h.Get("Retry-After") != h.Get("x-apim-retry-after") {
			t.Errorf("call %d: got x-apim-retry-after %q and Retry-After %q, want 1 to %d s, the same in both", i+1, h.Get("x-apim-retry-after"), h.Get("Retry-After"), retry)
		}
		retry = after
		if want := fmt.Sprintf(`{"statusCode":429,"message":"Token limit is exceeded. Try again in %d second`, after); !strings.HasPrefix(body, want) {
			t.Errorf("call %d: got body %s, want it to begin with %s", i+1, body, want)
		}
	}
	if n := b.calls.Load(); n != 2 {
		t.Errorf("got %d calls that reached the model, want 2", n)
	}
}

func TestABadKeyAlwaysGetsTheSameAnswerAndItsBodyIsNotRead(t *testing.T) {
	b := start(t, subscriptiontest.Limits{}, answering(1))
	other := subscription.NewKey()
	var first string
	for name, headers := range map[string][]string{
		"none":       {"Api-Key", ""},
		"malformed":  {"Api-Key", "junk"},
		"unknown":    {"Api-Key", other},
		"junk twice": {"Api-Key", "junk", "Authorization", "Bearer eyJhbGciOiJSUzI1NiJ9.e30.x"},
		"basic":      {"Api-Key", "", "Authorization", "Basic " + b.key},
	} {
		response, body := b.post(t, demoPath, "not even JSON", append(headers, "X-Request-Id", "same")...)
		if first == "" {
			first = body
		}
		if response.StatusCode != 401 || body != first {
			t.Errorf("%s: got %d %s, want 401 %s", name, response.StatusCode, body, first)
		}
	}
	for name, headers := range map[string][]string{
		"api-key": {}, "subscription key": {"Api-Key", "", "Ocp-Apim-Subscription-Key", b.key},
		"bearer": {"Api-Key", "", "Authorization", "bearer " + b.key}, "one key twice": {"Authorization", "Bearer " + b.key},
		"an empty header beside": {"Ocp-Apim-Subscription-Key", " "},
	} {
		if response, body := b.post(t, demoPath, demo, headers...); response.StatusCode != 200 {
			t.Errorf("%s: got %d %s, want 200", name, response.StatusCode, body)
		}
	}
	if strings.Contains(b.logged(), b.key) || strings.Contains(b.logged(), other) {
		t.Error("got a key in the log, want none")
	}
}

func TestASuspendedKeyIsAnsweredLikeAnUnknownOne(t *testing.T) {
	b := start(t, subscriptiontest.Limits{}, answering(1))
	unknown, other := b.post(t, demoPath, demo, "Api-Key", subscription.NewKey(), "X-Request-Id", "same")
	suspended, err := b.store.Subscription(t.Context(), "team-a")
	if err != nil {
		t.Fatal(err)
	}
	suspended.Suspended = true
	if _, err := b.store.PutSubscription(t.Context(), suspended); err != nil {
		t.Fatal(err)
	}
	response, body := b.post(t, demoPath, demo, "X-Request-Id", "same")
	if response.StatusCode != 401 || unknown.StatusCode != 401 || body != other || b.calls.Load() != 0 {
		t.Errorf("got %d %s and %d calls to the model, want 401 %s and none", response.StatusCode, body, b.calls.Load(), other)
	}
}

func TestBadInputIsNamedAndCostsNothing(t *testing.T) {
	b := start(t, subscriptiontest.Limits{TokensPerMinute: 300}, answering(1))
	for name, test := range map[string]struct {
		path, body, part string
		status           int
		headers          []string
	}{
		"not JSON":      {demoPath, `nonsense`, `"param":"body"`, 400, nil},
		"duplicate":     {demoPath, `{"max_tokens":1,"MAX_TOKENS":2,"messages":[{"role":"user","content":"x"}]}`, `"param":"max_tokens"`, 400, nil},
		"no messages":   {demoPath, `{"messages":[]}`, `"param":"messages"`, 400, nil},
		"negative cap":  {demoPath, `{"max_tokens":-1,"messages":[{"role":"user","content":"x"}]}`, `"param":"max_tokens"`, 400, nil},
		"unknown model": {demoPath, strings.Replace(demo, "DeepSeek-R1", "gpt-9", 1), "DeepSeek-R1", 404, nil},
		"unknown route": {"/nowhere", demo, "route_not_found", 404, nil},
		"no route":      {"/", demo, "route_not_found", 404, nil}, // the path of the platform's ping
		"compressed":    {demoPath, demo, "unsupported_content_encoding", 415, []string{"Content-Encoding", "gzip"}},
		"too large":     {demoPath, `{"x":"` + strings.Repeat("x", 1<<16) + `"}`, "request_too_large", 413, nil},
		"never fits":    {demoPath, `{"messages":[{"role":"user","content":"` + strings.Repeat("many words ", 400) + `"}]}`, "token_limit_too_small", 413, nil},
	} {
		t.Run(name, func(t *testing.T) {
			response, body := b.post(t, test.path, test.body, append(test.headers, "X-Request-Id", "id-7")...)
			if response.StatusCode != test.status || !strings.Contains(body, test.part) || !strings.Contains(body, `"request_id":"id-7"`) ||
				response.Header.Get("X-Request-Id") != "id-7" || !json.Valid([]byte(body)) {
				t.Errorf("got %d %v %s, want %d with %s and the request ID id-7 in JSON and header", response.StatusCode, response.Header, body, test.status, test.part)
			}
		})
	}
	if response, _ := b.post(t, demoPath, demo); response.Header.Get("x-apim-remaining-tokens") != "274" {
		t.Errorf("got %s tokens left after one call of 26, want 274: refused calls cost nothing", response.Header.Get("x-apim-remaining-tokens"))
	}
	response, err := http.Get(b.URL + demoPath)
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	if response.StatusCode != 405 || response.Header.Get("Allow") != "POST" {
		t.Errorf("GET: got %d, Allow %q; want 405 and POST", response.StatusCode, response.Header.Get("Allow"))
	}
}

func TestUpstreamsErrorsArePassedOnAndRefunded(t *testing.T) {
	status := 429
	b := start(t, subscriptiontest.Limits{TokensPerMinute: 300}, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Retry-After", "7")
		w.WriteHeader(status)
		_, _ = io.WriteString(w, `{"error":"upstream's own"}`)
	})
	response, body := b.post(t, demoPath, demo)
	if response.StatusCode != 429 || body != `{"error":"upstream's own"}` || response.Header.Get("Retry-After") != "7" {
		t.Errorf("got %d %v %s, want upstream's own 429, body and Retry-After", response.StatusCode, response.Header, body)
	}
	usage, body := b.get(t, "/usage")
	if usage.StatusCode != 200 || !strings.Contains(body, `"left":300`) {
		t.Errorf("/usage: got %d %s, want 200 with all 300 left", usage.StatusCode, body)
	}
}

func TestAStreamIsRelayedAndChargedByItsUsage(t *testing.T) {
	const text = `data: {"choices":[{"index":0,"delta":{"content":"hi"}}],"usage":null}` + "\n\n"
	const usage = `data: {"choices":[],"usage":{"prompt_tokens":25,"completion_tokens":75,"total_tokens":100}}` + "\n\n"
	const done = "data: [DONE]\n\n"
	var asked string
	b := start(t, subscriptiontest.Limits{TokensPerMinute: 300}, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		asked = string(body)
		w.Header().Set("Content-Type", "text/event-stream")
		_, _ = io.WriteString(w, text+usage+done)
	})
	response, body := b.post(t, demoPath, strings.Replace(demo, "{", `{"stream":true,`, 1))
	if response.StatusCode != 200 || body != text+done || !strings.Contains(asked, `"include_usage":true`) {
		t.Errorf("got %d %q, asked %s; want 200, the stream without its usage, and include_usage asked for", response.StatusCode, body, asked)
	}
	if _, standing := b.get(t, "/usage"); !strings.Contains(standing, `"used":100`) {
		t.Errorf("/usage after the stream: got %s, want 100 used", standing)
	}
}

func TestNothingIsForwardedWhileTheCountersAreDown(t *testing.T) {
	b := start(t, subscriptiontest.Limits{TokensPerMinute: 300, OnStoreDown: limit.FailClosed}, answering(1))
	b.down.Store(true)
	response, body := b.post(t, demoPath, demo)
	if response.StatusCode != 503 || response.Header.Get("Retry-After") == "" || !strings.Contains(body, "counters_unavailable") || b.calls.Load() != 0 {
		t.Errorf("got %d %s and %d calls to the model, want 503 counters_unavailable, Retry-After and none", response.StatusCode, body, b.calls.Load())
	}
	b.down.Store(false)
	asynctest.Eventually(t, "calls are answered with the counters back", func() error {
		if response, body := b.post(t, demoPath, demo); response.StatusCode != 200 {
			return fmt.Errorf("got %d %s, want 200", response.StatusCode, body)
		}
		return nil
	})
}

func TestAnExceededQuotaIsA403(t *testing.T) {
	b := start(t, subscriptiontest.Limits{TokenQuota: 100, TokenQuotaPeriod: limit.Hourly}, answering(90))
	b.post(t, demoPath, demo)
	response, body := b.post(t, demoPath, demo)
	if response.StatusCode != 403 || !strings.Contains(body, "Token quota is exceeded. It is renewed in ") || response.Header.Get("x-apim-remaining-quota-tokens") != "0" {
		t.Errorf("got %d %v %s, want 403 saying when the quota is renewed, with 0 left", response.StatusCode, response.Header, body)
	}
}

func TestHeaderNamesCanBeConfigured(t *testing.T) {
	names := gateway.HeaderNames{RemainingTokens: "X-Left", TokensConsumed: "X-Took", RemainingQuotaTokens: "X-Quota", RetryAfter: "X-Wait"}
	b := start(t, subscriptiontest.Limits{TokensPerMinute: 30, TokenQuota: 1000, TokenQuotaPeriod: limit.Hourly}, answering(5), func(c *gateway.Config) { c.Headers = names })
	response, _ := b.post(t, demoPath, demo)
	if h := response.Header; h.Get("X-Left") != "0" || h.Get("X-Took") != "30" || h.Get("X-Quota") != "970" {
		t.Errorf("got headers %v, want X-Left 0, X-Took 30 and X-Quota 970", h)
	}
	response, _ = b.post(t, demoPath, demo)
	if response.StatusCode != 429 || response.Header.Get("X-Wait") == "" {
		t.Errorf("a refused call: got %d %v, want 429 with X-Wait", response.StatusCode, response.Header)
	}
}

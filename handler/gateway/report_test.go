package gateway_test

import (
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	"tollgate/handler/gateway"
	"tollgate/handler/limit"
	"tollgate/handler/local/fakemodel"
	"tollgate/handler/subscription/subscriptiontest"
	"tollgate/handler/telemetry"
	"tollgate/handler/upstream"
)

// callReports keeps what the gateway reports.
type callReports struct {
	mu    sync.Mutex
	calls []telemetry.Call
	more  chan struct{}
}

func (r *callReports) Report(c telemetry.Call) {
	r.mu.Lock()
	r.calls = append(r.calls, c)
	r.mu.Unlock()
	r.more <- struct{}{}
}

// next waits for the next report, which follows the answer.
func (r *callReports) next() telemetry.Call {
	<-r.more
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.calls[len(r.calls)-1]
}

// startReported starts a gateway, and keeps what it reports to telemetry.
func startReported(t *testing.T, limits subscriptiontest.Limits, model http.HandlerFunc) (*fixture, *callReports) {
	r := &callReports{more: make(chan struct{}, 100)}
	b := start(t, limits, model, func(c *gateway.Config) { c.Telemetry = r })
	return b, r
}

func TestEveryCallIsReportedOnce(t *testing.T) {
	var traceparent string
	b, reports := startReported(t, subscriptiontest.Limits{TokensPerMinute: 60, TokenQuota: 1000, TokenQuotaPeriod: limit.Hourly}, func(w http.ResponseWriter, r *http.Request) {
		traceparent = r.Header.Get("Traceparent")
		answering(40)(w, r)
	})
	const trace, parent = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
	b.post(t, demoPath, demo, "X-Request-Id", "id-1", "Traceparent", "00-"+trace+"-"+parent+"-01", "Client-Ip", "203.0.113.7:4321", "X-Team", "blue")
	c := reports.next()
	if c.RequestID != "id-1" || c.TraceID != trace || c.ParentID != parent || c.Status != 200 || c.Outcome != "" || c.Refused || c.Stream || c.Duration <= 0 ||
		c.Method != "POST" || c.Route != "/models/chat/completions" || c.API != "models" || c.Operation != "ChatCompletions_Create" ||
		c.Subscription != "team-a" || c.Tier != "demo" || c.Model != "DeepSeek-R1" || c.ClientIP.String() != "203.0.113.7" || c.Header.Get("X-Team") != "blue" {
		t.Errorf("got %+v reported, want the 200 of request id-1 in trace %s of parent %s: ChatCompletions_Create by POST of team-a, tier demo, DeepSeek-R1, from 203.0.113.7, X-Team blue", c, trace, parent)
	}
	if c.Usage == nil || *c.Usage != (telemetry.Usage{Usage: limit.Usage{PromptTokens: 25, CompletionTokens: 40}, Known: true}) || c.Estimate < 1 {
		t.Errorf("got usage %+v, estimate %d; want 25 and 40 tokens, known, and an estimate", c.Usage, c.Estimate)
	}
	if len(c.Standings) != 1 || c.Standings[0] != (telemetry.Standing{Counter: telemetry.Counter{Limit: "tokens", Unit: "tokens", Owner: limit.Owner{Subscription: "team-a"}}, PerMinute: 60, Used: 65, Remaining: 0, Quota: 1000, QuotaUsed: 65, QuotaRemaining: 935, QuotaPeriod: "Hourly"}) {
		t.Errorf("got standing %+v, want 0 of 60 and 935 of 1000 left", c.Standings)
	}
	if up := c.Upstream; up == nil || up.Endpoint == "" || up.Status != 200 || up.Failed || up.Latency <= 0 || up.Duration < up.Latency {
		t.Errorf("got upstream %+v, want 200 of a named endpoint, with a latency no longer than its duration", up)
	}
	if want := "00-" + trace + "-" + c.Upstream.SpanID + "-01"; traceparent != want || c.SpanID == c.Upstream.SpanID || len(c.SpanID) != 16 {
		t.Errorf("got span %q and traceparent %q sent upstream, want another span of 16 digits and %q", c.SpanID, traceparent, want)
	}

	b.post(t, demoPath, demo)
	if c := reports.next(); c.Status != 429 || c.Outcome != "token_limit_exceeded" || !c.Refused || c.Usage != nil || c.Upstream != nil || len(c.Standings) != 1 || c.Standings[0].Remaining != 0 || len(c.TraceID) != 32 || c.ParentID != "" {
		t.Errorf("a refusal: got %+v, want 429 token_limit_exceeded, refused with 0 tokens left, without usage or upstream, in a trace of its own", c)
	}
	b.post(t, demoPath, demo, "Api-Key", "junk", "Traceparent", "00-"+strings.Repeat("0", 32)+"-"+parent+"-01")
	if c := reports.next(); c.Status != 401 || !c.Refused || c.Outcome != "invalid_api_key" || c.Subscription != "" || strings.Trim(c.TraceID, "0") == "" {
		t.Errorf("a wrong key: got %+v, want 401 invalid_api_key, refused, with a trace and no subscription", c)
	}
	b.post(t, demoPath, "{")
	if c := reports.next(); c.Status != 400 || c.Refused {
		t.Errorf("bad input: got %+v, want 400, not refused", c)
	}
	b.post(t, "/inference/secret-of-the-caller", demo)
	if c := reports.next(); c.Status != 404 || strings.Contains(c.Route+c.Method+c.Operation, "secret") {
		t.Errorf("no route: got %+v, want 404 without the path", c)
	}
	b.post(t, demoPath, strings.Replace(demo, "DeepSeek-R1", "secret text for a model", 1))
	if c := reports.next(); c.Status != 404 || c.Model != "" || strings.Contains(b.logged(), "secret text") {
		t.Errorf("no model: got %+v and a log of %s; want 404 without the model's name", c, b.logged())
	}
	b.get(t, "/usage")
	if c := reports.next(); c.Status != 200 || c.Operation != "Usage_Get" || c.Usage != nil {
		t.Errorf("GET /usage: got %+v, want 200 Usage_Get without usage", c)
	}
	if n := len(reports.calls); n != 7 {
		t.Errorf("got %d reports, want 7", n)
	}
}

// TestReportsNameTheLimitsThatRefuse and whose counters they have, in telemetry and in the log.
func TestReportsNameTheLimitsThatRefuse(t *testing.T) {
	for _, shadow := range []bool{false, true} {
		b, reports := startReported(t, subscriptiontest.Limits{}, answering(40))
		b.setRules(t, fmt.Sprintf(`{"limits":[{"name":"tokens","unit":"tokens","perMinute":1000},{"name":"one","unit":"calls","perMinute":1,"counterKey":"{model}"}],"shadow":%t}`, shadow),
			`[{"name":"calls","unit":"calls","quota":1,"period":"Daily"}]`)
		b.post(t, demoPath, demo)
		first := reports.next()
		if first.Group != "org" || len(first.Standings) != 3 || first.RefusedBy != nil || first.Standings[2].Owner != (limit.Owner{Group: "org"}) || first.Standings[2].QuotaUsed != 1 {
			t.Errorf("shadow %t: got the group %q, standings %+v and refusals %v, want org, three standings, the last of a counter of org with 1 used, and no refusal", shadow, first.Group, first.Standings, first.RefusedBy)
		}
		b.post(t, demoPath, demo)
		second := reports.next()
		want := []telemetry.Refusal{{Counter: telemetry.Counter{Limit: "one", Unit: "calls", Owner: limit.Owner{Tier: "demo"}}},
			{Counter: telemetry.Counter{Limit: "org/calls", Unit: "calls", Owner: limit.Owner{Group: "org"}}, QuotaPeriod: "Daily"}}
		if !slices.Equal(second.RefusedBy, want) || second.Refused == shadow || (second.Shadowed != "") != shadow {
			t.Errorf("shadow %t: got the refusals %+v, refused %t, shadowed %q; want %+v", shadow, second.RefusedBy, second.Refused, second.Shadowed, want)
		}
		if log := b.logged(); strings.Count(log, `"limits":["one","org/calls"]`)+strings.Count(log, `limits="[one org/calls]"`) != 1 {
			t.Errorf("shadow %t: got the log %s, want one line with the limits one and org/calls", shadow, log)
		}
	}
}

func TestCachedAndReasoningTokensAreReportedAndLogged(t *testing.T) {
	details := `,"prompt_tokens_details":{"cached_tokens":16,"cache_write_tokens":4},"completion_tokens_details":{"reasoning_tokens":30}`
	b, reports := startReported(t, subscriptiontest.Limits{TokensPerMinute: 300}, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, `{"choices":[{"message":{"role":"assistant","content":"hi"}}],"usage":{"prompt_tokens":25,"completion_tokens":40,"total_tokens":65`+details+`}}`)
	})
	b.post(t, demoPath, demo)
	want := limit.Usage{PromptTokens: 25, CompletionTokens: 40, CachedTokens: 16, CacheWriteTokens: 4, ReasoningTokens: 30}
	if c := reports.next(); c.Usage == nil || c.Usage.Usage != want {
		t.Errorf("got usage %+v, want %+v", c.Usage, want)
	}
	if logged := `"cached_tokens":16,"cache_write_tokens":4,"reasoning_tokens":30`; !strings.Contains(b.logged(), logged) {
		t.Errorf("got the log %s, want %s in it", b.logged(), logged)
	}
	details = `,"prompt_tokens_details":{"cached_tokens":26},"completion_tokens_details":{"reasoning_tokens":-1}`
	b.post(t, demoPath, demo)
	want = limit.Usage{PromptTokens: 25, CompletionTokens: 40}
	if c := reports.next(); c.Usage == nil || c.Usage.Usage != want || !c.Usage.Known {
		t.Errorf("parts that can't be true: got usage %+v, want %+v, known", c.Usage, want)
	}
	if n := strings.Count(b.logged(), "cached_tokens"); n != 1 {
		t.Errorf("got cached_tokens in %d log lines, want 1: the second call has none", n)
	}
}

func TestAStreamIsReportedWithItsFirstToken(t *testing.T) {
	b, reports := startReported(t, subscriptiontest.Limits{TokensPerMinute: 300}, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		_, _ = io.WriteString(w, `data: {"choices":[{"index":0,"delta":{"content":"hi"},"finish_reason":"stop"}]}`+"\n\n"+"data: [DONE]\n\n")
	})
	b.post(t, demoPath, strings.Replace(demo, "{", `{"stream":true,`, 1))
	c := reports.next()
	if !c.Stream || c.Upstream == nil || c.Upstream.FirstToken <= 0 || c.Upstream.FirstToken < c.Upstream.Latency || c.Usage == nil || c.Usage.Known || c.Usage.CompletionTokens < 1 {
		t.Errorf("got %+v reported, usage %+v, upstream %+v; want a stream whose first token is no sooner than its header, with counted completion tokens", c, c.Usage, c.Upstream)
	}
}

// The gateway counts prompts, and answers without usage, exactly as the model does.
func TestTheGatewaysCountsEqualTheModelsUsage(t *testing.T) {
	var model fakemodel.Endpoint
	b, reports := startReported(t, subscriptiontest.Limits{TokensPerMinute: 100_000}, func(w http.ResponseWriter, r *http.Request) {
		r.Header.Set("Api-Key", fakemodel.Key)
		model.ServeHTTP(w, r)
	})
	for _, path := range []string{demoPath, "/openai/v1/chat/completions"} {
		for _, fields := range []string{`{`, `{"stream":true,`, `{"max_tokens":9,`, `{"stream":true,"max_tokens":9,`} {
			body := strings.Replace(demo, "{", fields, 1)
			model.Behaviour = fakemodel.Behaviour{Completion: 60}
			b.post(t, path, body)
			reported := reports.next()
			model.Behaviour.NoUsage = true
			b.post(t, path, body)
			counted := reports.next()
			if reported.Usage == nil || counted.Usage == nil || !reported.Usage.Known || counted.Usage.Known ||
				reported.Usage.PromptTokens != counted.Usage.PromptTokens || reported.Usage.CompletionTokens != counted.Usage.CompletionTokens || reported.Estimate != reported.Usage.PromptTokens {
				t.Errorf("%s %s: got usage %+v with an estimate of %d from the endpoint and %+v from counting, want the same", path, fields, reported.Usage, reported.Estimate, counted.Usage)
			}
		}
	}
	if estimates := strings.Count(b.log.String(), `"prompt_estimate":25,"prompt_tokens":25`); estimates != 16 {
		t.Errorf("got %d calls with the estimate beside their usage in the log, want all 16", estimates)
	}
}

func TestUpstreamsFailureIsReportedByItsName(t *testing.T) {
	b, reports := startReported(t, subscriptiontest.Limits{TokensPerMinute: 300}, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(400) })
	b.post(t, demoPath, demo)
	c := reports.next()
	if c.Status != 400 || c.Refused || c.Usage != nil || c.Upstream == nil || c.Upstream.Status != 400 || !c.Upstream.Failed || c.Upstream.Endpoint == "" {
		t.Errorf("got %+v reported, upstream %+v; want a 400 of upstream's, failed there, not refused here, without usage", c, c.Upstream)
	}
	if len(c.Standings) != 1 || c.Standings[0].Remaining != 300 {
		t.Errorf("after the refund: got standing %+v, want 300 left", c.Standings)
	}
}

// A 503 of upstream's is reported as upstream's failure, not as a refusal by the gateway,
// with and without a body.
func TestUpstreamsOwnErrorIsNotReportedAsARefusal(t *testing.T) {
	for _, text := range []string{"", `{"error":"theirs"}`} {
		b, reports := startReported(t, subscriptiontest.Limits{TokensPerMinute: 300}, refusing(503, text))
		b.post(t, demoPath, demo)
		if c := reports.next(); c.Status != 503 || c.Refused || c.Outcome != "upstream_error" {
			t.Errorf("%q: got %d, %q, refused %t reported; want 503, upstream_error, not refused", text, c.Status, c.Outcome, c.Refused)
		}
	}
}

func TestCallsThatShadowLetPassAreReported(t *testing.T) {
	b, reports := startReported(t, subscriptiontest.Limits{TokensPerMinute: 30, Shadow: true}, answering(40))
	b.post(t, demoPath, demo)
	if c := reports.next(); c.Shadowed != "" || c.Status != 200 {
		t.Errorf("within the limit: got %+v reported, want 200 and nothing shadowed", c)
	}
	b.post(t, demoPath, demo)
	if c := reports.next(); c.Shadowed != "token_limit_exceeded" || c.Status != 200 || c.Refused || c.Usage == nil {
		t.Errorf("beyond the limit: got %+v reported, want 200 with its usage, not refused, token_limit_exceeded shadowed", c)
	}
}

func TestCallsDecidedWhileTheCountersAreDownAreReported(t *testing.T) {
	b, reports := startReported(t, subscriptiontest.Limits{TokensPerMinute: 3000, OnStoreDown: limit.Degrade}, answering(40))
	b.post(t, demoPath, demo)
	if c := reports.next(); c.Degraded {
		t.Errorf("while the counters are there: got %+v reported, want it not degraded", c)
	}
	b.down.Store(true)
	for range 100 { // the first calls use up what the gateway has leased already
		b.post(t, demoPath, demo)
		if c := reports.next(); c.Degraded {
			return
		}
	}
	t.Error("got no degraded call among 100 while the counters are down, want one")
}

func TestTheLogLineNamesTheOperation(t *testing.T) {
	b, log := startModel(t, subscriptiontest.Limits{}, "DeepSeek-R1", 0, upstream.Timeouts{}, answer(wholeAnswer))
	for _, test := range []struct{ path, body, want string }{
		{demoPath, plainBody, `"operation":"ChatCompletions_Create"`},
		{"/v1/models", "", `"operation":"Models_List"`},
		{"/nowhere", "", ""},
	} {
		if test.body == "" {
			b.get(t, test.path)
		} else {
			b.post(t, test.path, test.body)
		}
		line := string(<-log)
		if named := strings.Contains(line, `"operation":`); named != (test.want != "") || !strings.Contains(line, test.want) {
			t.Errorf("%s: got the line %s, want %q in it", test.path, line, test.want)
		}
	}
}

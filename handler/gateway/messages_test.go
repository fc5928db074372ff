package gateway_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"tollgate/handler/gateway"
	"tollgate/handler/local/fakemodel"
	"tollgate/handler/secret"
	"tollgate/handler/shape"
	"tollgate/handler/subscription"
	"tollgate/handler/subscription/subscriptiontest"
	"tollgate/handler/upstream"
)

// An anthropicFixture is a gateway in front of an endpoint of the anthropic shape.
type anthropicFixture struct {
	*fixture
	endpoint *fakemodel.Endpoint
	asked    atomic.Pointer[http.Request] // the last request at the endpoint
}

// startAnthropic starts a gateway in front of the fake model's Messages API.
func startAnthropic(t *testing.T, limits subscriptiontest.Limits) *anthropicFixture {
	t.Helper()
	c := &anthropicFixture{endpoint: &fakemodel.Endpoint{}}
	limits.TokenQuotaPeriod = "Yearly"
	if limits.TokenQuota == 0 {
		limits.TokenQuota = 1_000_000
	}
	c.fixture = start(t, limits, nil, func(config *gateway.Config) {
		at := upstream.Endpoint{Shape: shape.Anthropic, Key: secret.New(fakemodel.Key), URL: serve(t, func(w http.ResponseWriter, r *http.Request) {
			c.asked.Store(r)
			c.endpoint.ServeHTTP(w, r)
		})}
		config.Upstream, config.Models = newUpstream(t, upstream.Timeouts{}, at), []string{"claude-sonnet-5", "claude-haiku-5-5"}
	})
	return c
}

// message sends a body as Anthropic's clients do.
func (c *anthropicFixture) message(t *testing.T, path, body string, headers ...string) (*http.Response, string) {
	t.Helper()
	return c.post(t, path, body, append([]string{"Api-Key", "", "X-Api-Key", c.key, "Anthropic-Version", "2023-06-01"}, headers...)...)
}

const messageBody = `{"model":"claude-sonnet-5","max_tokens":200,"messages":[{"role":"user","content":"What time is it?"}]}`

func TestAMessageIsChargedWhatItsEndpointBills(t *testing.T) {
	for name, test := range map[string]struct{ fields, behaviour string }{
		"text":       {"", ""},
		"thinking":   {`"thinking":{"type":"enabled","budget_tokens":100},`, "hidden=20"},
		"a tool":     {`"tools":[{"name":"weather","input_schema":{"type":"object","properties":{"city":{"type":"string"}},"required":["city"]}}],`, ""},
		"caches":     {"", "cached=6,cache-write=3"},
		"compaction": {"", "compaction=400"},
		"novelty":    {"", "novelty"},
		"cut short":  {"", "completion=900"},
	} {
		t.Run(name, func(t *testing.T) {
			c := startAnthropic(t, subscriptiontest.Limits{})
			c.endpoint.Behaviour, _ = fakemodel.Behaviour{}.With(test.behaviour)
			for _, stream := range []string{"", `"stream":true,`} {
				before := c.endpoint.Billed()
				charged := c.spent(t)
				response, body := c.message(t, "/v1/messages", strings.Replace(messageBody, "{", "{"+stream+test.fields, 1), "Anthropic-Beta", "compact-2026-01-12")
				if response.StatusCode != 200 || !strings.Contains(body, `"output_tokens"`) || stream != "" && !strings.HasSuffix(body, "{\"type\":\"message_stop\"}\n\n") {
					t.Fatalf("%s: got %d %s, want a whole answer with its usage", stream, response.StatusCode, body)
				}
				c.serving.Wait()
				if got, want := c.spent(t)-charged, c.endpoint.Billed()-before; got != want || want <= 0 {
					t.Errorf("%s: got %d tokens charged, want the %d billed", stream, got, want)
				}
			}
		})
	}
}

// Each way in which an answer may lack its usage or its end costs at least what the
// endpoint bills, and no more than the cap and the bound of the prompt.
func TestAMessageWithoutItsUsageIsBounded(t *testing.T) {
	for _, behaviour := range []string{"no-usage", "odd-usage", "cut-after=9", "fail-after=9", "hidden=50,no-usage"} {
		for _, stream := range []string{"", `"stream":true,`} {
			for _, reserve := range []subscription.Reserve{subscription.ReserveNone, subscription.ReservePrompt, subscription.ReserveFull} {
				if stream == "" && strings.HasPrefix(behaviour, "fail") {
					continue // the endpoint writes and bills nothing but the prompt of a failed answer
				}
				c := startAnthropic(t, subscriptiontest.Limits{Reserve: reserve})
				c.endpoint.Behaviour, _ = fakemodel.Behaviour{}.With(behaviour)
				request := c.newRequest(t.Context(), t, http.MethodPost, "/v1/messages", strings.NewReader(strings.Replace(messageBody, "{", "{"+stream, 1)), "Api-Key", "")
				request.Header.Set("X-Api-Key", c.key)
				request.Header.Set("Anthropic-Version", "2023-06-01")
				c.readAll(request)
				c.serving.Wait()
				billed, charged := c.endpoint.Billed(), c.spent(t)
				if stream == "" && strings.HasPrefix(behaviour, "cut") && charged == 0 {
					continue // half of the JSON may have no text, and then it is a failure
				}
				if charged < billed || charged > billed+1500 {
					t.Errorf("%s %s %s: got %d tokens charged for %d billed, want at least that and a bound", behaviour, stream, reserve, charged, billed)
				}
			}
		}
	}
}

// readAll makes a call and reads its answer as far as it comes.
func (c *anthropicFixture) readAll(request *http.Request) {
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return // the gateway may cut an answer before it begins
	}
	defer response.Body.Close()
	for buffer := make([]byte, 4096); err == nil; {
		_, err = response.Body.Read(buffer)
	}
}

func TestAMessagesHeadersAndQueryReachTheEndpoint(t *testing.T) {
	c := startAnthropic(t, subscriptiontest.Limits{})
	for _, path := range []string{"/anthropic/v1/messages", "/v1/messages", "/inference/anthropic/v1/messages", "/v1/messages/count_tokens"} {
		response, body := c.message(t, path+"?beta=true&subscription-key="+c.key, messageBody, "Anthropic-Beta", "a-2025-01-01,b-2025-01-01", "X-Stainless-Lang", "js", "User-Agent", "canary", "Cookie", "canary")
		asked := c.asked.Load()
		if response.StatusCode != 200 {
			t.Fatalf("%s: got %d %s, want 200", path, response.StatusCode, body)
		}
		h := asked.Header
		if asked.URL.RawQuery != "beta=true" || h.Get("Anthropic-Version") != "2023-06-01" || h.Get("Anthropic-Beta") != "a-2025-01-01,b-2025-01-01" || h.Get("X-Api-Key") != fakemodel.Key {
			t.Errorf("%s: got %s with %v, want the query beta=true, version, beta and the endpoint's own key", path, asked.URL, h)
		}
		if text := fmt.Sprint(h, asked.URL); strings.Contains(text, "canary") || strings.Contains(text, c.key) || strings.Contains(text, "Stainless") {
			t.Errorf("%s: got %s at the endpoint, want no other header and no key of the caller", path, text)
		}
		if id := response.Header.Get("Request-Id"); id == "" || id != response.Header.Get("X-Request-Id") || response.Header.Get("Anthropic-Ratelimit-Tokens-Remaining") != "" {
			t.Errorf("%s: got the headers %v, want the request's id, and not the endpoint's limits", path, response.Header)
		}
	}
}

func TestCountingAMessagesTokensCostsNothing(t *testing.T) {
	c := startAnthropic(t, subscriptiontest.Limits{TokensPerMinute: 100, Reserve: subscription.ReserveNone})
	if response, body := c.message(t, "/v1/messages", strings.Replace(messageBody, "200", "150", 1), fakemodel.Header, "x"); response.StatusCode != 200 {
		t.Fatalf("got %d %s, want 200", response.StatusCode, body)
	}
	c.serving.Wait()
	charged := c.spent(t)
	response, body := c.message(t, "/v1/messages/count_tokens?beta=true", `{"model":"claude-sonnet-5","messages":[{"role":"user","content":"What time is it?"}]}`)
	var counted struct {
		Input int64 `json:"input_tokens"`
	}
	if response.StatusCode != 200 || json.Unmarshal([]byte(body), &counted) != nil || counted.Input <= 0 {
		t.Errorf("got %d %s, want a count", response.StatusCode, body)
	}
	if got := c.spent(t); got != charged {
		t.Errorf("got %d tokens charged, want %d as before", got, charged)
	}
}

func TestTheGatewaysErrorsHaveAnthropicsFormForItsClients(t *testing.T) {
	c := startAnthropic(t, subscriptiontest.Limits{TokensPerMinute: 100, Reserve: subscription.ReservePrompt})
	for _, test := range []struct {
		name, path, body string
		headers          []string
		status           int
		kind, code       string
	}{
		{"a wrong key", "/v1/messages", messageBody, []string{"X-Api-Key", "wrong"}, 401, "authentication_error", "invalid_api_key"},
		{"no version", "/anthropic/v1/messages", messageBody, []string{"X-Api-Key", "wrong", "Anthropic-Version", ""}, 401, "authentication_error", "invalid_api_key"},
		{"no such model", "/v1/messages", strings.Replace(messageBody, "claude-sonnet-5", "other", 1), nil, 404, "not_found_error", "model_not_found"},
		{"a bad field", "/v1/messages", strings.Replace(messageBody, "200", "1e3", 1), nil, 400, "invalid_request_error", "invalid_request"},
		{"a bad count", "/v1/messages/count_tokens", `{"model":"claude-sonnet-5"}`, nil, 400, "invalid_request_error", "invalid_request"},
		{"no such path", "/v1/messages/batches", messageBody, nil, 404, "not_found_error", "route_not_found"},
		{"another API's path", "/v1/files", messageBody, nil, 404, "not_found_error", "route_not_found"},
		{"too large", "/v1/messages", strings.Replace(messageBody, "What", strings.Repeat("What ", 200), 1), nil, 413, "request_too_large", "token_limit_too_small"},
	} {
		response, body := c.message(t, test.path, test.body, test.headers...)
		c.checkError(t, test.name, response, body, test.status, test.kind, test.code)
	}
	c.endpoint.Behaviour.Completion = 150
	c.message(t, "/v1/messages", messageBody)
	c.serving.Wait()
	response, body := c.message(t, "/v1/messages", messageBody)
	c.checkError(t, "the limit", response, body, 429, "rate_limit_error", "token_limit_exceeded")
	if response.Header.Get("Retry-After") == "" {
		t.Errorf("got the headers %v, want Retry-After", response.Header)
	}
}

func (c *anthropicFixture) checkError(t *testing.T, name string, response *http.Response, body string, status int, kind, code string) {
	t.Helper()
	var got struct {
		Type  string
		Error struct{ Type, Message, Code string }
		ID    string `json:"request_id"`
	}
	if err := json.Unmarshal([]byte(body), &got); err != nil || response.StatusCode != status || got.Type != "error" || got.Error.Type != kind ||
		got.Error.Code != code || got.Error.Message == "" || got.ID != response.Header.Get("X-Request-Id") {
		t.Errorf("%s: got %d %s, want %d %s %s in Anthropic's form with the request's id", name, response.StatusCode, body, status, kind, code)
	}
}

func TestTheEndpointsOwnMessageErrorsPass(t *testing.T) {
	c := startAnthropic(t, subscriptiontest.Limits{})
	c.endpoint.Behaviour.Status = 413
	if response, body := c.message(t, "/v1/messages", messageBody); response.StatusCode != 413 || !strings.Contains(body, `"type":"request_too_large"`) {
		t.Errorf("got %d %s, want the endpoint's 413", response.StatusCode, body)
	}
	c.endpoint.Behaviour.Status = 529
	if response, body := c.message(t, "/v1/messages", messageBody); response.StatusCode != 529 || !strings.Contains(body, "overloaded_error") {
		t.Errorf("got %d %s, want the endpoint's 529", response.StatusCode, body)
	}
	c.serving.Wait()
	if got := c.spent(t); got != 0 {
		t.Errorf("got %d tokens charged for refused calls, want 0", got)
	}
}

func TestModelsAreListedInAnthropicsFormForItsClients(t *testing.T) {
	c := startAnthropic(t, subscriptiontest.Limits{})
	get := func(path string, headers ...string) (body string) {
		_, body = c.get(t, path, append(headers, "Api-Key", "", "X-Api-Key", c.key)...)
		return body
	}
	const one = `{"type":"model","id":"claude-sonnet-5","display_name":"claude-sonnet-5","created_at":"1970-01-01T00:00:00Z"}`
	const list = `{"data":[` + one + `,{"type":"model","id":"claude-haiku-5-5","display_name":"claude-haiku-5-5","created_at":"1970-01-01T00:00:00Z"}],"has_more":false,"first_id":"claude-sonnet-5","last_id":"claude-haiku-5-5"}`
	for _, test := range []struct {
		path    string
		headers []string
		want    string
	}{
		{"/v1/models", []string{"Anthropic-Version", "2023-06-01"}, list},
		{"/v1/models?limit=20", []string{"Anthropic-Version", "2023-06-01"}, list},
		{"/anthropic/v1/models", nil, list},
		{"/v1/models/claude-sonnet-5", []string{"Anthropic-Version", "2023-06-01"}, one},
		{"/anthropic/v1/models/claude-sonnet-5", nil, one},
	} {
		if got := get(test.path, test.headers...); got != test.want {
			t.Errorf("%s: got %s, want %s", test.path, got, test.want)
		}
	}
	if got := get("/v1/models"); !strings.Contains(got, `"object":"list"`) {
		t.Errorf("without anthropic-version: got %s, want OpenAI's form", got)
	}
}

package gateway_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
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

// withEndpoints puts a gateway in front of endpoints.
func withEndpoints(t *testing.T, endpoints ...upstream.Endpoint) func(*gateway.Config) {
	t.Helper()
	client := newUpstream(t, upstream.Timeouts{}, endpoints...)
	return func(c *gateway.Config) {
		c.Upstream, c.Models = client, []string{"DeepSeek-R1", "gpt-oss"}
	}
}

// serve starts a model and returns its URL.
func serve(t *testing.T, model http.HandlerFunc) string {
	server := httptest.NewServer(model)
	t.Cleanup(server.Close)
	return server.URL
}

// A caller that speaks any shape reaches an endpoint that speaks any: path,
// api-version and the model's name are translated, the rest passes untouched.
func TestAnyShapeReachesAnyShape(t *testing.T) {
	const rest = `"messages":[{"role":"user","content":"hi"}], "temperature" : 0.10,"x":{"y":[1,2.0]}}`
	callers := map[string]struct{ path, body string }{
		"models":      {"/models/chat/completions?api-version=2023-01-01", `{"model":"DeepSeek-R1",` + rest},
		"openai":      {"/openai/v1/chat/completions", `{"model":"DeepSeek-R1",` + rest},
		"plain":       {"/inference/v1/chat/completions", `{"model":"DeepSeek-R1",` + rest},
		"deployments": {"/openai/deployments/DeepSeek-R1/chat/completions?api-version=2023-01-01", `{` + rest},
	}
	endpoints := map[string]struct {
		endpoint upstream.Endpoint
		path     string
		model    string // in the body
	}{
		"models":                 {upstream.Endpoint{Shape: shape.Models, Deployment: "r1"}, "/models/chat/completions?api-version=2024-05-01-preview", "r1"},
		"models, its own naming": {upstream.Endpoint{Shape: shape.Models}, "/models/chat/completions?api-version=2024-05-01-preview", "DeepSeek-R1"},
		"openai":                 {upstream.Endpoint{Shape: shape.OpenAI, Models: map[string]upstream.Model{"DeepSeek-R1": {Name: "r1"}}}, "/openai/v1/chat/completions", "r1"},
		"deployments":            {upstream.Endpoint{Shape: shape.Deployments, Deployment: "r1", APIVersion: "2025-01-01"}, "/openai/deployments/r1/chat/completions?api-version=2025-01-01", ""},
	}
	for from, caller := range callers {
		for to, c := range endpoints {
			var path, body string
			c.endpoint.URL = serve(t, func(w http.ResponseWriter, r *http.Request) {
				raw, _ := io.ReadAll(r.Body)
				path, body = r.RequestURI, string(raw)
				_, _ = io.WriteString(w, wholeAnswer)
			})
			b := start(t, subscriptiontest.Limits{}, nil, withEndpoints(t, c.endpoint))
			response, text := b.post(t, caller.path, caller.body)
			if response.StatusCode != 200 || text != wholeAnswer || path != c.path {
				t.Errorf("%s to %s: got %d %s with %s asked, want 200 %s with %s", from, to, response.StatusCode, text, path, wholeAnswer, c.path)
			}
			var sent struct{ Model string }
			if err := json.Unmarshal([]byte(body), &sent); err != nil || c.model != "" && sent.Model != c.model || !strings.HasSuffix(body, rest) {
				t.Errorf("%s to %s: got %s sent, want the model %q and at the end %s", from, to, body, c.model, rest)
			}
		}
	}
}

// A provisioned deployment that is full overflows into a pay-as-you-go one, and
// the answer says whose it is.
func TestAProvisionedDeploymentOverflows(t *testing.T) {
	full := refusing(429, `{"error":{"code":"429"}}`, "Retry-After-Ms", "60000")
	b := start(t, subscriptiontest.Limits{TokenQuota: 10_000, TokenQuotaPeriod: limit.Yearly}, nil, withEndpoints(t,
		upstream.Endpoint{Name: "provisioned", URL: serve(t, full), Shape: shape.Deployments, Deployment: "r1-ptu", Priority: 1},
		upstream.Endpoint{Name: "pay-as-you-go", URL: serve(t, answer(wholeAnswer)), Shape: shape.Models, Priority: 2}))
	for range 30 {
		response, body := b.post(t, demoPath, demo)
		if response.StatusCode != 200 || response.Header.Get("x-tollgate-upstream") != "pay-as-you-go" {
			t.Fatalf("got %d %v %s, want 200 from pay-as-you-go", response.StatusCode, response.Header, body)
		}
	}
	if used := b.spent(t); used != 3000 {
		t.Errorf("got %d tokens used up by 30 calls of 100, want 3000", used)
	}
}

// Once the gateway has sent the first byte of an answer, it asks no other endpoint.
func TestAStreamThatHasBegunIsNotMovedToAnotherEndpoint(t *testing.T) {
	asked := 0
	b := start(t, subscriptiontest.Limits{}, nil, withEndpoints(t,
		upstream.Endpoint{Name: "a", URL: serve(t, events(thoughtEvent, cut)), Shape: shape.OpenAI, Priority: 1},
		upstream.Endpoint{Name: "b", URL: serve(t, func(w http.ResponseWriter, r *http.Request) {
			asked++
			events(textEvent+stopAndUsageEvent+doneEvent)(w, r)
		}), Shape: shape.OpenAI, Priority: 2}))
	if status, body, err := b.read(t.Context(), streamBody); status != 200 || body != thoughtEvent || err == nil || asked != 0 {
		t.Errorf("got %d %q, %v and %d calls to the second; want 200 %q, an error and none", status, body, err, asked, thoughtEvent)
	}
}

// Only endpoints of the models shape understand the header, so error and drop need one.
// The others always pass unknown fields through. Callers of their APIs expect that of an
// endpoint of the models shape too, so the gateway asks it for pass-through.
func TestExtraParametersGoOnlyToEndpointsThatUnderstandThem(t *testing.T) {
	var got []string
	model := func(w http.ResponseWriter, r *http.Request) {
		got = r.Header["Extra-Parameters"]
		answer(wholeAnswer)(w, r)
	}
	routes := map[string]bool{ // by route: whether the API defines the header
		"/models/chat/completions": true, "/openai/v1/chat/completions": false, "/v1/chat/completions": false, "/chat/completions": false,
		"/openai/deployments/DeepSeek-R1/chat/completions": false,
	}
	for _, to := range []shape.Shape{shape.Models, shape.OpenAI, shape.Deployments} {
		b := start(t, subscriptiontest.Limits{}, nil, withEndpoints(t, upstream.Endpoint{URL: serve(t, model), Shape: to, Deployment: "r1"}))
		for route, knowsHeader := range routes {
			for _, value := range []string{"", "drop", "error", "pass-through", "sometimes"} {
				got = nil
				response, body := b.post(t, route, demo, "Extra-Parameters", value)
				if value == "sometimes" || to != shape.Models && (value == "drop" || value == "error") {
					if response.StatusCode != 400 || !strings.Contains(body, `"param":"extra-parameters"`) || got != nil {
						t.Errorf("%s to %s, %q: got %d %s with %q sent, want 400 that names the header and nothing sent", route, to, value, response.StatusCode, body, got)
					}
					continue
				}
				want := value
				if value == "" && !knowsHeader {
					want = "pass-through"
				}
				if to != shape.Models {
					want = ""
				}
				if sent := strings.Join(got, ","); response.StatusCode != 200 || sent != want {
					t.Errorf("%s to %s, %q: got %d %s, sent %q; want %q", route, to, value, response.StatusCode, body, sent, want)
				}
			}
		}
	}
}

// OpenAI's libraries send fields that the model inference API doesn't have. A models
// endpoint must accept them rather than answer 422.
func TestStreamingLibrariesReachAModelsEndpoint(t *testing.T) {
	b := start(t, subscriptiontest.Limits{}, nil, withEndpoints(t, upstream.Endpoint{URL: serve(t, (&fakemodel.Endpoint{}).ServeHTTP), Shape: shape.Models, Key: secret.New(fakemodel.Key)}))
	for _, field := range []string{`"stream":true,"stream_options":{"include_usage":true}`, `"n":1`, `"user":"u"`, `"store":false`, `"metadata":{}`, `"reasoning_effort":"low"`, `"parallel_tool_calls":true`} {
		body := strings.Replace(demo, "{", "{"+field+",", 1)
		for _, route := range []string{"/openai/v1/chat/completions", "/openai/deployments/DeepSeek-R1/chat/completions?api-version=2024-10-21"} {
			response, text := b.post(t, route, body)
			if response.StatusCode != 200 || strings.Contains(field, "include_usage") && !strings.Contains(text, `"choices":[],`) {
				t.Errorf("%s with %s: got %d %s, want 200 with what was asked for", route, field, response.StatusCode, text)
			}
		}
	}
}

// If the endpoint drops a cap, the gateway must send one that the endpoint obeys.
// Otherwise the answer could exceed the reserved tokens.
func TestADroppedCapIsIgnored(t *testing.T) {
	for _, model := range []string{"DeepSeek-R1", "o3-mini"} {
		var asked caps
		b := start(t, subscriptiontest.Limits{TokensPerMinute: 300, Reserve: subscription.ReserveFull, MaxCompletionTokens: 100}, nil, func(c *gateway.Config) {
			withEndpoints(t, upstream.Endpoint{URL: serve(t, recording(t, &asked, 30)), Shape: shape.Models})(c)
			c.Models = []string{model}
		})
		passed := "max_tokens=1"
		if model == "o3-mini" {
			passed = "max_completion_tokens=1"
		}
		for value, want := range map[string]string{"drop": "max_tokens=100", "pass-through": passed} {
			body := strings.Replace(with(`"max_completion_tokens":1,`), "DeepSeek-R1", model, 1)
			if response, text := b.post(t, demoPath, body, "Extra-Parameters", value); response.StatusCode != 200 {
				t.Fatalf("got %d %s, want 200", response.StatusCode, text)
			}
			if asked.String() != want {
				t.Errorf("%s, %s: got %q asked for, want %q", model, value, asked, want)
			}
		}
	}
}

// An empty Content-Type would have clients take the answer for text.
func TestAnAnswerThatNamesNoTypeIsJSON(t *testing.T) {
	for _, status := range []int{200, 400} {
		b := start(t, subscriptiontest.Limits{TokensPerMinute: 300}, func(w http.ResponseWriter, r *http.Request) {
			w.Header()["Content-Type"] = nil
			w.WriteHeader(status)
			_, _ = io.WriteString(w, wholeAnswer)
		})
		response, body := b.post(t, demoPath, demo)
		if got := response.Header["Content-Type"]; response.StatusCode != status || body != wholeAnswer || len(got) != 1 || got[0] != "application/json" {
			t.Errorf("got %d %q %s, want %d application/json %s", response.StatusCode, got, body, status, wholeAnswer)
		}
	}
}

// Every route is served with and without the base path, even one that begins with it.
func TestNoBasePathHidesARoute(t *testing.T) {
	for _, base := range []string{"", "/inference", "/openai", "/v1", "/openai/v1", "/models"} {
		b := start(t, subscriptiontest.Limits{}, answer(wholeAnswer), func(c *gateway.Config) { c.BasePath = base })
		for _, route := range []string{"/models/chat/completions", "/openai/v1/chat/completions", "/v1/chat/completions", "/openai/deployments/DeepSeek-R1/chat/completions"} {
			for _, at := range []string{route, base + route} {
				if response, body := b.post(t, at, demo); response.StatusCode != 200 {
					t.Errorf("base path %q, %s: got %d %s, want 200", base, at, response.StatusCode, body)
				}
			}
		}
	}
}

// A model may have a slash in its name, and a client that puts it into the path
// may escape that or not.
func TestADeploymentMayHaveASlashInItsName(t *testing.T) {
	b := start(t, subscriptiontest.Limits{}, answer(wholeAnswer), func(c *gateway.Config) { c.Models = []string{"deepseek-ai/DeepSeek-R1"} })
	for _, name := range []string{"deepseek-ai/DeepSeek-R1", "deepseek-ai%2FDeepSeek-R1"} {
		if response, body := b.post(t, "/openai/deployments/"+name+"/chat/completions", demo); response.StatusCode != 200 {
			t.Errorf("%s: got %d %s, want 200", name, response.StatusCode, body)
		}
	}
}

// Each shape lists what the subscription may use, which its tier can restrict.
func TestModelsAreListedForTheSubscription(t *testing.T) {
	for _, test := range []struct {
		tier []string
		want string
	}{{nil, "DeepSeek-R1 gpt-oss"}, {[]string{"gpt-oss"}, "gpt-oss"}, {[]string{"no-such"}, ""}} {
		b := start(t, subscriptiontest.Limits{Models: test.tier}, nil, withEndpoints(t, upstream.Endpoint{URL: serve(t, answer(wholeAnswer)), Shape: shape.OpenAI}))
		for _, at := range []string{"/models", "/openai/v1/models", "/v1/models", "/openai/models?api-version=2024-10-21", "/inference/models"} {
			response, body := b.get(t, at)
			var listed struct {
				Object string
				Data   []struct {
					ID, Object string
					Created    *int64
					OwnedBy    string `json:"owned_by"`
				}
			}
			err := json.Unmarshal([]byte(body), &listed)
			var names []string
			for _, model := range listed.Data {
				if names = append(names, model.ID); model.Created == nil || model.OwnedBy == "" {
					t.Errorf("%s: got %s, want OpenAI's created and owned_by in each model", at, body)
				}
			}
			if err != nil || response.StatusCode != 200 || strings.Join(names, " ") != test.want || listed.Object != "list" {
				t.Errorf("%s, tier %v: got %d %s, want 200 with the models %s", at, test.tier, response.StatusCode, body, test.want)
			}
		}
		response, body := b.post(t, demoPath, demo)
		if (response.StatusCode == 200) != strings.Contains(test.want, "DeepSeek-R1") || strings.Contains(body, "one of: .") {
			t.Errorf("tier %v, a call for DeepSeek-R1: got %d %s, want 200 if it is one of %q, and else an error that lists them", test.tier, response.StatusCode, body, test.want)
		}
	}
}

package gateway_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"tollgate/handler/asynctest"
	"tollgate/handler/gateway"
	"tollgate/handler/limit"
	"tollgate/handler/local/fakemodel"
	"tollgate/handler/secret"
	"tollgate/handler/shape"
	"tollgate/handler/stored"
	storedmem "tollgate/handler/stored/memstore"
	"tollgate/handler/subscription"
	"tollgate/handler/subscription/subscriptiontest"
	"tollgate/handler/upstream"
)

// storedFixture is a gateway in front of two fake endpoints that store responses.
type storedFixture struct {
	*fixture
	endpoints map[string]*fakemodel.Endpoint
	other     string // the key of another subscription
	storeErr  atomic.Pointer[error]
	puts      atomic.Int64
}

// startStored opens a gateway whose tier has limits, and whose second subscription, team-b,
// has no limit.
func startStored(t *testing.T, limits subscriptiontest.Limits, change ...func(*gateway.Config)) *storedFixture {
	t.Helper()
	r := &storedFixture{endpoints: map[string]*fakemodel.Endpoint{"a": {}, "b": {}}}
	var endpoints []upstream.Endpoint
	for _, name := range []string{"a", "b"} {
		at := endpointAt(t, r.endpoints[name])
		endpoints = append(endpoints, upstream.Endpoint{Name: name, URL: at, Shape: shape.OpenAI, Key: secret.New(fakemodel.Key)})
	}
	store := storedmem.New(func(operation string) (bool, error) {
		if operation == "put" {
			r.puts.Add(1)
		}
		if err := r.storeErr.Load(); err != nil {
			return false, *err
		}
		return true, nil
	})
	r.fixture = start(t, limits, nil, func(c *gateway.Config) {
		c.Upstream, c.Models, c.Stored = newUpstream(t, upstream.Timeouts{}, endpoints...), []string{"gpt-4.1"}, stored.New(store)
		for _, f := range change {
			f(c)
		}
	})
	r.other = subscriptiontest.Seed(t, r.store, subscription.Tier{ID: "other"}, "team-b")
	return r
}

func endpointAt(t *testing.T, e *fakemodel.Endpoint) string {
	t.Helper()
	return serve(t, e.ServeHTTP)
}

const responses = "/openai/v1/responses"

// ask makes a request as a subscription, and returns the status and the body.
func (r *storedFixture) ask(t *testing.T, key, method, path, body string) (int, http.Header, string) {
	t.Helper()
	request := r.newRequest(t.Context(), t, method, path, strings.NewReader(body), "Api-Key", key)
	response, answer := fetch(t, request)
	return response.StatusCode, response.Header, answer
}

// make makes a response as team-a and returns its id and where it is.
func (r *storedFixture) make(t *testing.T, body string) (id, endpoint string) {
	t.Helper()
	status, header, answer := r.ask(t, r.key, "POST", responses, body)
	var made struct{ ID string }
	if err := json.Unmarshal([]byte(answer), &made); status != 200 || err != nil || made.ID == "" {
		t.Fatalf("got %d %s, want a response", status, answer)
	}
	return made.ID, header.Get("X-Tollgate-Upstream")
}

func (r *storedFixture) want(t *testing.T, key, method, path, body string, status int, holds string) {
	t.Helper()
	if got, _, answer := r.ask(t, key, method, path, body); got != status || !strings.Contains(answer, holds) {
		t.Errorf("%s %s %s: got %d %s, want %d with %s", method, path, body, got, answer, status, holds)
	}
}

func TestOnlyTheMakerOfAStoredResponseCanNameIt(t *testing.T) {
	r := startStored(t, subscriptiontest.Limits{})
	id, _ := r.make(t, `{"input":"hi"}`)
	unknown := func(id string) string {
		_, _, answer := r.ask(t, r.other, "GET", responses+"/"+id, "")
		return strings.ReplaceAll(answer, id, "ID")
	}
	cut := func(text string) string { before, _, _ := strings.Cut(text, `"request_id"`); return before }
	if theirs, nobodys := cut(unknown(id)), cut(unknown("resp_invented")); theirs != nobodys {
		t.Errorf("got %s for another's response and %s for an invented one, want the same", theirs, nobodys)
	}
	for _, call := range []struct{ method, path, body string }{
		{"GET", responses + "/" + id, ""}, {"GET", "/v1/responses/" + id, ""}, {"GET", "/openai/responses/" + id + "?api-version=2025-04-01-preview", ""},
		{"GET", responses + "/" + id + "/input_items", ""}, {"POST", responses + "/" + id + "/cancel", ""},
		{"POST", responses, `{"input":"more","previous_response_id":"` + id + `"}`},
		{"POST", responses, `{"input":"more","stream":true,"previous_response_id":"` + id + `"}`},
		{"POST", responses + "/input_tokens", `{"model":"gpt-4.1","input":"more","previous_response_id":"` + id + `"}`},
		{"POST", responses + "/compact", `{"previous_response_id":"` + id + `"}`},
		{"DELETE", responses + "/" + id, ""},
	} {
		r.want(t, r.other, call.method, call.path, call.body, 404, "response_not_found")
	}
	r.want(t, r.key, "GET", responses+"/"+id, "", 200, id)
	r.want(t, r.key, "GET", responses+"/"+id+"/input_items?limit=5", "", 200, "input_text")
	r.want(t, r.key, "POST", responses+"/"+id+"/cancel", "", 400, "Cannot cancel a synchronous response")
	r.want(t, r.key, "POST", responses+"/input_tokens", `{"model":"gpt-4.1","input":"more","previous_response_id":"`+id+`"}`, 200, "input_tokens")
	r.want(t, r.key, "POST", responses, `{"input":"more","previous_response_id":"`+id+`"}`, 200, "completed")
	r.want(t, r.key, "POST", responses, `{"previous_response_id":"`+id+`"}`, 200, "completed")
	r.want(t, r.key, "POST", responses+"/compact", `{"input":"more","previous_response_id":"`+id+`"}`, 200, "encrypted_content")
	r.want(t, r.key, "DELETE", responses+"/"+id, "", 200, `"deleted":true`)
	r.want(t, r.key, "GET", responses+"/"+id, "", 404, "not found")
	for _, odd := range []string{"..", "%2e%2e", "a%2Fb", "a%252Fb", strings.Repeat("a", 300), "resp'1"} {
		if status, _, _ := r.ask(t, r.key, "GET", responses+"/"+odd, ""); status != 404 && status != 405 {
			t.Errorf("id %s: got %d, want 404", odd, status)
		}
	}
}

func TestACallThatNamesAResponseGoesWhereThatIs(t *testing.T) {
	r := startStored(t, subscriptiontest.Limits{})
	id, home := r.make(t, `{"input":"hi"}`)
	for range 3 {
		_, header, answer := r.ask(t, r.key, "POST", responses, `{"input":"more","previous_response_id":"`+id+`"}`)
		if header.Get("X-Tollgate-Upstream") != home {
			t.Errorf("got endpoint %q, want %q, which has the response: %s", header.Get("X-Tollgate-Upstream"), home, answer)
		}
	}
	r.endpoints[home].Behaviour.Status = 503
	r.want(t, r.key, "POST", responses, `{"input":"more","previous_response_id":"`+id+`"}`, 503, "")
	r.want(t, r.key, "GET", responses+"/"+id, "", 503, "")
	_, header, _ := r.ask(t, r.key, "POST", responses, `{"input":"a new one"}`)
	if got := header.Get("X-Tollgate-Upstream"); got == home || got == "" {
		t.Errorf("a call that names no response: got endpoint %q, want the other", got)
	}
}

func TestAStoredResponseCostsOneOperationAndOthersNone(t *testing.T) {
	r := startStored(t, subscriptiontest.Limits{})
	for i, body := range []string{`{"input":"hi"}`, `{"input":"hi","stream":true}`, `{"input":"hi","store":false}`, `{"input":"hi","stream":true,"store":false}`} {
		before := r.puts.Load()
		if status, _, answer := r.ask(t, r.key, "POST", responses, body); status != 200 {
			t.Fatalf("%s: got %d %s, want 200", body, status, answer)
		}
		want := int64(1)
		if i > 1 {
			want = 0
		}
		if got := r.puts.Load() - before; got != want {
			t.Errorf("%s: got %d operations before its end came, want %d", body, got, want)
		}
	}
}

// The answer is paid for. Its id is of no use later, and gets the error of an unknown one.
func TestAResponseIsPassedOnThoughItsOwnerCanNotBeRecorded(t *testing.T) {
	r := startStored(t, subscriptiontest.Limits{})
	down := errors.New("the table is gone")
	r.storeErr.Store(&down)
	id, _ := r.make(t, `{"input":"hi"}`)
	if log := r.logged(); !strings.Contains(log, "can't be named later") || !strings.Contains(log, "the table is gone") || strings.Contains(log, id) {
		t.Errorf("got log %s, want why the response can't be named", log)
	}
	r.want(t, r.key, "GET", responses+"/"+id, "", 503, "responses_unavailable")
	r.storeErr.Store(nil)
	r.want(t, r.key, "GET", responses+"/"+id, "", 404, "response_not_found")
	r.want(t, r.key, "POST", responses, `{"input":"x","previous_response_id":"`+id+`"}`, 404, "response_not_found")
}

func TestStoredContentOfUnknownOwnerIsRefusedUnlessTheTierAllowsIt(t *testing.T) {
	refusing, allowing := startStored(t, subscriptiontest.Limits{}), startStored(t, subscriptiontest.Limits{StoredContent: subscription.StoredAllow})
	for field, body := range map[string]string{
		"conversation":              `{"input":"x","conversation":"conv_1"}`,
		"input[0].id":               `{"input":[{"type":"item_reference","id":"msg_1"}]}`,
		"tools[0].vector_store_ids": `{"input":"x","tools":[{"type":"file_search","vector_store_ids":["vs_1"]}]}`,
	} {
		for _, path := range []string{responses, responses + "/input_tokens", responses + "/compact"} {
			refusing.want(t, refusing.key, "POST", path, strings.Replace(body, "{", `{"model":"gpt-4.1",`, 1), 400, `"code":"stored_content_refused"`)
			refusing.want(t, refusing.key, "POST", path, strings.Replace(body, "{", `{"model":"gpt-4.1",`, 1), 400, `"param":"`+field+`"`)
		}
		allowing.want(t, allowing.key, "POST", responses, body, 200, "completed")
	}
	if billed := refusing.endpoints["a"].Billed() + refusing.endpoints["b"].Billed(); billed != 0 {
		t.Errorf("got %d tokens billed for refused calls, want none", billed)
	}
}

func TestAResponseInTheBackgroundIsRefused(t *testing.T) {
	r := startStored(t, subscriptiontest.Limits{})
	r.want(t, r.key, "POST", responses, `{"input":"x","background":true}`, 400, `"code":"background_not_supported"`)
	if billed := r.endpoints["a"].Billed() + r.endpoints["b"].Billed(); billed != 0 {
		t.Errorf("got %d tokens billed, want none", billed)
	}
}

var yearly = subscriptiontest.Limits{TokenQuota: 1 << 40, TokenQuotaPeriod: limit.Yearly}

// billed returns what both endpoints billed.
func (r *storedFixture) billed() int64 { return r.endpoints["a"].Billed() + r.endpoints["b"].Billed() }

func TestAResponseIsChargedWhatItsLastEventSays(t *testing.T) {
	r := startStored(t, yearly)
	for _, body := range []string{
		`{"input":"hi"}`, `{"input":"hi","stream":true}`, `{"input":"hi","stream":true,"max_output_tokens":16}`, `{"input":"hi","reasoning":{"effort":"low"},"stream":true}`,
	} {
		if status, _, answer := r.ask(t, r.key, "POST", responses, body); status != 200 || strings.Contains(answer, "[DONE]") {
			t.Fatalf("%s: got %d %s, want 200 without [DONE]", body, status, answer)
		}
		r.logged()
		if used, billed := r.consumed(t), r.billed(); used != billed {
			t.Errorf("%s: got %d tokens charged so far, want %d, as billed", body, used, billed)
		}
	}
	id, _ := r.make(t, `{"input":"hi"}`)
	r.logged()
	before := r.consumed(t)
	for range 5 {
		r.want(t, r.key, "GET", responses+"/"+id, "", 200, "usage")
		r.want(t, r.key, "POST", responses+"/input_tokens", `{"model":"gpt-4.1","input":"hi"}`, 200, "input_tokens")
	}
	r.logged()
	if after := r.consumed(t); after != before {
		t.Errorf("got %d tokens charged for reading and counting, want none", after-before)
	}
}

// consumed returns the tokens charged so far, from the log.
func (r *storedFixture) consumed(t *testing.T) (total int64) {
	t.Helper()
	for line := range strings.Lines(r.log.String()) {
		var call struct {
			Prompt     int64 `json:"prompt_tokens"`
			Completion int64 `json:"completion_tokens"`
		}
		if err := json.Unmarshal([]byte(line), &call); err != nil {
			t.Fatal(err)
		}
		total += call.Prompt + call.Completion
	}
	return total
}

// A caller that leaves as soon as it has the id pays, and can still name the response.
func TestACallerThatLeavesPaysAndKeepsItsResponse(t *testing.T) {
	r := startStored(t, yearly, func(c *gateway.Config) { c.SettleTimeout = 10 * time.Second })
	for _, e := range r.endpoints {
		e.Behaviour = fakemodel.Behaviour{Pace: 5 * time.Millisecond, Completion: 60}
	}
	request := r.newRequest(t.Context(), t, "POST", responses, strings.NewReader(`{"input":"hi","stream":true}`))
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	var first [400]byte
	n, err := io.ReadAtLeast(response.Body, first[:], 200)
	if err != nil {
		t.Fatal(err)
	}
	_ = response.Body.Close()
	_, after, _ := strings.Cut(string(first[:n]), `"id":"`)
	id, _, _ := strings.Cut(after, `"`)
	asynctest.Eventually(t, "the call is settled and its response recorded", func() error {
		if r.puts.Load() == 1 && strings.Contains(r.log.String(), `"prompt_tokens"`) {
			return nil
		}
		return fmt.Errorf("got %d responses recorded and log %s", r.puts.Load(), r.log.String())
	})
	if used, billed := r.consumed(t), r.billed(); used != billed {
		t.Errorf("got %d tokens charged, want %d, as billed", used, billed)
	}
	r.want(t, r.key, "GET", responses+"/"+id, "", 200, id)
	r.want(t, r.other, "GET", responses+"/"+id, "", 404, "response_not_found")
}

// Without usage, what the model read of the stored response is bounded by what that
// response was charged.
func TestAConversationIsBoundedByWhatItWasChargedBefore(t *testing.T) {
	r := startStored(t, yearly)
	id, home := r.make(t, `{"input":"`+strings.Repeat("many words ", 400)+`"}`)
	r.logged()
	before, billed := r.consumed(t), r.billed()
	r.endpoints[home].Behaviour.NoUsage = true
	r.want(t, r.key, "POST", responses, `{"input":"more","previous_response_id":"`+id+`"}`, 200, "completed")
	r.logged()
	if charged, cost := r.consumed(t)-before, r.billed()-billed; charged < cost || cost < 800 {
		t.Errorf("got %d tokens charged for a call that cost %d, want no less, and a cost above 800", charged, cost)
	}
}

func TestReserveFullRefusesStoredContent(t *testing.T) {
	r := startStored(t, subscriptiontest.Limits{TokenQuota: 1 << 30, TokenQuotaPeriod: limit.Yearly, Reserve: subscription.ReserveFull, MaxCompletionTokens: 500, StoredContent: subscription.StoredAllow})
	id, _ := r.make(t, `{"input":"hi"}`)
	for field, body := range map[string]string{
		"previous_response_id": `{"input":"more","previous_response_id":"` + id + `"}`,
		"conversation":         `{"input":"more","conversation":"conv_1"}`,
		"tools[0]":             `{"input":"more","tools":[{"type":"web_search"}]}`,
	} {
		r.want(t, r.key, "POST", responses, body, 400, fmt.Sprintf(`"param":%q,"code":"unbounded_request"`, field))
	}
}

// Endpoints of the deployments shape have no deployment in this path: the body names it.
func TestResponsesReachAnEndpointOfTheDeploymentsShape(t *testing.T) {
	var asked []string
	endpoint := &fakemodel.Endpoint{}
	url := serve(t, func(w http.ResponseWriter, r *http.Request) {
		asked = append(asked, r.Method+" "+r.URL.Path+"?"+r.URL.RawQuery)
		endpoint.ServeHTTP(w, r)
	})
	r := startStored(t, subscriptiontest.Limits{}, func(c *gateway.Config) {
		c.Upstream = newUpstream(t, upstream.Timeouts{}, upstream.Endpoint{Name: "d", URL: url, Shape: shape.Deployments, APIVersion: "2025-04-01-preview",
			Models: map[string]upstream.Model{"gpt-4.1": {Name: "own"}}, Key: secret.New(fakemodel.Key)})
	})
	_, _, answer := r.ask(t, r.key, "POST", "/openai/responses?api-version=2025-03-01-preview", `{"model":"gpt-4.1","input":"hi"}`)
	var made struct{ ID, Model string }
	if err := json.Unmarshal([]byte(answer), &made); err != nil || made.Model != "own" {
		t.Fatalf("got %s, want a response of the model own", answer)
	}
	r.want(t, r.key, "GET", responses+"/"+made.ID+"?include[]=reasoning.encrypted_content&stream=true", "", 200, made.ID)
	want := "POST /openai/responses?api-version=2025-04-01-preview|GET /openai/responses/" + made.ID + "?api-version=2025-04-01-preview&include%5B%5D=reasoning.encrypted_content"
	if got := strings.Join(asked, "|"); got != want {
		t.Errorf("got requests %s, want %s", got, want)
	}
}

// The endpoint may have stored what it began.
func TestAResponseThatBreaksOffBelongsToItsMaker(t *testing.T) {
	r := startStored(t, subscriptiontest.Limits{})
	for _, e := range r.endpoints {
		e.Behaviour.CutAfter = 8
	}
	request := r.newRequest(t.Context(), t, "POST", responses, strings.NewReader(`{"input":"hi","stream":true}`))
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	if text, err := io.ReadAll(response.Body); err == nil {
		t.Errorf("got the whole stream %s, want it cut", text)
	}
	response.Body.Close()
	r.logged()
	if got := r.puts.Load(); got != 1 {
		t.Errorf("got %d responses recorded, want 1", got)
	}
}

package gateway_test

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"tollgate/handler/limit"
	"tollgate/handler/operation"
	"tollgate/handler/operation/all"
	"tollgate/handler/operation/chat"
	"tollgate/handler/operation/completion"
	"tollgate/handler/operation/embedding"
	"tollgate/handler/operation/message"
	"tollgate/handler/operation/response"
	"tollgate/handler/shape"
	"tollgate/handler/subscription"
	"tollgate/handler/subscription/subscriptiontest"
)

// A sample is a call of an operation. The conformance suite takes each operation's
// through everything that can happen to a call.
type sample struct {
	operation *operation.Operation
	at        shape.Shape // of the endpoint
	model     string
	fields    string // of the body besides the model
	required  string // a field that the endpoint insists on, and that is a cap; may be empty
	cap       string // the field that caps a completion; empty: the model writes none
	prompt    string // the field with the prompt
	headers   []string
	capless   bool // the model writes what no field caps, so that reserve: full refuses the call
	begun     int  // events of a stream that show that its model began, before any text; 0: text alone does
}

var samples = []sample{
	{&chat.Operation, shape.OpenAI, "DeepSeek-R1", `"messages":[{"role":"user","content":"What time is it, and why?"}]`, "", "max_tokens", "messages", nil, false, 0},
	{&response.Operation, shape.OpenAI, "gpt-4.1", `"input":"What time is it, and why?"`, "", "max_output_tokens", "input", nil, false, 2},
	{&response.Compact, shape.OpenAI, "gpt-4.1", `"input":"What time is it, and why?"`, "", "", "input", nil, true, 0},
	{&message.Operation, shape.Anthropic, "claude-sonnet-5", `"messages":[{"role":"user","content":"What time is it, and why?"}]`, `"max_tokens":90,`, "max_tokens", "messages", []string{"Anthropic-Version", "2023-06-01"}, false, 1},
	{&embedding.Operation, shape.OpenAI, "text-embedding-3-small", `"input":["What time is it?","And why?"]`, "", "", "input", nil, false, 0},
	{&completion.Operation, shape.Deployments, "gpt-3.5-turbo-instruct", `"prompt":"The time is"`, "", "max_tokens", "prompt", nil, false, 0},
}

func TestEveryOperationIsInTheConformanceSuite(t *testing.T) {
	for _, o := range all.Operations {
		count := 0
		for _, s := range samples {
			if s.operation == o {
				count++
			}
		}
		if count != 1 && !o.Free {
			t.Errorf("%s: got %d samples, want one: add it to samples", o.Name, count)
		}
	}
}

func TestEveryOperationIsChargedWhatItsEndpointBills(t *testing.T) {
	eachSample(t, func(t *testing.T, s sample, mode string) {
		for _, reserve := range []subscription.Reserve{subscription.ReserveNone, subscription.ReservePrompt, subscription.ReserveFull} {
			st := startOperation(t, s, subscriptiontest.Limits{Reserve: reserve, MaxCompletionTokens: 200}, "")
			if s.capless && reserve == subscription.ReserveFull {
				status, _, answer, _ := st.call(t, mode)
				st.wantProblem(t, "without a cap", status, answer, 400, "unbounded_request")
				continue
			}
			for _, at := range s.operation.Routes {
				status, header, answer, err := st.do(t.Context(), t, strings.ReplaceAll(at.Path, "{name}", s.model), s.body(mode))
				if status != 200 || err != nil || answer == "" || mode == "" && header.Get("X-Apim-Tokens-Consumed") == "" {
					t.Fatalf("%s: got %d, %v, %v: %s; want a whole answer", at.Path, status, err, header, answer)
				}
				reported := st.wantCharge(t, true)
				if reported.Operation != s.operation.ID || reported.API != string(at.Shape) || reported.Model != s.model || reported.Usage == nil || !reported.Usage.Known || reported.Stream != (mode != "") {
					t.Errorf("%s: got %+v reported, want %s of %s with reported usage", at.Path, reported, s.operation.ID, s.model)
				}
			}
		}
	})
}

// However an answer lacks its usage or, once its model has shown that it began, its end, it
// costs what was billed or more.
func TestNoOperationIsChargedLessThanItsEndpointBills(t *testing.T) {
	eachSample(t, func(t *testing.T, s sample, mode string) {
		behaviours := []string{"no-usage", "odd-usage", "cut-after=6", "fail-after=6"}
		if mode != "" {
			for events := range s.begun {
				behaviours = append(behaviours, fmt.Sprintf("cut-after=%d", events+1), fmt.Sprintf("hidden=50,cut-after=%d", events+1))
			}
		}
		for _, behaviour := range behaviours {
			for _, reserve := range []subscription.Reserve{subscription.ReserveNone, subscription.ReserveFull} {
				if mode == "" && strings.HasPrefix(behaviour, "fail") || s.capless && reserve == subscription.ReserveFull {
					continue // an error in place of an answer costs nothing, and neither does a refusal
				}
				st := startOperation(t, s, subscriptiontest.Limits{Reserve: reserve, MaxCompletionTokens: 200}, behaviour)
				status, _, answer, err := st.call(t, mode)
				whole := strings.HasSuffix(behaviour, "usage")
				if whole && (status != 200 || err != nil) || mode != "" && strings.Contains(behaviour, "cut-after") && err == nil {
					t.Errorf("%s: got %d, %v: %s; want a whole answer only if the endpoint sent one", behaviour, status, err, answer)
				}
				if reported := st.wantCharge(t, false); (whole || strings.Contains(behaviour, "cut-after") && mode != "") && reported.Usage == nil {
					t.Errorf("%s: got nothing charged, want the call charged", behaviour)
				}
			}
		}
	})
}

func TestAnEndpointsErrorPassesAndCostsNothingInEveryOperation(t *testing.T) {
	eachSample(t, func(t *testing.T, s sample, mode string) {
		st := startOperation(t, s, subscriptiontest.Limits{}, "status=503,retry-after=7s")
		status, header, answer, err := st.call(t, mode)
		if status != 503 || err != nil || header.Get("Retry-After") != "7" || !json.Valid([]byte(answer)) {
			t.Errorf("got %d %v, %v: %s; want the endpoint's own 503", status, header, err, answer)
		}
		st.wantCharge(t, true)
	})
}

// A caller that leaves while the endpoint works pays what is billed for that, or more.
func TestACallerThatLeavesPaysInEveryOperation(t *testing.T) {
	eachSample(t, func(t *testing.T, s sample, mode string) {
		for _, behaviour := range []string{"first-token=100ms", "first-token=100ms,no-usage", "first-token=100ms,cut-after=3"} {
			limits := subscriptiontest.Limits{Reserve: subscription.ReserveFull, MaxCompletionTokens: 50}
			if s.capless {
				limits.Reserve = subscription.ReservePrompt
			}
			st := startOperation(t, s, limits, behaviour)
			ctx, leave := context.WithCancel(t.Context())
			go func() {
				<-st.begun
				leave()
			}()
			if status, _, answer, err := st.do(ctx, t, st.path(), s.body(mode)); err == nil {
				t.Fatalf("%s: got %d %s, want the call left", behaviour, status, answer)
			}
			if reported := <-st.reports; reported.Outcome != "client_closed" || reported.Usage == nil {
				t.Errorf("%s: got %+v reported, want client_closed with a charge", behaviour, reported)
			}
			if spent, billed := st.spent(t), st.endpoint.Billed(); spent < billed || spent == 0 {
				t.Errorf("%s: got %d tokens charged, want the %d billed or more", behaviour, spent, billed)
			}
		}
	})
}

// Under reserve: full each completion is capped at what is left, in the operation's own
// field, and the answer keeps to it.
func TestACapIsClampedInEveryOperation(t *testing.T) {
	eachSample(t, func(t *testing.T, s sample, mode string) {
		if s.capless {
			return // refused: see TestEveryOperationIsChargedWhatItsEndpointBills
		}
		s.required = ""
		st := startOperation(t, s, subscriptiontest.Limits{TokenQuota: 250, TokenQuotaPeriod: limit.Yearly, Reserve: subscription.ReserveFull}, "completion=2000")
		status, _, answer, err := st.call(t, mode)
		if status != 200 || err != nil {
			t.Fatalf("got %d, %v: %s; want 200", status, err, answer)
		}
		var sent map[string]any
		if err := json.Unmarshal([]byte(*st.asked.Load()), &sent); err != nil {
			t.Fatal(err)
		}
		most, capped := sent[s.cap].(float64)
		if s.cap != "" && (!capped || most < 16 || most > 250) || s.cap == "" && sent["max_tokens"] != nil {
			t.Errorf("got %v sent, want %q between 16 and 250, or no cap", sent, s.cap)
		}
		st.wantCharge(t, true)
		if spent := st.spent(t); spent > 250 {
			t.Errorf("got %d tokens charged, want 250 at most", spent)
		}
	})
}

func TestEveryOperationIsRefusedInItsOwnForm(t *testing.T) {
	for _, s := range samples {
		t.Run(s.operation.Name, func(t *testing.T) {
			t.Parallel()
			for code, test := range map[string]struct {
				limits subscriptiontest.Limits
				status int
			}{
				"token_limit_exceeded":  {subscriptiontest.Limits{TokensPerMinute: 20, Reserve: subscription.ReserveNone}, 429},
				"token_quota_exceeded":  {subscriptiontest.Limits{TokenQuota: 2, TokenQuotaPeriod: limit.Yearly, Reserve: subscription.ReserveNone}, 403},
				"token_limit_too_small": {subscriptiontest.Limits{TokensPerMinute: 1}, 413},
				"model_not_found":       {subscriptiontest.Limits{Models: []string{"another"}}, 404},
			} {
				st := startOperation(t, s, test.limits, "completion=40,cached=0")
				status, answer := 0, ""
				for range 30 { // until the limit is used up
					if status, _, answer, _ = st.call(t, ""); status != 200 {
						break
					}
					st.serving.Wait()
				}
				billed := st.endpoint.Billed()
				st.wantProblem(t, code, status, answer, test.status, code)
				if again, _, _, _ := st.call(t, ""); again != test.status || st.endpoint.Billed() != billed {
					t.Errorf("%s: got %d, and %d billed; want %d and the endpoint not asked", code, again, st.endpoint.Billed()-billed, test.status)
				}
			}
			st := startOperation(t, s, subscriptiontest.Limits{}, "")
			status, _, answer, _ := st.do(t.Context(), t, st.path(), s.body(""), "Api-Key", subscription.NewKey())
			st.wantProblem(t, "an unknown key", status, answer, 401, "invalid_api_key")
			status, _, answer, _ = st.do(t.Context(), t, st.path(), s.body(""), "Content-Encoding", "gzip")
			st.wantProblem(t, "a compressed body", status, answer, 415, "unsupported_content_encoding")
			for what, body := range s.wrongBodies() {
				status, _, answer, _ = st.do(t.Context(), t, st.path(), body)
				st.wantProblem(t, what, status, answer, 400, "invalid_request")
			}
			if st.endpoint.Billed() != 0 || st.spent(t) != 0 {
				t.Errorf("got %d billed and %d charged for bad calls, want nothing", st.endpoint.Billed(), st.spent(t))
			}
		})
	}
}

func TestShadowRefusesNothingInAnyOperation(t *testing.T) {
	eachSample(t, func(t *testing.T, s sample, mode string) {
		st := startOperation(t, s, subscriptiontest.Limits{TokensPerMinute: 1, Shadow: true}, "")
		status, header, answer, err := st.call(t, mode)
		if status != 200 || err != nil || header.Get("X-Tollgate-Shadow") != "token_limit_too_small" {
			t.Errorf("got %d %v, %v: %s; want 200 that says what shadow prevented", status, header, err, answer)
		}
		st.wantCharge(t, true)
	})
}

func TestEveryOperationIsServedWhileTheCountersAreDownIfItsTierSaysSo(t *testing.T) {
	eachSample(t, func(t *testing.T, s sample, mode string) {
		for _, test := range []struct {
			mode   limit.StoreDown
			status int
		}{{limit.FailOpen, 200}, {limit.Degrade, 200}, {limit.FailClosed, 503}} {
			st := startOperation(t, s, subscriptiontest.Limits{TokensPerMinute: 100_000, OnStoreDown: test.mode}, "")
			st.down.Store(true)
			status, _, answer, err := st.call(t, mode)
			if status != test.status || err != nil {
				t.Errorf("%s: got %d, %v: %s; want %d", test.mode, status, err, answer, test.status)
			}
			reported := <-st.reports
			if test.status == 503 {
				st.wantProblem(t, "closed", status, answer, 503, "counters_unavailable")
			} else if !reported.Degraded || reported.Usage == nil {
				t.Errorf("%s: got %+v reported, want it degraded with its usage", test.mode, reported)
			}
		}
	})
}

// The error for a call that no endpoint of its model serves names the operations that one
// does serve.
func TestTheErrorForAnUnservedOperationNamesTheServedOnes(t *testing.T) {
	for _, s := range samples {
		for _, at := range shape.All {
			if s.operation.Upstream[at] != "" {
				continue
			}
			other := s
			other.at = at
			st := startOperation(t, other, subscriptiontest.Limits{}, "")
			status, _, answer, _ := st.call(t, "")
			st.wantProblem(t, fmt.Sprint(s.operation.Name, " at ", at), status, answer, 404, "operation_not_served")
			for _, o := range all.Operations {
				if named := strings.Contains(answer, " "+o.Name+" at "+o.Routes[0].Path); named != (o.Upstream[at] != "" && !o.Free) {
					t.Errorf("%s at %s: got %s, want it to name %s: %t", s.operation.Name, at, answer, o.Name, !named)
				}
			}
		}
	}
}

package gateway_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"tollgate/handler/gateway"
	"tollgate/handler/limit"
	"tollgate/handler/price"
	"tollgate/handler/shape"
	"tollgate/handler/subscription/subscriptiontest"
	"tollgate/handler/upstream"
)

// callPriced starts a gateway whose tier has rules and whose model, the sample's, has a
// price. It sends one call with more fields, and returns the answer and the number of calls
// that the endpoint got.
func callPriced(t *testing.T, s sample, rules string, terms price.Terms, fields string) (k *pricedFixture, response *http.Response, body string, asked int64) {
	t.Helper()
	var calls atomic.Int64
	k = &pricedFixture{}
	change := k.priced(t)
	model := reportingUsage(25, 0, 0, 9)
	if s.at == shape.Anthropic {
		model = answer(`{"type":"message","role":"assistant","content":[{"type":"text","text":"hi"}],"stop_reason":"end_turn",` +
			`"usage":{"input_tokens":25,"cache_read_input_tokens":0,"cache_creation_input_tokens":0,"output_tokens":9}}`)
	}
	at := upstream.Endpoint{Name: "a", Priority: 1, Shape: s.at, URL: serve(t, func(w http.ResponseWriter, r *http.Request) {
		calls.Add(1)
		model(w, r)
	})}
	k.fixture = start(t, subscriptiontest.Limits{}, nil, change, withEndpoints(t, at), func(c *gateway.Config) { c.Models = []string{s.model} })
	putPrice(t, k.prices, s.model, terms)
	k.setRules(t, rules, "")
	response, body = k.post(t, s.operation.Routes[0].Path, s.body(fields), s.headers...)
	return k, response, body, calls.Load()
}

// dearerFields are fields with values that ask for dearer tokens, by operation.
var dearerFields = map[string]map[string][]string{
	"chat completions":             {"service_tier": {`"priority"`, `"scale"`, `"canary"`}},
	"responses":                    {"service_tier": {`"priority"`, `"scale"`, `"canary"`}},
	"compactions of conversations": {"service_tier": {`"priority"`, `"scale"`, `"canary"`}},
	"messages":                     {"service_tier": {`"priority"`, `"canary"`}, "speed": {`"fast"`, `"canary"`}, "inference_geo": {`"us"`, `"canary"`}},
}

// TestACallForDearerTokensIsRefused where a limit in money applies and the price doesn't
// cover them: the endpoint would bill more than the price says.
func TestACallForDearerTokensIsRefused(t *testing.T) {
	tested := 0
	for _, s := range samples {
		if dearerFields[s.operation.Name] == nil {
			continue
		}
		tested++
		for _, reserve := range []string{"none", "prompt", "full"} {
			if s.capless && reserve == "full" {
				continue // refused whatever it asks for
			}
			for _, mode := range s.modes() {
				for field, values := range dearerFields[s.operation.Name] {
					for _, value := range values {
						fields := fmt.Sprintf(`%s"%s":%s,`, mode, field, value)
						t.Run(s.operation.Name+" "+reserve+" "+fields, func(t *testing.T) { wantDearerRefused(t, s, budgetRules(reserve, limit.Nano), field, fields) })
					}
				}
			}
		}
	}
	if tested != len(dearerFields) {
		t.Errorf("got samples of %d operations, want %d", tested, len(dearerFields))
	}
}

// wantDearerRefused checks that a call with fields is refused for one of them, before its
// endpoint or the budget gets it.
func wantDearerRefused(t *testing.T, s sample, rules, field, fields string) {
	k, response, body, asked := callPriced(t, s, rules, price.Terms{Rates: fractionalTariff.Rates}, fields)
	var refusal struct {
		Error struct{ Code, Param, Message string }
	}
	if err := json.Unmarshal([]byte(body), &refusal); err != nil {
		t.Fatalf("got %s, want JSON", body)
	}
	e := refusal.Error
	if response.StatusCode != 403 || e.Code != "price_incomplete" || e.Param != field || asked != 0 || response.Header.Get("X-Should-Retry") != "false" {
		t.Errorf("got %d %s and %d calls of the endpoint, want 403 price_incomplete for %s, not to be retried, and none", response.StatusCode, body, asked, field)
	}
	fix := fmt.Sprintf("tollgate price set %s --partial %s --accept-partial", s.model, field)
	if !strings.Contains(e.Message, "Leave it out") || !strings.Contains(e.Message, fix) || strings.Contains(body, "canary") {
		t.Errorf("got the message %q, want the caller's fix and %q, and nothing of the field's value", e.Message, fix)
	}
	wantLeft(t, "after the refusal", k.limitsLeft(t), map[string]string{"budget quota": `"1"`})
}

// TestEachDearerFieldOfACallMustBeAccepted by its name. The refusal names the first that isn't.
func TestEachDearerFieldOfACallMustBeAccepted(t *testing.T) {
	messages := samples[slices.IndexFunc(samples, func(s sample) bool { return s.operation.Name == "messages" })]
	const both = `"inference_geo":"us","speed":"fast",`
	for name, c := range map[string]struct {
		fields  string
		accepts []string
		refused string // the field
	}{
		"both accepted":                        {both, []string{"inference_geo", "speed"}, ""},
		"the second accepted":                  {both, []string{"speed"}, "inference_geo"},
		"the first accepted":                   {both, []string{"inference_geo"}, "speed"},
		"another accepted":                     {both, []string{"service_tier", "input_cost_per_token_priority"}, "inference_geo"},
		"one, accepted":                        {`"speed":"fast",`, []string{"speed"}, ""},
		"one, a name that ends like the other": {`"speed":"fast",`, []string{"x_speed", "speed_priority"}, "speed"},
		"normal values":                        {`"speed":"standard","inference_geo":"global","service_tier":"standard_only",`, nil, ""},
		"null":                                 {`"speed":null,"inference_geo":null,"service_tier":null,`, nil, ""},
		"the account's tier":                   {`"service_tier":"auto",`, nil, ""},
		"in metadata":                          {`"metadata":{"speed":"fast"},`, nil, ""},
	} {
		t.Run(name, func(t *testing.T) {
			terms := price.Terms{Rates: fractionalTariff.Rates, Partial: c.accepts, AcceptPartial: len(c.accepts) > 0}
			k, response, body, asked := callPriced(t, messages, budgetRules("full", limit.Nano), terms, c.fields)
			if c.refused != "" {
				if want := fmt.Sprintf(`"param":%q`, c.refused); response.StatusCode != 403 || !strings.Contains(body, want) || asked != 0 {
					t.Errorf("got %d %s with %d calls of the endpoint, want 403 with %s, and none", response.StatusCode, body, asked, want)
				}
				return
			}
			paid := fractionalTariff.worth(kinds{prompt: 25, completion: 9}, "")
			if got := k.charged(); response.StatusCode != 200 || asked != 1 || got != paid {
				t.Errorf("got %d %s with %d calls of the endpoint and a cost of %d, want 200 with one, and %d", response.StatusCode, body, asked, got, paid)
			}
		})
	}
}

// TestADearerTierOfServicePassesOnlyWhereItsCostIsNotLimitedOrAccepted by an operator.
func TestADearerTierOfServicePassesOnlyWhereItsCostIsNotLimitedOrAccepted(t *testing.T) {
	const shadow = `{"limits":[{"name":"budget","unit":"cost","quota":"1","period":"Yearly","shadow":true},{"name":"calls","unit":"calls","perMinute":9}]}`
	const wholeTier = `{"shadow":true,"limits":[{"name":"budget","unit":"cost","quota":"1","period":"Yearly"}]}`
	plain := price.Terms{Rates: fractionalTariff.Rates}
	covering := func(names ...string) price.Terms {
		return price.Terms{Rates: fractionalTariff.Rates, Partial: names, AcceptPartial: true}
	}
	paid := fractionalTariff.worth(kinds{prompt: 25, completion: 9}, "")
	for name, c := range map[string]struct {
		rules, tier string
		terms       price.Terms
		status      int
		shadow      string
		charged     bool
	}{
		"no limit in money":           {`{"limits":[{"name":"calls","unit":"calls","perMinute":9}]}`, `"priority"`, plain, 200, "", false},
		"one of another model":        {`{"limits":[{"name":"budget","unit":"cost","quota":"1","period":"Yearly","models":["gpt-4o"]}]}`, `"priority"`, plain, 200, "", false},
		"in shadow":                   {shadow, `"priority"`, plain, 200, "price_incomplete", false},
		"in a tier in shadow":         {wholeTier, `"canary"`, plain, 200, "price_incomplete", false},
		"accepted":                    {budgetRules("full", limit.Nano), `"priority"`, covering("service_tier"), 200, "", true},
		"accepted by a list's name":   {budgetRules("full", limit.Nano), `"priority"`, covering("input_cost_per_token_priority"), 200, "", true},
		"accepted, an unknown tier":   {budgetRules("full", limit.Nano), `"canary"`, covering("service_tier"), 200, "", true},
		"accepted for another tier":   {budgetRules("full", limit.Nano), `"canary"`, covering("input_cost_per_token_priority"), 403, "", true},
		"something else accepted":     {budgetRules("full", limit.Nano), `"priority"`, covering("a_cost"), 403, "", true},
		"free, but for the tier":      {budgetRules("full", limit.Nano), `"priority"`, price.Terms{Rates: price.Rates{Prompt: "0", Completion: "0"}}, 403, "", true},
		"the normal tier":             {budgetRules("full", limit.Nano), `"default"`, plain, 200, "", true},
		"the account's tier":          {budgetRules("full", limit.Nano), `"auto"`, plain, 200, "", true},
		"a cheaper tier":              {budgetRules("full", limit.Nano), `"flex"`, plain, 200, "", true},
		"null":                        {budgetRules("full", limit.Nano), `null`, plain, 200, "", true},
		"a value of the wrong type":   {budgetRules("full", limit.Nano), `{"tier":"priority"}`, plain, 400, "", true},
		"the same, no limit in money": {`{}`, `1`, plain, 400, "", false},
	} {
		t.Run(name, func(t *testing.T) {
			k, response, body, asked := callPriced(t, samples[0], c.rules, c.terms, `"max_tokens":9,"service_tier":`+c.tier+`,`)
			if passed := c.status == 200; response.StatusCode != c.status || response.Header.Get("X-Tollgate-Shadow") != c.shadow || asked != map[bool]int64{true: 1}[passed] {
				t.Fatalf("got %d, shadow %q: %s, with %d calls of the endpoint; want %d and %q", response.StatusCode, response.Header.Get("X-Tollgate-Shadow"), body, asked, c.status, c.shadow)
			}
			if c.status != 200 {
				return
			}
			if got := k.charged(); got != paid {
				t.Errorf("the ledger: got a cost of %d, want %d", got, paid)
			}
			if !c.charged {
				return
			}
			wantLeft(t, "of the budget", k.limitsLeft(t), map[string]string{"budget quota": `"` + limit.FormatMoney(limit.Nano-paid) + `"`})
		})
	}
}

// TestTheFixOfADearerTierKeepsWhatIsAccepted: setting a price's partial replaces it.
func TestTheFixOfADearerTierKeepsWhatIsAccepted(t *testing.T) {
	terms := price.Terms{Rates: fractionalTariff.Rates, Partial: []string{"a_cost", "b_cost"}, AcceptPartial: true}
	_, _, body, _ := callPriced(t, samples[0], budgetRules("none", limit.Nano), terms, `"service_tier":"priority",`)
	if want := "--partial a_cost,b_cost,service_tier --accept-partial"; !strings.Contains(body, want) {
		t.Errorf("got %s, want %q in it", body, want)
	}
}

package gateway_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"tollgate/handler/gateway"
	"tollgate/handler/limit"
	"tollgate/handler/operation/message"
	"tollgate/handler/price"
	pricemem "tollgate/handler/price/memstore"
	"tollgate/handler/shape"
	"tollgate/handler/subscription/subscriptiontest"
	"tollgate/handler/upstream"
)

// A tariff is a price as a test states it: of a million tokens, by kind, and by endpoint
// what they are multiplied by.
type tariff struct {
	price.Rates
	multipliers map[string]price.Decimal
}

// kinds are the tokens of a call by what is paid for them.
type kinds struct{ prompt, cached, shortWrite, longWrite, untold, completion int64 }

func kindsOf(u limit.Usage) kinds {
	return kinds{prompt: u.PromptTokens - u.CachedTokens - u.CacheWriteTokens - u.EstimatedPromptTokens, cached: u.CachedTokens,
		shortWrite: u.ShortCacheWriteTokens, longWrite: u.CacheWriteTokens - u.ShortCacheWriteTokens, untold: u.EstimatedPromptTokens, completion: u.CompletionTokens}
}

// worth computes in fractions what tokens cost at an endpoint, in billionths rounded up
// once. The tariff must have all rates.
func (f tariff) worth(k kinds, endpoint string) int64 {
	of := func(d price.Decimal) *big.Rat {
		r, ok := new(big.Rat).SetString(string(d))
		if !ok {
			panic(fmt.Sprintf("%q is no number", d))
		}
		return r
	}
	dearest := slices.MaxFunc([]*big.Rat{of(f.Prompt), of(f.Cached), of(f.CacheWrite), of(f.CacheWriteLong)}, (*big.Rat).Cmp)
	long := slices.MaxFunc([]*big.Rat{of(f.CacheWrite), of(f.CacheWriteLong)}, (*big.Rat).Cmp)
	sum := new(big.Rat)
	for _, part := range []struct {
		tokens int64
		rate   *big.Rat
	}{{k.prompt, of(f.Prompt)}, {k.cached, of(f.Cached)}, {k.shortWrite, of(f.CacheWrite)}, {k.longWrite, long}, {k.untold, dearest}, {k.completion, of(f.Completion)}} {
		sum.Add(sum, new(big.Rat).Mul(big.NewRat(part.tokens, 1), part.rate))
	}
	if by, named := f.multipliers[endpoint]; named {
		sum.Mul(sum, of(by))
	}
	sum.Mul(sum, big.NewRat(limit.Nano, 1_000_000))
	whole, rest := new(big.Int).QuoRem(sum.Num(), sum.Denom(), new(big.Int))
	if rest.Sign() > 0 {
		whole.Add(whole, big.NewInt(1))
	}
	return whole.Int64()
}

// putPrice stores a model's price from a day long ago on.
func putPrice(t testing.TB, store *pricemem.Store, model string, terms price.Terms) {
	t.Helper()
	p := price.Price{Model: model, From: "2020-01-01", Terms: terms}
	p.Normalize()
	if err := p.Validate(); err != nil {
		t.Fatal(err)
	}
	if _, err := store.Put(t.Context(), p); err != nil {
		t.Fatal(err)
	}
}

// A pricedFixture is a fixture whose calls have prices.
type pricedFixture struct {
	*fixture
	prices  *pricemem.Store
	ledger  *totals
	reports *callReports
}

// priced returns a configuration's change that prices calls.
func (k *pricedFixture) priced(t *testing.T) func(*gateway.Config) {
	k.prices, k.ledger, k.reports = new(pricemem.Store), new(totals), &callReports{more: make(chan struct{}, 1000)}
	if _, err := k.prices.PutCurrency(t.Context(), price.Currency{Code: "EUR"}); err != nil {
		t.Fatal(err)
	}
	return func(c *gateway.Config) {
		c.Prices, c.Ledger, c.Telemetry = price.NewBook(k.prices), k.ledger, k.reports
	}
}

// startPriced starts a gateway whose tier has rules as operators give them, in front of endpoints.
// The demo's model costs what the tariff says; nil: it has no price.
func startPriced(t *testing.T, rules string, f *tariff, endpoints ...upstream.Endpoint) *pricedFixture {
	t.Helper()
	k := &pricedFixture{}
	change := k.priced(t)
	k.fixture = start(t, subscriptiontest.Limits{}, nil, func(c *gateway.Config) {
		change(c)
		withEndpoints(t, endpoints...)(c)
	})
	if f != nil {
		putPrice(t, k.prices, "DeepSeek-R1", price.Terms{Rates: f.Rates, Multipliers: f.multipliers})
	}
	k.setRules(t, rules, "")
	return k
}

// charged returns what the ledger says that calls cost, once they have ended.
func (k *pricedFixture) charged() (nano int64) {
	k.serving.Wait()
	for _, sum := range k.ledger.recorded() {
		nano += sum.Cost
	}
	return nano
}

// budgetRules returns rules with one limit, a yearly budget.
func budgetRules(reserve string, nano int64) string {
	return fmt.Sprintf(`{"reserve":%q,"limits":[{"name":"budget","unit":"cost","quota":"%s","period":"Yearly"}]}`, reserve, limit.FormatMoney(nano))
}

// openAIEndpoint returns an endpoint of OpenAI's shape.
func openAIEndpoint(t *testing.T, name string, priority int, model http.HandlerFunc) upstream.Endpoint {
	return upstream.Endpoint{Name: name, Priority: priority, Shape: shape.OpenAI, URL: serve(t, model)}
}

// reportingUsage answers with a usage in OpenAI's form.
func reportingUsage(prompt, cached, written, completion int64) http.HandlerFunc {
	return answer(fmt.Sprintf(`{"choices":[{"message":{"role":"assistant","content":"hi"},"finish_reason":"stop"}],"usage":{"prompt_tokens":%d,"completion_tokens":%d,`+
		`"prompt_tokens_details":{"cached_tokens":%d,"cache_write_tokens":%d}}}`, prompt, completion, cached, written))
}

// fractionalTariff is a tariff with prices that leave fractions everywhere.
var fractionalTariff = tariff{price.Rates{Prompt: "0.333333333", Cached: "0.07", CacheWrite: "0.41", CacheWriteLong: "0.666666667", Completion: "1.234567891"},
	map[string]price.Decimal{"cheap": "0.9", "dear": "1.100000001"}}

func TestACallCostsExactlyWhatItsTokensCost(t *testing.T) {
	k := startPriced(t, budgetRules("prompt", limit.Nano), &fractionalTariff, openAIEndpoint(t, "dear", 1, reportingUsage(1000, 300, 200, 77)))
	if response, body := k.post(t, demoPath, demo); response.StatusCode != 200 {
		t.Fatalf("got %d %s, want 200", response.StatusCode, body)
	}
	want := fractionalTariff.worth(kinds{prompt: 500, cached: 300, longWrite: 200, completion: 77}, "dear")
	if u := k.reports.next().Usage; u == nil || u.Cost != want || !u.Priced || u.Currency != "EUR" {
		t.Errorf("telemetry: got %+v, want a cost of %d EUR", u, want)
	}
	if got := k.charged(); got != want {
		t.Errorf("the ledger: got a cost of %d, want %d", got, want)
	}
	wantLeft(t, "of the budget", k.limitsLeft(t), map[string]string{"budget quota": `"` + limit.FormatMoney(limit.Nano-want) + `"`})
	if cost := fmt.Sprintf(`"cost":"%s"`, limit.FormatMoney(want)); !strings.Contains(k.logged(), cost) {
		t.Errorf("the log: got %s, want %s in it", k.logged(), cost)
	}
}

// TestUsageShowsTheCost: GET /usage has the ledger's costs, as decimals of the currency.
func TestUsageShowsTheCost(t *testing.T) {
	k := &pricedFixture{}
	change := k.priced(t)
	k.fixture = start(t, subscriptiontest.Limits{}, reportingUsage(1000, 0, 0, 50), func(c *gateway.Config) {
		recorder := c.Ledger
		change(c)
		c.Ledger, c.Models = recorder, []string{"DeepSeek-R1", "other"}
	})
	putPrice(t, k.prices, "DeepSeek-R1", price.Terms{Rates: price.Rates{Prompt: "2", Completion: "10"}})
	k.post(t, demoPath, demo)
	k.post(t, demoPath, strings.Replace(demo, "DeepSeek-R1", "other", 1))
	k.serving.Wait()
	var decoded struct {
		Currency string
		Total    struct {
			Cost     string
			Unpriced int
		}
	}
	if _, body := k.get(t, "/usage"); json.Unmarshal([]byte(body), &decoded) != nil || decoded.Currency != "EUR" || decoded.Total.Cost != "0.0025" || decoded.Total.Unpriced != 1 {
		t.Errorf("/usage: got %s, want 0.0025 EUR and 1 call without a price", body)
	}
}

// TestEveryOperationIsPriced: each operation's call, whether its usage is reported or bounded,
// costs exactly what its tokens do, the untold ones at their dearest.
func TestEveryOperationIsPriced(t *testing.T) {
	const cut = "cut-after=6"
	eachSample(t, func(t *testing.T, s sample, mode string) {
		for _, behaviour := range []string{"", "cached=2", "cache-write=2", "no-usage", cut, "cached=2," + cut} {
			k := &pricedFixture{}
			change := k.priced(t)
			st := startOperation(t, s, subscriptiontest.Limits{MaxCompletionTokens: 200}, behaviour, func(c *gateway.Config) {
				own := c.Telemetry
				change(c)
				c.Telemetry = own
			})
			putPrice(t, k.prices, s.model, price.Terms{Rates: fractionalTariff.Rates})
			if _, _, _, err := st.call(t, mode); err != nil && !strings.HasSuffix(behaviour, cut) {
				t.Fatalf("%q: got error %v, want none", behaviour, err)
			}
			u := st.wantCharge(t, false).Usage
			if u == nil {
				if !strings.HasSuffix(behaviour, cut) {
					t.Errorf("%q: got no usage, want some", behaviour)
				}
				continue
			}
			if want := fractionalTariff.worth(kindsOf(u.Usage), ""); u.Cost != want || want == 0 {
				t.Errorf("%q: got the cost %d of %+v, want %d", behaviour, u.Cost, u.Usage, want)
			}
			if u.Known != (u.EstimatedPromptTokens == 0) && !strings.HasSuffix(behaviour, cut) {
				t.Errorf("%q: got %d tokens of the prompt estimated, usage known %t; want none estimated only where usage is known", behaviour, u.EstimatedPromptTokens, u.Known)
			}
			if reportsPrompt := s.operation == &message.Operation && mode != ""; reportsPrompt && behaviour == "cached=2,"+cut && (u.CachedTokens != 2 || u.EstimatedPromptTokens != 0) {
				t.Errorf("a stream that reported its prompt and was cut: got %d cached tokens and %d estimated, want 2 and none", u.CachedTokens, u.EstimatedPromptTokens)
			}
		}
	})
}

// TestShortAndLongCacheWritesHaveTheirOwnPrices, where an Anthropic endpoint tells them
// apart.
func TestShortAndLongCacheWritesHaveTheirOwnPrices(t *testing.T) {
	k := &pricedFixture{}
	change := k.priced(t)
	endpoint := upstream.Endpoint{Shape: shape.Anthropic, URL: serve(t, answer(`{"type":"message","role":"assistant","content":[{"type":"text","text":"hi"}],"stop_reason":"end_turn",`+
		`"usage":{"input_tokens":10,"cache_creation_input_tokens":90,"cache_creation":{"ephemeral_5m_input_tokens":60,"ephemeral_1h_input_tokens":30},"cache_read_input_tokens":7,"output_tokens":3}}`))}
	k.fixture = start(t, subscriptiontest.Limits{}, nil, func(c *gateway.Config) {
		change(c)
		withEndpoints(t, endpoint)(c)
		c.Models = []string{"claude-sonnet-5"}
	})
	putPrice(t, k.prices, "claude-sonnet-5", price.Terms{Rates: fractionalTariff.Rates})
	if response, body := k.post(t, "/v1/messages", messageBody, "Anthropic-Version", "2023-06-01"); response.StatusCode != 200 {
		t.Fatalf("got %d %s, want 200", response.StatusCode, body)
	}
	if got, want := k.charged(), fractionalTariff.worth(kinds{prompt: 10, cached: 7, shortWrite: 60, longWrite: 30, completion: 3}, ""); got != want {
		t.Errorf("got a cost of %d, want %d", got, want)
	}
}

// TestTheDearestPriceIsReservedAndTheServingEndpointsIsCharged.
func TestTheDearestPriceIsReservedAndTheServingEndpointsIsCharged(t *testing.T) {
	const all = 1_000_000_000
	for reserve, c := range map[string]struct {
		held  kinds // reserved, in the tokens of the dearest endpoint
		least int64 // reserved, where there is no tokens to hold
	}{"none": {least: 1}, "prompt": {held: kinds{untold: promptOf(t)}}, "full": {held: kinds{untold: promptOf(t), completion: 120}}} {
		var left atomic.Value
		var k *pricedFixture
		k = startPriced(t, budgetRules(reserve, all), &fractionalTariff,
			openAIEndpoint(t, "cheap", 1, func(w http.ResponseWriter, r *http.Request) {
				left.Store(k.limitsLeft(t)["budget quota"])
				reportingUsage(25, 0, 0, 9)(w, r)
			}), openAIEndpoint(t, "dear", 2, reportingUsage(25, 0, 0, 9)))
		if response, body := k.post(t, demoPath, with(`"max_tokens":120,`)); response.StatusCode != 200 {
			t.Fatalf("%s: got %d %s, want 200", reserve, response.StatusCode, body)
		}
		held := max(c.least, fractionalTariff.worth(c.held, "dear"))
		if got, want := left.Load(), `"`+limit.FormatMoney(all-held)+`"`; got != want {
			t.Errorf("%s: got %v left during the call, want %s", reserve, got, want)
		}
		paid := fractionalTariff.worth(kinds{prompt: 25, completion: 9}, "cheap")
		wantLeft(t, reserve+", after the call", k.limitsLeft(t), map[string]string{"budget quota": `"` + limit.FormatMoney(all-paid) + `"`})
	}
}

// TestPromptsOfFailedEndpointsCostTheDearest: a 408 is billed for the prompt that was read.
func TestPromptsOfFailedEndpointsCostTheDearest(t *testing.T) {
	late := refusing(http.StatusRequestTimeout, `{"error":{"code":"Timeout"}}`)
	read := fractionalTariff.worth(kinds{untold: promptOf(t)}, "dear")
	for name, c := range map[string]struct {
		reserve string
		second  http.HandlerFunc
		want    int64
	}{
		"another answers":         {"prompt", reportingUsage(25, 0, 0, 9), read + fractionalTariff.worth(kinds{prompt: 25, completion: 9}, "dear")},
		"none answers":            {"prompt", refusing(http.StatusServiceUnavailable, ""), read},
		"no other is asked: full": {"full", reportingUsage(25, 0, 0, 9), read},
	} {
		k := startPriced(t, budgetRules(c.reserve, limit.Nano), &fractionalTariff, openAIEndpoint(t, "cheap", 1, late), openAIEndpoint(t, "dear", 2, c.second))
		k.post(t, demoPath, with(`"max_tokens":120,`))
		if got := k.charged(); got != c.want {
			t.Errorf("%s: got a cost of %d, want %d", name, got, c.want)
		}
	}
}

// TestACallWhoseCostNobodyKnowsIsRefused under a limit in money, and only there.
func TestACallWhoseCostNobodyKnowsIsRefused(t *testing.T) {
	partial := price.Terms{Rates: fractionalTariff.Rates, Partial: []string{"input_cost_per_token_above_200k_tokens"}}
	accepted := partial
	accepted.AcceptPartial = true
	const shadow = `{"limits":[{"name":"budget","unit":"cost","quota":"1","period":"Yearly","shadow":true},{"name":"calls","unit":"calls","perMinute":9}]}`
	for name, c := range map[string]struct {
		rules    string
		terms    *price.Terms
		fail     bool
		status   int
		code     string // of the refusal, or that shadow prevented
		says     string
		unpriced int64
	}{
		"unpriced":                {budgetRules("prompt", limit.Nano), nil, false, 403, "model_not_priced", "tollgate price set DeepSeek-R1", 0},
		"unpriced, full":          {budgetRules("full", limit.Nano), nil, false, 403, "model_not_priced", "tollgate price set DeepSeek-R1", 0},
		"partial":                 {budgetRules("none", limit.Nano), &partial, false, 403, "price_incomplete", "input_cost_per_token_above_200k_tokens", 0},
		"partial, accepted":       {budgetRules("none", limit.Nano), &accepted, false, 200, "", "", 0},
		"unreachable":             {budgetRules("none", limit.Nano), &partial, true, 503, "prices_unavailable", "", 0},
		"unpriced, in shadow":     {shadow, nil, false, 200, "model_not_priced", "", 1},
		"partial, in shadow":      {shadow, &partial, false, 200, "price_incomplete", "", 0},
		"unreachable, in shadow":  {shadow, &partial, true, 200, "prices_unavailable", "", 1},
		"unpriced, without limit": {`{"limits":[{"name":"calls","unit":"calls","perMinute":9}]}`, nil, false, 200, "", "", 1},
		"unreachable, without":    {`{}`, &partial, true, 200, "", "", 1},
		"of another model":        {`{"limits":[{"name":"budget","unit":"cost","quota":"1","period":"Yearly","models":["gpt-4o"]}]}`, nil, false, 200, "", "", 1},
	} {
		t.Run(name, func(t *testing.T) {
			k := startPriced(t, c.rules, nil, openAIEndpoint(t, "a", 1, reportingUsage(25, 0, 0, 9)))
			if c.terms != nil {
				putPrice(t, k.prices, "DeepSeek-R1", *c.terms)
			}
			if c.fail {
				k.prices.Fail(errors.New("down"))
			}
			response, body := k.post(t, demoPath, demo)
			var decoded struct{ Error struct{ Code string } }
			_ = json.Unmarshal([]byte(body), &decoded) // an answer has none
			got := decoded.Error.Code
			if response.StatusCode == 200 {
				got = response.Header.Get("X-Tollgate-Shadow")
			}
			if response.StatusCode != c.status || got != c.code || !strings.Contains(body, c.says) {
				t.Errorf("got %d %s: %s; want %d %s and %q", response.StatusCode, got, body, c.status, c.code, c.says)
			}
			k.serving.Wait()
			if sum := k.ledger.recorded()[[2]string{"team-a", "DeepSeek-R1"}]; sum.Unpriced != c.unpriced || c.unpriced > 0 && sum.Cost != 0 {
				t.Errorf("the ledger: got %d calls without a price and a cost of %d, want %d and no cost with them", sum.Unpriced, sum.Cost, c.unpriced)
			}
			if u := k.reports.next().Usage; u != nil && u.Priced != (c.unpriced == 0) {
				t.Errorf("telemetry: got priced %t, want %t", u.Priced, c.unpriced == 0)
			}
		})
	}
}

// A changing price list can be replaced at once.
type changing struct{ atomic.Pointer[price.Book] }

func (c *changing) Quote(ctx context.Context, model string, endpoints []string, now time.Time) (price.Quote, error) {
	return c.Load().Quote(ctx, model, endpoints, now)
}

func (c *changing) Currency(ctx context.Context) (string, error) { return c.Load().Currency(ctx) }

// TestACallKeepsThePriceOfItsStart: the next call has the new one.
func TestACallKeepsThePriceOfItsStart(t *testing.T) {
	books := make([]*price.Book, 2)
	for i, prompt := range []price.Decimal{"1", "7"} {
		store := new(pricemem.Store)
		putPrice(t, store, "DeepSeek-R1", price.Terms{Rates: price.Rates{Prompt: prompt, Completion: "0"}})
		books[i] = price.NewBook(store)
	}
	var prices changing
	prices.Store(books[0])
	l := &totals{}
	b := start(t, subscriptiontest.Limits{}, func(w http.ResponseWriter, r *http.Request) {
		prices.Store(books[1])
		reportingUsage(100, 0, 0, 9)(w, r)
	}, func(c *gateway.Config) { c.Prices, c.Ledger = &prices, l })
	b.setRules(t, budgetRules("full", limit.Nano), "")
	for i, want := range []int64{100_000, 800_000} {
		b.post(t, demoPath, with(`"max_tokens":9,`))
		b.serving.Wait()
		if got := l.recorded()[[2]string{"team-a", "DeepSeek-R1"}].Cost; got != want {
			t.Errorf("after call %d: got a cost of %d in all, want %d", i+1, got, want)
		}
	}
}

package gateway_test

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"tollgate/handler/gateway"
	"tollgate/handler/limit"
	"tollgate/handler/price"
	"tollgate/handler/subscription/subscriptiontest"
)

// TestAFreeModelIsServedWhateverIsLeft of a budget.
func TestAFreeModelIsServedWhateverIsLeft(t *testing.T) {
	for _, reserve := range []string{"none", "prompt", "full"} {
		k := &pricedFixture{}
		change := k.priced(t)
		k.fixture = start(t, subscriptiontest.Limits{}, reportingUsage(1000, 0, 0, 9), func(c *gateway.Config) {
			change(c)
			c.Models = []string{"DeepSeek-R1", "own"}
		})
		putPrice(t, k.prices, "DeepSeek-R1", price.Terms{Rates: price.Rates{Prompt: "1", Completion: "1"}})
		putPrice(t, k.prices, "own", price.Terms{Rates: price.Rates{Prompt: "0", Completion: "0"}})
		k.setRules(t, budgetRules(reserve, 800_000), "")
		const capped = `"max_tokens":9,`
		for i, want := range []int{200, 403} { // the first owes the budget
			if response, body := k.post(t, demoPath, with(capped)); response.StatusCode != want {
				t.Errorf("%s, call %d: got %d %s, want %d", reserve, i, response.StatusCode, body, want)
			}
		}
		spent := k.charged()
		if response, body := k.post(t, demoPath, strings.Replace(with(capped), "DeepSeek-R1", "own", 1)); response.StatusCode != 200 {
			t.Errorf("%s, a free call: got %d %s, want 200", reserve, response.StatusCode, body)
		}
		if got := k.charged(); got != spent {
			t.Errorf("%s: got a cost of %d after a free call, want the %d of before", reserve, got, spent)
		}
		if sum := k.ledger.recorded()[[2]string{"team-a", "own"}]; sum.Calls != 1 || sum.Unpriced != 0 {
			t.Errorf("%s, a free call in the ledger: got %+v, want one call that had a price", reserve, sum)
		}
	}
}

// TestACallWithoutACapGetsWhatItsMoneyAllows, in full.
func TestACallWithoutACapGetsWhatItsMoneyAllows(t *testing.T) {
	prompt := promptOf(t)
	f := tariff{price.Rates{Prompt: "2", Cached: "2", CacheWrite: "2", CacheWriteLong: "2", Completion: "10"}, map[string]price.Decimal{"a": "3"}}
	for name, c := range map[string]struct {
		rules string
		money int64
		want  string
	}{
		"money for 100 tokens":         {"", f.worth(kinds{prompt: prompt, completion: 100}, "a"), "max_tokens=100"},
		"a billionth less":             {"", f.worth(kinds{prompt: prompt, completion: 100}, "a") - 1, "max_tokens=99"},
		"the tier's cap is lower":      {`"maxCompletionTokens":60,`, f.worth(kinds{prompt: prompt, completion: 100}, "a"), "max_tokens=60"},
		"another limit allows less":    {"tokens", f.worth(kinds{prompt: prompt, completion: 100}, "a"), fmt.Sprintf("max_tokens=%d", 80-prompt)},
		"money for 16 tokens, no less": {"", f.worth(kinds{prompt: prompt, completion: 16}, "a"), "max_tokens=16"},
		"too little":                   {"", f.worth(kinds{prompt: prompt, completion: 16}, "a") - 1, ""},
	} {
		var asked caps
		k := startPriced(t, strings.Replace(budgetRules("full", c.money), "{", "{"+strings.TrimPrefix(c.rules, "tokens"), 1), &f, openAIEndpoint(t, "a", 1, recording(t, &asked, 25)))
		if c.rules == "tokens" {
			k.setRules(t, strings.Replace(budgetRules("full", c.money), `"limits":[`, `"limits":[{"name":"tokens","unit":"tokens","perMinute":80},`, 1), "")
		}
		response, body := k.post(t, demoPath, demo)
		if status := response.StatusCode; (status == 200) != (c.want != "") || asked.String() != c.want || status != 200 && (status != 413 || !strings.Contains(body, "cost_limit_too_small")) {
			t.Errorf("%s: got %d with %q asked for: %s; want %q, or 413 cost_limit_too_small", name, status, asked, body, c.want)
		}
	}
}

// A spender is an endpoint that uses any part of what calls may use, and adds up what that
// costs.
type spender struct {
	tariff
	prompt int64 // the most tokens that it says a prompt has
	mu     sync.Mutex
	dice   *rand.Rand
	billed int64 // in billionths
}

// serve answers as an endpoint of a name.
func (s *spender) serve(name string, fails int) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		var asked struct {
			MaxTokens   int64 `json:"max_tokens"`
			N           int64
			ServiceTier string `json:"service_tier"`
		}
		body, err := io.ReadAll(r.Body)
		if err != nil || json.Unmarshal(body, &asked) != nil {
			w.WriteHeader(http.StatusTeapot)
			return
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.dice.IntN(100) < fails {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		most := min(cmp.Or(asked.MaxTokens, 1000), 1<<20) * max(asked.N, 1)   // without a cap where they are free
		prompt, completion := 1+s.dice.Int64N(s.prompt), max(1, s.part(most)) // none isn't believed of an answer with text
		cached := s.part(prompt)
		written := s.part(prompt - cached)
		cost := s.worth(kinds{prompt: prompt - cached - written, cached: cached, longWrite: written, completion: completion}, name)
		if asked.ServiceTier == "priority" {
			cost *= 2
		}
		s.billed += cost
		reportingUsage(prompt, cached, written, completion)(w, r)
	}
}

// part returns a part of a number: often none or all of it.
func (s *spender) part(of int64) int64 {
	switch s.dice.IntN(3) {
	case 0:
		return of
	case 1:
		return 0
	}
	return s.dice.Int64N(of + 1)
}

// anyRate returns a price, at times a tiny or a free one.
func anyRate(dice *rand.Rand) price.Decimal {
	return price.Format(dice.Int64N([]int64{2, 1000, limit.Nano, 100 * limit.Nano}[dice.IntN(4)]))
}

// TestReserveFullNeverExceedsABudget: whatever calls cost, use and fail with, and however many come at
// once, the sum charged is that of what they used, to the billionth, and never exceeds the
// budget.
func TestReserveFullNeverExceedsABudget(t *testing.T) {
	rounds := 60
	if testing.Short() {
		rounds = 20
	}
	var admitted, refused atomic.Int64
	for seed := range uint64(rounds) {
		dice := rand.New(rand.NewPCG(seed, 22))
		f := tariff{price.Rates{Prompt: anyRate(dice), Cached: anyRate(dice), CacheWrite: anyRate(dice), CacheWriteLong: anyRate(dice), Completion: anyRate(dice)},
			map[string]price.Decimal{"a": price.Format(dice.Int64N(3 * limit.Nano)), "b": price.Format(1 + dice.Int64N(limit.Nano))}}
		s := &spender{tariff: f, prompt: promptOf(t), dice: rand.New(rand.NewPCG(seed, 23))}
		dear := max(f.worth(kinds{untold: s.prompt, completion: 200}, "a"), f.worth(kinds{untold: s.prompt, completion: 200}, "b"))
		money := 1 + dice.Int64N(10*dear+1)
		k := startPriced(t, budgetRules("full", money), &f, openAIEndpoint(t, "a", 1, s.serve("a", 20)), openAIEndpoint(t, "b", 2, s.serve("b", 5)))
		bodies := []string{demo, with(`"max_tokens":40,`), with(`"max_tokens":200,`), with(`"n":2,"max_tokens":30,`), with(`"n":3,`), with(`"service_tier":"priority","max_tokens":40,`)}
		var callers sync.WaitGroup
		for caller := range 6 {
			callers.Go(func() {
				for i := range 5 {
					response, _ := k.post(t, demoPath, bodies[(caller+i+int(seed))%len(bodies)])
					if response.StatusCode == 200 {
						admitted.Add(1)
					} else {
						refused.Add(1)
					}
				}
			})
		}
		callers.Wait()
		got := k.charged()
		if got != s.billed || got > money {
			t.Fatalf("seed %d, %+v: got a cost of %d, want the %d billed, and at most the budget, %d", seed, f, got, s.billed, money)
		}
		if dear > 0 {
			wantLeft(t, fmt.Sprintf("seed %d", seed), k.limitsLeft(t), map[string]string{"budget quota": `"` + limit.FormatMoney(money-got) + `"`})
		}
	}
	t.Logf("%d calls answered, %d not", admitted.Load(), refused.Load())
	if admitted.Load() < int64(rounds) || refused.Load() < int64(rounds) {
		t.Errorf("got %d calls answered and %d not, want %d of each or more", admitted.Load(), refused.Load(), rounds)
	}
}

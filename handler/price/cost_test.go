package price_test

import (
	"fmt"
	"math"
	"math/big"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"tollgate/handler/limit"
	"tollgate/handler/price"
)

var (
	noon     = time.Date(2026, 11, 30, 12, 0, 0, 0, time.UTC)
	currency = price.Currency{Code: "EUR", Version: 1}
)

// since returns a price of the model m from a date.
func since(from price.Date, r price.Rates) price.Price {
	return price.Price{Model: "m", From: from, Terms: price.Terms{Rates: r}, Version: 1}
}

// quote returns the quote of a price for some endpoints.
func quote(t testing.TB, p price.Price, endpoints ...string) price.Quote {
	t.Helper()
	q, err := price.NewList(price.Snapshot{Currency: currency, Prices: []price.Price{p}}).Quote("m", endpoints, noon)
	if err != nil {
		t.Fatalf("Quote: got error %v, want none", err)
	}
	return q
}

func TestACallCostsTheSumOfItsTokensTimesTheirRates(t *testing.T) {
	full := price.Rates{Prompt: "2.5", Cached: "0.25", CacheWrite: "3.125", CacheWriteLong: "5", Completion: "10"}
	for name, c := range map[string]struct {
		rates price.Rates
		usage limit.Usage
		want  int64
	}{
		"nothing":                        {full, limit.Usage{}, 0},
		"a token":                        {full, limit.Usage{PromptTokens: 1}, 2_500},
		"all kinds":                      {full, limit.Usage{PromptTokens: 1000, CachedTokens: 300, CacheWriteTokens: 200, CompletionTokens: 100}, 500*2_500 + 300*250 + 200*5_000 + 100*10_000},
		"writes for a short time":        {full, limit.Usage{PromptTokens: 1000, CacheWriteTokens: 200, ShortCacheWriteTokens: 150}, 800*2_500 + 150*3_125 + 50*5_000},
		"a prompt of unknown kinds":      {full, limit.Usage{PromptTokens: 1000, CachedTokens: 300, EstimatedPromptTokens: 600}, 100*2_500 + 300*250 + 600*5_000},
		"more unknown than there are":    {full, limit.Usage{PromptTokens: 10, CachedTokens: 3, EstimatedPromptTokens: 9}, 3*250 + 7*5_000},
		"long writes cost no less":       {price.Rates{Prompt: "1", CacheWrite: "3", CacheWriteLong: "2", Completion: "0"}, limit.Usage{PromptTokens: 2, CacheWriteTokens: 2, ShortCacheWriteTokens: 1}, 6_000},
		"more short writes than writes":  {full, limit.Usage{PromptTokens: 10, CacheWriteTokens: 4, ShortCacheWriteTokens: 5}, 6*2_500 + 4*5_000},
		"reasoning is in the completion": {full, limit.Usage{CompletionTokens: 100, ReasoningTokens: 90}, 100 * 10_000},
		"more cached than prompt tokens": {full, limit.Usage{PromptTokens: 10, CachedTokens: 11}, 10 * 2_500},
		"no rate for cached":             {price.Rates{Prompt: "2", CacheWrite: "3", Completion: "0"}, limit.Usage{PromptTokens: 10, CachedTokens: 10}, 10 * 3_000},
		"no rate for cache writes":       {price.Rates{Prompt: "2", Cached: "1", Completion: "0"}, limit.Usage{PromptTokens: 10, CacheWriteTokens: 10}, 10 * 2_000},
		"no rate for long cache writes":  {price.Rates{Prompt: "2", CacheWrite: "1", Completion: "0"}, limit.Usage{PromptTokens: 10, CacheWriteTokens: 10}, 10 * 2_000},
		"free":                           {price.Rates{Prompt: "0", Completion: "0"}, limit.Usage{PromptTokens: 1e6, CachedTokens: 5, CompletionTokens: 1e6}, 0},
		"less than a billionth":          {price.Rates{Prompt: "0.000000001", Completion: "0.000000001"}, limit.Usage{PromptTokens: 1, CompletionTokens: 1}, 1},
		"rounded up once, not by kind":   {price.Rates{Prompt: "0.0005", Completion: "0.0005"}, limit.Usage{PromptTokens: 1, CompletionTokens: 1}, 1},
		"more than an int64 holds":       {price.Rates{Prompt: "1000000000", Completion: "1000000000"}, limit.Usage{PromptTokens: math.MaxInt64, CompletionTokens: math.MaxInt64}, limit.Unlimited},
		"negative counts count as 0":     {full, limit.Usage{PromptTokens: -5, CompletionTokens: 1}, 10_000},
	} {
		t.Run(name, func(t *testing.T) {
			if got := quote(t, since("2026-01-01", c.rates)).Cost(c.usage, "e"); got != c.want {
				t.Errorf("Cost(%+v): got %d, want %d", c.usage, got, c.want)
			}
		})
	}
}

func TestAnEndpointMultipliesThePrices(t *testing.T) {
	p := since("2026-01-01", price.Rates{Prompt: "1", Completion: "1"})
	p.Multipliers = map[string]price.Decimal{"zone": "1.1", "own": "0", "third": "0.333333333"}
	q := quote(t, p, "zone", "plain")
	for endpoint, want := range map[string]int64{"zone": 1_100, "own": 0, "plain": 1_000, "third": 334} {
		if got := q.Cost(limit.Usage{PromptTokens: 1}, endpoint); got != want {
			t.Errorf("a token at %s: got %d, want %d", endpoint, got, want)
		}
	}
	for _, c := range []struct {
		endpoints []string
		want      int64
	}{{[]string{"zone", "plain"}, 1_100}, {[]string{"plain", "own"}, 1_000}, {[]string{"own"}, 0}, {[]string{"third", "own"}, 334}, {nil, 1_100}} {
		if got := quote(t, p, c.endpoints...).MaxCost(1, 0); got != c.want {
			t.Errorf("MaxCost(1, 0) at %v: got %d, want %d", c.endpoints, got, c.want)
		}
	}
}

// decimals draws rates of all magnitudes.
func decimals() *rapid.Generator[price.Decimal] {
	return rapid.Custom(func(t *rapid.T) price.Decimal {
		return price.Format(rapid.OneOf(rapid.Int64Range(0, 100), rapid.Int64Range(0, 100*limit.Nano), rapid.Int64Range(0, 1_000_000_000*limit.Nano)).Draw(t, "nano"))
	})
}

// optional draws a rate or none.
func optional() *rapid.Generator[price.Decimal] {
	return rapid.OneOf(rapid.Just(price.Decimal("")), decimals())
}

// amounts draws numbers of tokens of all magnitudes.
func amounts() *rapid.Generator[int64] {
	return rapid.OneOf(rapid.Int64Range(0, 10), rapid.Int64Range(0, 10_000_000), rapid.Int64Range(0, math.MaxInt64))
}

// A drawn call has a price, a usage, and the endpoint that served it.
type drawn struct {
	price     price.Price
	endpoints []string
	usage     limit.Usage
	endpoint  string
}

func draw(t *rapid.T) (d drawn) {
	d.price = since("2026-01-01", price.Rates{Prompt: decimals().Draw(t, "prompt"), Cached: optional().Draw(t, "cached"), CacheWrite: optional().Draw(t, "write"),
		CacheWriteLong: optional().Draw(t, "long"), Completion: decimals().Draw(t, "completion")})
	d.endpoints = []string{"a", "b", "c"}
	d.price.Multipliers = map[string]price.Decimal{"a": decimals().Draw(t, "a"), "b": price.Format(rapid.Int64Range(0, 3*limit.Nano).Draw(t, "b"))}
	d.endpoint = rapid.SampledFrom(d.endpoints).Draw(t, "endpoint")
	d.usage.PromptTokens, d.usage.CompletionTokens = amounts().Draw(t, "prompt tokens"), amounts().Draw(t, "completion tokens")
	d.usage.CachedTokens = rapid.Int64Range(0, d.usage.PromptTokens).Draw(t, "cached tokens")
	d.usage.CacheWriteTokens = rapid.Int64Range(0, d.usage.PromptTokens-d.usage.CachedTokens).Draw(t, "written tokens")
	d.usage.EstimatedPromptTokens = rapid.Int64Range(0, d.usage.PromptTokens-d.usage.CachedTokens-d.usage.CacheWriteTokens).Draw(t, "untold tokens")
	d.usage.ShortCacheWriteTokens = rapid.Int64Range(0, d.usage.CacheWriteTokens).Draw(t, "written for a short time")
	return d
}

// number returns the exact value of a Decimal.
func number(d price.Decimal) *big.Rat {
	r, ok := new(big.Rat).SetString(string(d))
	if !ok {
		panic(fmt.Sprintf("%q is no number", d))
	}
	return r
}

func dearestOf(rates ...*big.Rat) *big.Rat { return slices.MaxFunc(rates, (*big.Rat).Cmp) }

// exact computes the call's cost in billionths with unlimited precision, and rounds it up
// once.
func (d drawn) exact() *big.Int {
	r := d.price.Rates
	dearest := new(big.Rat)
	for _, rate := range []price.Decimal{r.Prompt, r.Cached, r.CacheWrite, r.CacheWriteLong} {
		if rate != "" {
			dearest = dearestOf(dearest, number(rate))
		}
	}
	or := func(rate price.Decimal) *big.Rat {
		if rate == "" {
			return dearest
		}
		return number(rate)
	}
	long := dearestOf(or(r.CacheWriteLong), or(r.CacheWrite))
	sum := new(big.Rat)
	for _, part := range []struct {
		tokens int64
		rate   *big.Rat
	}{{d.usage.PromptTokens - d.usage.CachedTokens - d.usage.CacheWriteTokens - d.usage.EstimatedPromptTokens, number(r.Prompt)},
		{d.usage.EstimatedPromptTokens, dearestOf(number(r.Prompt), or(r.Cached), or(r.CacheWrite), long)}, {d.usage.CachedTokens, or(r.Cached)},
		{d.usage.ShortCacheWriteTokens, or(r.CacheWrite)}, {d.usage.CacheWriteTokens - d.usage.ShortCacheWriteTokens, long}, {d.usage.CompletionTokens, number(r.Completion)}} {
		sum.Add(sum, new(big.Rat).Mul(new(big.Rat).SetInt64(part.tokens), part.rate))
	}
	if by, named := d.price.Multipliers[d.endpoint]; named {
		sum.Mul(sum, number(by))
	}
	sum.Mul(sum, big.NewRat(limit.Nano, 1_000_000))
	whole, rest := new(big.Int).QuoRem(sum.Num(), sum.Denom(), new(big.Int))
	if rest.Sign() > 0 {
		whole.Add(whole, big.NewInt(1))
	}
	if most := big.NewInt(limit.Unlimited); whole.Cmp(most) > 0 {
		return most
	}
	return whole
}

func TestACostIsExact(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		d := draw(rt)
		got := quote(t, d.price, d.endpoints...).Cost(d.usage, d.endpoint)
		if want := d.exact(); big.NewInt(got).Cmp(want) != 0 {
			rt.Fatalf("%+v: got %d, want %s", d, got, want)
		}
	})
}

func TestNoCallCostsMoreThanMaxCost(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		d := draw(rt)
		q := quote(t, d.price, d.endpoints...)
		if got, most := q.Cost(d.usage, d.endpoint), q.MaxCost(d.usage.PromptTokens, d.usage.CompletionTokens); got > most {
			rt.Fatalf("%+v: got a cost of %d, want at most %d", d, got, most)
		}
	})
}

func TestCompletionWithinIsTheLargestThatFits(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		d := draw(rt)
		q := quote(t, d.price, d.endpoints...)
		amount := amounts().Draw(rt, "amount")
		got := q.CompletionWithin(amount, d.usage.PromptTokens)
		switch most := q.MaxCost(d.usage.PromptTokens, got); {
		case got < 0 || got > limit.Unlimited:
			rt.Fatalf("%+v: got %d tokens, want 0 to limit.Unlimited", d, got)
		case got == limit.Unlimited: // completions are free, or nothing bounds them
		case got > 0 && most > amount:
			rt.Fatalf("%+v: got %d tokens, which may cost %d; want at most %d", d, got, most, amount)
		case q.MaxCost(d.usage.PromptTokens, got+1) <= amount:
			rt.Fatalf("%+v: got %d tokens, want more: one more stays within %d", d, got, amount)
		}
	})
}

func TestCompletionWithinRoundsDownToWholeTokens(t *testing.T) {
	p := since("2026-01-01", price.Rates{Prompt: "2", Completion: "10"})
	q := quote(t, p)
	for _, c := range []struct{ amount, prompt, want int64 }{
		{1_000_000, 100, 80}, {1_009_999, 100, 80}, {1_010_000, 100, 81}, {200_000, 100, 0}, {199_999, 100, 0}, {0, 0, 0}, {-1, 0, 0},
		{limit.Unlimited, 100, limit.Unlimited},
	} {
		if got := q.CompletionWithin(c.amount, c.prompt); got != c.want {
			t.Errorf("CompletionWithin(%d, %d): got %d, want %d", c.amount, c.prompt, got, c.want)
		}
	}
	p.Completion = "0"
	if got := quote(t, p).CompletionWithin(1, 0); got != limit.Unlimited {
		t.Errorf("free completions: got %d, want limit.Unlimited", got)
	}
}

func TestACallIsFreeOnlyIfItCostsNothingAtAnyEndpoint(t *testing.T) {
	free, cheap := price.Rates{Prompt: "0", Completion: "0"}, price.Rates{Prompt: "0", Completion: "0.000000001"}
	for name, c := range map[string]struct {
		rates     price.Rates
		own       price.Decimal // what the endpoint own multiplies by
		endpoints []string
		want      bool
	}{
		"all rates are 0":                           {free, "2", []string{"own", "other"}, true},
		"completions cost something":                {cheap, "2", []string{"own"}, false},
		"long cache writes cost":                    {price.Rates{Prompt: "0", CacheWriteLong: "1", Completion: "0"}, "2", []string{"own"}, false},
		"a multiplier of 0":                         {cheap, "0", []string{"own"}, true},
		"a multiplier of 0 at one of two endpoints": {cheap, "0", []string{"own", "other"}, false},
	} {
		p := since("2026-01-01", c.rates)
		p.Multipliers = map[string]price.Decimal{"own": c.own}
		if got := quote(t, p, c.endpoints...).Free(); got != c.want {
			t.Errorf("%s: got free %t, want %t", name, got, c.want)
		}
	}
}

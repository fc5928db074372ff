package price

import (
	"math/bits"
	"slices"
	"time"

	"tollgate/handler/limit"
)

// rates are a Price's rates in billionths for a million tokens, with those that it leaves
// out filled in.
type rates struct{ prompt, cached, cacheWrite, cacheWriteLong, completion int64 }

// rates returns the rates in billionths. Those of prompt tokens that are missing are the
// dearest of those that aren't. Long cache writes cost no less than short ones, because
// their rate is also that of writes of which usage doesn't say how long they are for.
func (r *Rates) rates() (known rates, err error) {
	var f [5]int64
	dearest := int64(0)
	for i, kind := range r.kinds() {
		if kind.rate == "" && !kind.required {
			continue
		}
		if f[i], err = kind.rate.Nano(); err != nil {
			return rates{}, err
		}
		if kind.name != "completion" {
			dearest = max(dearest, f[i])
		}
	}
	or := func(rate Decimal, nano int64) int64 {
		if rate == "" {
			return dearest
		}
		return nano
	}
	known = rates{prompt: f[0], cached: or(r.Cached, f[1]), cacheWrite: or(r.CacheWrite, f[2]), completion: f[4]}
	known.cacheWriteLong = max(known.cacheWrite, or(r.CacheWriteLong, f[3]))
	return known, nil
}

// Filled returns the rates with those that are missing filled in by what they cost. The
// error is that of a rate that isn't valid.
func (r Rates) Filled() (Rates, error) {
	known, err := r.rates()
	if err != nil {
		return Rates{}, err
	}
	return Rates{Prompt: Format(known.prompt), Cached: Format(known.cached), CacheWrite: Format(known.cacheWrite), CacheWriteLong: Format(known.cacheWriteLong),
		Completion: Format(known.completion)}, nil
}

func (r rates) dearestPrompt() int64 { return max(r.prompt, r.cached, r.cacheWriteLong) }

// A Quote is the price of one call: found when it starts, used until it ends. Its methods
// compute whole billionths of the currency's unit, rounded up once, and return
// limit.Unlimited for more.
type Quote struct {
	// Currency is the code of the amounts' currency.
	Currency string
	// Until is when the model's next price begins; zero: none is known.
	Until time.Time
	// Unaccepted names what the model's price depends on beside the rates, where no
	// operator has accepted that: a call may cost more than Most and Cost say. A limit in
	// cost can't hold for it.
	Unaccepted []string

	rates       rates
	multipliers map[string]int64
	dearest     int64 // the largest multiplier of the endpoints that may serve the call
}

// Cost returns what a call costs that used u at an endpoint.
func (q Quote) Cost(u limit.Usage, endpoint string) int64 {
	u = u.WithoutImpossibleParts()
	cost := product{}.
		plus(u.PromptTokens-u.CachedTokens-u.CacheWriteTokens-u.EstimatedPromptTokens, q.rates.prompt).
		plus(u.EstimatedPromptTokens, q.rates.dearestPrompt()).
		plus(u.CachedTokens, q.rates.cached).
		plus(u.ShortCacheWriteTokens, q.rates.cacheWrite).
		plus(u.CacheWriteTokens-u.ShortCacheWriteTokens, q.rates.cacheWriteLong).
		plus(u.CompletionTokens, q.rates.completion)
	return cost.nano(q.multiplier(endpoint))
}

// Most returns the most that a call can cost whose prompt and completions have at most so
// many tokens, whatever their kinds, at any of the endpoints that may serve it.
func (q Quote) Most(prompt, completion int64) int64 {
	return product{}.plus(prompt, q.rates.dearestPrompt()).plus(completion, q.rates.completion).nano(q.dearest)
}

// Free reports whether a call costs nothing, whatever it uses, at each of the endpoints
// that may serve it.
func (q Quote) Free() bool { return q.Most(1, 1) == 0 }

// CompletionWithin returns the largest completion, in tokens, with which Most stays
// within an amount; limit.Unlimited if completions cost nothing, and 0 if even the prompt
// costs more.
func (q Quote) CompletionWithin(amount, prompt int64) int64 {
	if q.rates.completion == 0 || q.dearest == 0 || amount >= limit.Unlimited {
		return limit.Unlimited
	}
	high, low := bits.Mul64(uint64(max(amount, 0)), scale)
	within := product{high, low}.dividedBy(uint64(q.dearest))
	left, short := within.minus(product{}.plus(prompt, q.rates.dearestPrompt()))
	if short {
		return 0
	}
	whole := left.dividedBy(uint64(q.rates.completion))
	if whole.high > 0 {
		return limit.Unlimited
	}
	return int64(min(whole.low, limit.Unlimited))
}

// multiplier returns an endpoint's multiplier in billionths.
func (q Quote) multiplier(endpoint string) int64 {
	if by, named := q.multipliers[endpoint]; named {
		return by
	}
	return limit.Nano
}

// largest returns the largest multiplier of some endpoints; of none, the largest there is.
func largest(multipliers map[string]int64, endpoints []string) int64 {
	q := Quote{multipliers: multipliers}
	if len(endpoints) == 0 {
		endpoints = append(endpoints, "")
		for endpoint := range multipliers {
			endpoints = append(endpoints, endpoint)
		}
	}
	all := make([]int64, len(endpoints))
	for i, endpoint := range endpoints {
		all[i] = q.multiplier(endpoint)
	}
	return slices.Max(all)
}

// scale is what a number of tokens times a rate times a multiplier is divided by to get
// billionths of the currency's unit: rates are for a million tokens, multipliers in
// billionths.
const scale = 1_000_000 * limit.Nano

// A product is a whole number of 128 bits.
type product struct{ high, low uint64 }

// plus returns the number plus tokens times a rate. Tokens below 0 count as 0. No sum of a
// few of them has more than 128 bits, since a rate has at most 60.
func (p product) plus(tokens, rate int64) product {
	high, low := bits.Mul64(uint64(max(tokens, 0)), uint64(rate))
	var carry uint64
	p.low, carry = bits.Add64(p.low, low, 0)
	p.high, _ = bits.Add64(p.high, high, carry)
	return p
}

// minus returns the number minus another. short reports that the other is larger.
func (p product) minus(other product) (rest product, short bool) {
	low, borrow := bits.Sub64(p.low, other.low, 0)
	high, borrow := bits.Sub64(p.high, other.high, borrow)
	return product{high, low}, borrow != 0
}

// dividedBy returns the number divided by another, rounded down.
func (p product) dividedBy(by uint64) product {
	high, rest := bits.Div64(0, p.high, by)
	low, _ := bits.Div64(rest, p.low, by)
	return product{high, low}
}

// nano returns the number times a multiplier, divided by scale and rounded up;
// limit.Unlimited if that is more.
func (p product) nano(multiplier int64) int64 {
	over, high := bits.Mul64(p.high, uint64(multiplier))
	carried, low := bits.Mul64(p.low, uint64(multiplier))
	low, carry := bits.Add64(low, scale-1, 0)
	high, more := bits.Add64(high, carried, carry)
	if over > 0 || more > 0 || high >= scale {
		return limit.Unlimited
	}
	whole, _ := bits.Div64(high, low, scale)
	return int64(min(whole, limit.Unlimited))
}

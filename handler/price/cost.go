package price

import (
	"math/bits"
	"slices"
	"strings"
	"time"

	"tollgate/handler/limit"
)

// nanoRates are the rates of a million tokens in billionths, none of them missing.
type nanoRates struct{ prompt, cached, cacheWrite, cacheWriteLong, completion int64 }

// inNano returns the rates in billionths. A missing rate of prompt tokens becomes the
// highest one given. Long cache writes cost no less than short ones, because their rate also
// applies to writes whose duration the usage doesn't state.
func (r *Rates) inNano() (filled nanoRates, err error) {
	var given [5]int64
	dearest := int64(0)
	for i, kind := range r.kinds() {
		if kind.rate == "" && !kind.required {
			continue
		}
		if given[i], err = kind.rate.Nano(); err != nil {
			return nanoRates{}, err
		}
		if kind.name != "completion" {
			dearest = max(dearest, given[i])
		}
	}
	or := func(rate Decimal, nano int64) int64 {
		if rate == "" {
			return dearest
		}
		return nano
	}
	filled = nanoRates{prompt: given[0], cached: or(r.Cached, given[1]), cacheWrite: or(r.CacheWrite, given[2]), completion: given[4]}
	filled.cacheWriteLong = max(filled.cacheWrite, or(r.CacheWriteLong, given[3]))
	return filled, nil
}

// Filled returns the rates with each missing one replaced by the rate that is charged
// instead, or an error if a rate is invalid.
func (r Rates) Filled() (Rates, error) {
	nano, err := r.inNano()
	if err != nil {
		return Rates{}, err
	}
	return Rates{Prompt: Format(nano.prompt), Cached: Format(nano.cached), CacheWrite: Format(nano.cacheWrite), CacheWriteLong: Format(nano.cacheWriteLong),
		Completion: Format(nano.completion)}, nil
}

// dearestPrompt returns the highest rate of prompt tokens.
func (r nanoRates) dearestPrompt() int64 { return max(r.prompt, r.cached, r.cacheWriteLong) }

// A Quote is the price of one call, from its start to its end. Its methods return whole
// billionths of the currency's unit, rounded up once. A larger cost than limit.Unlimited is
// returned as that.
type Quote struct {
	// Currency is the currency's code.
	Currency string
	// Until is when the model's next price begins; zero: no later price is stored.
	Until time.Time
	// Unaccepted lists what the model's price depends on besides the rates, unless an
	// operator has accepted that. If it isn't empty, the call may cost more than Cost and
	// MaxCost return, so no limit in cost can be kept.
	Unaccepted []string
	// Accepted lists the same if an operator has accepted it.
	Accepted []string

	rates       nanoRates
	multipliers map[string]int64
	dearest     int64 // the largest multiplier of the endpoints that may serve the call
}

// Cost returns the cost of a call that used u and was served by an endpoint.
func (q Quote) Cost(u limit.Usage, endpoint string) int64 {
	u = u.WithoutImpossibleParts()
	cost := uint128{}.
		plus(u.PromptTokens-u.CachedTokens-u.CacheWriteTokens-u.EstimatedPromptTokens, q.rates.prompt).
		plus(u.EstimatedPromptTokens, q.rates.dearestPrompt()).
		plus(u.CachedTokens, q.rates.cached).
		plus(u.ShortCacheWriteTokens, q.rates.cacheWrite).
		plus(u.CacheWriteTokens-u.ShortCacheWriteTokens, q.rates.cacheWriteLong).
		plus(u.CompletionTokens, q.rates.completion)
	return cost.nano(q.multiplier(endpoint))
}

// MaxCost returns the most that a call can cost whose prompt and completions have at most so
// many tokens, whatever their kinds, at any of the endpoints that may serve it.
func (q Quote) MaxCost(prompt, completion int64) int64 {
	return uint128{}.plus(prompt, q.rates.dearestPrompt()).plus(completion, q.rates.completion).nano(q.dearest)
}

// Covers reports whether an operator has accepted that calls count by the rates although a
// field of theirs asks for dearer tokens: by the field's name or, if priority is set, which
// means the service tier of that name, by one that ends in _priority, as in LiteLLM's list.
func (q Quote) Covers(field string, priority bool) bool {
	return slices.ContainsFunc(q.Accepted, func(name string) bool {
		return name == field || priority && strings.HasSuffix(name, "_priority")
	})
}

// Free reports whether a call costs nothing, however many tokens it uses, at any endpoint
// that may serve it.
func (q Quote) Free() bool { return q.MaxCost(1, 1) == 0 }

// CompletionWithin returns the largest completion, in tokens, with which Most stays
// within an amount; limit.Unlimited if completions cost nothing, and 0 if even the prompt
// costs more.
func (q Quote) CompletionWithin(amount, prompt int64) int64 {
	if q.rates.completion == 0 || q.dearest == 0 || amount >= limit.Unlimited {
		return limit.Unlimited
	}
	high, low := bits.Mul64(uint64(max(amount, 0)), scale)
	within := uint128{high, low}.dividedBy(uint64(q.dearest))
	left, short := within.minus(uint128{}.plus(prompt, q.rates.dearestPrompt()))
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

// largestMultiplier returns the largestMultiplier multiplier of some endpoints; of none, the largestMultiplier there is.
func largestMultiplier(multipliers map[string]int64, endpoints []string) int64 {
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

// scale divides tokens × rate × multiplier to give billionths of the currency's unit: rates
// are for a million tokens, and multipliers are in billionths.
const scale = 1_000_000 * limit.Nano

// A uint128 is a whole number of 128 bits.
type uint128 struct{ high, low uint64 }

// plus returns the number plus tokens × rate. Negative tokens count as 0. The sum of a few
// such products fits into 128 bits, because a rate has at most 60.
func (p uint128) plus(tokens, rate int64) uint128 {
	high, low := bits.Mul64(uint64(max(tokens, 0)), uint64(rate))
	var carry uint64
	p.low, carry = bits.Add64(p.low, low, 0)
	p.high, _ = bits.Add64(p.high, high, carry)
	return p
}

// minus returns the number minus another. short reports that the other is larger.
func (p uint128) minus(other uint128) (rest uint128, short bool) {
	low, borrow := bits.Sub64(p.low, other.low, 0)
	high, borrow := bits.Sub64(p.high, other.high, borrow)
	return uint128{high, low}, borrow != 0
}

// dividedBy returns the number divided by another, rounded down.
func (p uint128) dividedBy(by uint64) uint128 {
	high, rest := bits.Div64(0, p.high, by)
	low, _ := bits.Div64(rest, p.low, by)
	return uint128{high, low}
}

// nano returns the number times a multiplier, divided by scale and rounded up, and
// limit.Unlimited if the result is larger.
func (p uint128) nano(multiplier int64) int64 {
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

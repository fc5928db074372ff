package limit

import (
	"math/bits"
)

// Unit is what a limit counts.
type Unit string

// The units.
const (
	Tokens           Unit = "tokens"            // prompt and completion, by Weights
	PromptTokens     Unit = "prompt-tokens"     // cached ones included
	CompletionTokens Unit = "completion-tokens" // reasoning included
	Calls            Unit = "calls"
	Cost             Unit = "cost" // money, in billionths of the deployment's currency
)

// Weights say how much a token of each kind counts in a limit of unit Tokens, in
// thousandths: at 1000 it counts as one.
type Weights struct {
	Prompt     int64 // of tokens that the endpoint neither read from its cache nor wrote to it
	Cached     int64
	CacheWrite int64
	Completion int64 // of tokens other than reasoning
	Reasoning  int64
}

// EvenWeights count every token as one.
var EvenWeights = Weights{1000, 1000, 1000, 1000, 1000}

// A Measure says what a limit counts of a call.
type Measure struct {
	Unit    Unit
	Weights Weights // used if Unit is Tokens
}

// Charge returns the amount that a call with this usage is charged. A charge by weights
// is rounded up once. For Cost, it is u.Cost.
func (m Measure) Charge(u Usage) int64 {
	switch m.Unit {
	case PromptTokens:
		return u.PromptTokens
	case CompletionTokens:
		return u.CompletionTokens
	case Calls:
		return 1
	case Cost:
		return u.Cost
	}
	w := m.Weights
	return weigh(
		part{u.PromptTokens - u.CachedTokens - u.CacheWriteTokens, w.Prompt}, part{u.CachedTokens, w.Cached}, part{u.CacheWriteTokens, w.CacheWrite},
		part{u.CompletionTokens - u.ReasoningTokens, w.Completion}, part{u.ReasoningTokens, w.Reasoning})
}

// CountsPrompt reports whether a longer prompt may be charged more.
func (m Measure) CountsPrompt() bool {
	return m.Unit == PromptTokens || m.Unit == Cost || m.Unit == Tokens && m.Weights.heaviestPrompt() > 0
}

// MaxCharge returns the most that a call can be charged whose prompt and completions
// have at most these numbers of tokens, of whatever kinds. It must not be called for
// Cost, which depends on prices.
func (m Measure) MaxCharge(prompt, completion int64) int64 {
	switch m.Unit {
	case PromptTokens:
		return prompt
	case CompletionTokens:
		return completion
	case Calls:
		return 1
	}
	return weigh(part{prompt, m.Weights.heaviestPrompt()}, part{completion, m.Weights.heaviestCompletion()})
}

// CompletionWithin returns the largest completion, in tokens, with which MaxCharge stays
// within an amount; Unlimited if the completion doesn't count.
func (m Measure) CompletionWithin(amount, prompt int64) int64 {
	switch m.Unit {
	case PromptTokens, Calls:
		return Unlimited
	case CompletionTokens:
		return amount
	}
	heaviest := m.Weights.heaviestCompletion()
	if heaviest == 0 {
		return Unlimited
	}
	used := weighed(part{prompt, m.Weights.heaviestPrompt()})
	high, low := bits.Mul64(uint64(max(amount, 0)), 1000)
	if used.high > high || used.high == high && used.low >= low {
		return 0
	}
	low, borrow := bits.Sub64(low, used.low, 0)
	high, _ = bits.Sub64(high, used.high, borrow)
	return quotient(product{high, low}, uint64(heaviest))
}

func (w Weights) heaviestPrompt() int64     { return max(w.Prompt, w.Cached, w.CacheWrite) }
func (w Weights) heaviestCompletion() int64 { return max(w.Completion, w.Reasoning) }

// A part is a number of tokens of one kind and their weight.
type part struct{ tokens, weight int64 }

// A product is a whole number of 128 bits.
type product struct{ high, low uint64 }

// weighed returns the sum of tokens times weights, in thousandths. Negative tokens count
// as 0. Parts are few and weights small, so it can't overflow.
func weighed(parts ...part) (sum product) {
	for _, p := range parts {
		high, low := bits.Mul64(uint64(max(p.tokens, 0)), uint64(p.weight))
		var carry uint64
		sum.low, carry = bits.Add64(sum.low, low, 0)
		sum.high, _ = bits.Add64(sum.high, high, carry)
	}
	return sum
}

// weigh returns the sum of tokens times weights in whole units, rounded up, but at most
// Unlimited.
func weigh(parts ...part) int64 {
	sum := weighed(parts...)
	low, carry := bits.Add64(sum.low, 999, 0)
	return quotient(product{sum.high + carry, low}, 1000)
}

// quotient returns p ÷ by, rounded down, but at most Unlimited.
func quotient(p product, by uint64) int64 {
	if p.high >= by { // the quotient has more than 64 bits
		return Unlimited
	}
	whole, _ := bits.Div64(p.high, p.low, by)
	return int64(min(whole, Unlimited))
}

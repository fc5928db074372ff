package ledger

import (
	"maps"
	"math"
	"slices"
)

// Totals are the usage of some calls. Tokens are those that the calls were charged: as stated
// by the endpoint, or else counted or bounded by Tollgate.
type Totals struct {
	// Calls is the number of calls that were admitted and have ended.
	Calls int64 `json:",omitzero"`
	// Failed is the number of Calls that ended with an error of the endpoint or the gateway,
	// or because the caller left.
	Failed int64 `json:",omitzero"`
	// UnknownUsage is the number of Calls whose tokens no endpoint stated.
	UnknownUsage int64 `json:",omitzero"`
	// Shadowed is the number of Calls that a limit in shadow mode would have refused.
	Shadowed int64 `json:",omitzero"`
	// Refused is the number of calls that limits refused. They are not in Calls.
	Refused int64 `json:",omitzero"`
	// RefusedBy is the number of calls that each limit refused, by the limit's name. A call
	// refused by several limits counts for each. It has at most 32 names, one of which may be
	// OtherLimits.
	RefusedBy map[string]int64 `json:",omitzero"`

	// PromptTokens include CachedTokens, which the endpoint read from its cache, and
	// CacheWriteTokens, which it wrote to its cache.
	PromptTokens, CachedTokens, CacheWriteTokens int64 `json:",omitzero"`
	// CompletionTokens include ReasoningTokens.
	CompletionTokens, ReasoningTokens int64 `json:",omitzero"`

	// Cost is the cost of Calls by the prices in effect when they started, in billionths of
	// the currency's unit. Later changes of prices don't change it.
	Cost int64 `json:",omitzero"`
	// Unpriced is the number of Calls that used tokens but had no price. Cost doesn't include
	// them.
	Unpriced int64 `json:",omitzero"`
}

// maxLimits is the most names in RefusedBy. It is more than the limits of one call.
const maxLimits = 32

// OtherLimits is the name in RefusedBy under which all further limits are counted. No limit can
// have this name.
const OtherLimits = "(other limits)"

// Add adds u to t. It makes a new map for RefusedBy, because others may share the old one.
func (t *Totals) Add(u Totals) {
	t.Calls += u.Calls
	t.Failed += u.Failed
	t.UnknownUsage += u.UnknownUsage
	t.Shadowed += u.Shadowed
	t.Refused += u.Refused
	t.PromptTokens += u.PromptTokens
	t.CachedTokens += u.CachedTokens
	t.CacheWriteTokens += u.CacheWriteTokens
	t.CompletionTokens += u.CompletionTokens
	t.ReasoningTokens += u.ReasoningTokens
	t.Cost = sumCost(t.Cost, u.Cost)
	t.Unpriced += u.Unpriced
	if len(u.RefusedBy) == 0 {
		return
	}
	sum := make(map[string]int64, len(t.RefusedBy)+len(u.RefusedBy))
	maps.Copy(sum, t.RefusedBy)
	for _, name := range slices.Sorted(maps.Keys(u.RefusedBy)) {
		if _, there := sum[name]; !there && len(sum) >= maxLimits-1 {
			sum[OtherLimits] += u.RefusedBy[name]
			continue
		}
		sum[name] += u.RefusedBy[name]
	}
	t.RefusedBy = sum
}

// sumCost adds two costs of 0 or more. The result is at most the largest int64, about nine
// billion of the currency's units.
func sumCost(a, b int64) int64 {
	if a > math.MaxInt64-b {
		return math.MaxInt64
	}
	return a + b
}

// Tokens returns the sum of prompt and completion tokens.
func (t Totals) Tokens() int64 { return t.PromptTokens + t.CompletionTokens }

// Empty reports whether all totals are 0.
func (t Totals) Empty() bool { return t.Equal(Totals{}) }

// Equal reports whether all totals are equal.
func (t Totals) Equal(u Totals) bool {
	return t.numbers() == u.numbers() && maps.Equal(t.RefusedBy, u.RefusedBy)
}

func (t Totals) numbers() [12]int64 {
	return [...]int64{t.Calls, t.Failed, t.UnknownUsage, t.Shadowed, t.Refused, t.PromptTokens, t.CachedTokens, t.CacheWriteTokens, t.CompletionTokens, t.ReasoningTokens,
		t.Cost, t.Unpriced}
}

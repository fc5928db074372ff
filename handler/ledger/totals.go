package ledger

import (
	"maps"
	"math"
	"slices"
)

// Totals count what happened. Tokens are as settled: told by the model's endpoint, else
// counted or bounded by Tollgate.
type Totals struct {
	// Calls is the number of calls that were admitted and have ended.
	Calls int64 `json:",omitzero"`
	// Failed is the number of these that ended with an error: the endpoint's, the
	// gateway's, or because the caller left.
	Failed int64 `json:",omitzero"`
	// UnknownUsage is the number of these whose tokens no endpoint told.
	UnknownUsage int64 `json:",omitzero"`
	// Shadowed is the number of these that a limit in shadow mode would have refused.
	Shadowed int64 `json:",omitzero"`
	// Refused is the number of calls that limits refused. They are not in Calls.
	Refused int64 `json:",omitzero"`
	// RefusedBy is the number of calls that each limit refused, by the limit's name, for
	// at most maxLimits names. A call that several limits refused counts for each.
	RefusedBy map[string]int64 `json:",omitzero"`

	// PromptTokens include CachedTokens, which the endpoint read from its cache, and
	// CacheWriteTokens, which it wrote to its cache.
	PromptTokens, CachedTokens, CacheWriteTokens int64 `json:",omitzero"`
	// CompletionTokens include ReasoningTokens.
	CompletionTokens, ReasoningTokens int64 `json:",omitzero"`

	// Cost is what Calls cost by the prices at their starts, in billionths of the
	// deployment's currency. It stays as it was counted, whatever becomes of prices.
	Cost int64 `json:",omitzero"`
	// Unpriced is the number of Calls that used tokens and had no price: Cost lacks them.
	Unpriced int64 `json:",omitzero"`
}

// maxLimits is the most names that RefusedBy has: more than a call has limits.
// OtherLimits is the name, which no limit has, that counts for all further ones.
const (
	maxLimits   = 32
	OtherLimits = "(other limits)"
)

// Add adds u to t. It changes no map that others may have.
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

// sumCost adds two costs of 0 or more. A sum beyond the largest int64, some nine billion of
// the currency's units, is that.
func sumCost(a, b int64) int64 {
	if a > math.MaxInt64-b {
		return math.MaxInt64
	}
	return a + b
}

// Tokens returns the prompt and completion tokens.
func (t Totals) Tokens() int64 { return t.PromptTokens + t.CompletionTokens }

// Empty reports whether nothing was counted.
func (t Totals) Empty() bool { return t.Equal(Totals{}) }

// Equal reports whether both count the same.
func (t Totals) Equal(u Totals) bool {
	return t.numbers() == u.numbers() && maps.Equal(t.RefusedBy, u.RefusedBy)
}

func (t Totals) numbers() [12]int64 {
	return [...]int64{t.Calls, t.Failed, t.UnknownUsage, t.Shadowed, t.Refused, t.PromptTokens, t.CachedTokens, t.CacheWriteTokens, t.CompletionTokens, t.ReasoningTokens,
		t.Cost, t.Unpriced}
}

package ledger

import "tollgate/handler/limit"

// Counts are Totals in the JSON form that callers and operators get.
type Counts struct {
	Calls            int64            `json:"calls"`
	Failed           int64            `json:"failed"`
	UnknownUsage     int64            `json:"unknownUsage"`
	Shadowed         int64            `json:"shadowed"`
	Refused          int64            `json:"refused"`
	RefusedBy        map[string]int64 `json:"refusedBy,omitempty"`
	PromptTokens     int64            `json:"promptTokens"`
	CachedTokens     int64            `json:"cachedTokens"`
	CacheWriteTokens int64            `json:"cacheWriteTokens"`
	CompletionTokens int64            `json:"completionTokens"`
	ReasoningTokens  int64            `json:"reasoningTokens"`
	TotalTokens      int64            `json:"totalTokens"` // prompt and completion
	// Cost is in the deployment's currency. It doesn't include the calls counted by Unpriced.
	Cost     limit.Money `json:"cost"`
	Unpriced int64       `json:"unpriced"`
}

// Counts returns the totals as Counts.
func (t Totals) Counts() Counts {
	return Counts{
		Calls: t.Calls, Failed: t.Failed, UnknownUsage: t.UnknownUsage, Shadowed: t.Shadowed,
		Refused: t.Refused, RefusedBy: t.RefusedBy,
		PromptTokens: t.PromptTokens, CachedTokens: t.CachedTokens, CacheWriteTokens: t.CacheWriteTokens,
		CompletionTokens: t.CompletionTokens, ReasoningTokens: t.ReasoningTokens, TotalTokens: t.Tokens(),
		Cost: limit.Money(t.Cost), Unpriced: t.Unpriced,
	}
}

// Totals returns the counts as Totals.
func (c Counts) Totals() Totals {
	return Totals{
		Calls: c.Calls, Failed: c.Failed, UnknownUsage: c.UnknownUsage, Shadowed: c.Shadowed,
		Refused: c.Refused, RefusedBy: c.RefusedBy,
		PromptTokens: c.PromptTokens, CachedTokens: c.CachedTokens, CacheWriteTokens: c.CacheWriteTokens,
		CompletionTokens: c.CompletionTokens, ReasoningTokens: c.ReasoningTokens,
		Cost: int64(c.Cost), Unpriced: c.Unpriced,
	}
}

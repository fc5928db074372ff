package gateway

import (
	"tollgate/handler/ledger"
)

// Ledger receives what each call of a subscription used, once it has ended.
type Ledger interface {
	// Record must not block.
	Record(subscription, model string, used ledger.Totals)
	// Pending returns a subscription's rows that are not written yet; see
	// ledger.Recorder.Pending.
	Pending(subscription string) []ledger.Row
}

// record writes an ended call to the ledger if it was admitted, or refused by a limit. The
// gateway's own routes and free operations aren't recorded.
func (g *Gateway) record(c *call) {
	o := c.route.operation
	if g.config.Ledger == nil || o == nil || o.Free || c.admission == nil && len(c.result.refusedBy) == 0 {
		return
	}
	g.config.Ledger.Record(c.grant.Subscription.ID, g.reportedModel(c), c.totals())
}

// totals returns what the call adds to its subscription's totals. A call that limits refused
// counts only as refused, once by each of them.
func (c *call) totals() ledger.Totals {
	if len(c.result.refusedBy) > 0 {
		t := ledger.Totals{Refused: 1, RefusedBy: make(map[string]int64)}
		for _, by := range c.result.refusedBy {
			t.RefusedBy[by.Limit] = 1
		}
		return t
	}
	t := ledger.Totals{Calls: 1}
	if c.result.outcome != "" {
		t.Failed = 1
	}
	if c.hold.shadowCode != "" {
		t.Shadowed = 1
	}
	if c.charge.settled {
		u := c.charge.usage
		t.PromptTokens, t.CachedTokens, t.CacheWriteTokens = u.PromptTokens, u.CachedTokens, u.CacheWriteTokens
		t.CompletionTokens, t.ReasoningTokens = u.CompletionTokens, u.ReasoningTokens
		t.Cost = u.Cost
		if !c.price.known {
			t.Unpriced = 1
		}
		if !c.charge.fromUpstream {
			t.UnknownUsage = 1
		}
	}
	return t
}

package gateway

import (
	"time"

	"tollgate/handler/charge"
	"tollgate/handler/limit"
)

// A call is charged once, by the best of three: the usage that its endpoint reported
// (reportedUsage), else Tollgate's count, if that misses nothing (knownUsage), else the
// most that it can have used (boundedUsage). A follower chooses; see leaving.go.

// settle charges the call. The counter writes the charge later, whether or not the caller
// is still there.
func (c *call) settle(usage limit.Usage) {
	c.charge.usage, c.charge.settled = c.totalUsage(usage), true
	c.chargeLimits(c.charge.usage)
}

// settleFailed ends a call that upstream failed: it charges the prompts that failed
// endpoints read, and the call itself.
func (c *call) settleFailed() {
	if c.upstream.failedPrompts > 0 {
		c.settle(limit.Usage{})
		return
	}
	c.chargeLimits(limit.Usage{})
}

// totalUsage completes what the call used at the endpoint that served it: it adds the cost,
// and the prompts that failed endpoints read, at the price of the dearest endpoint.
func (c *call) totalUsage(usage limit.Usage) limit.Usage {
	usage.Cost = c.cost(usage)
	if c.upstream.failedPrompts > 0 {
		read := c.upstream.failedPrompts * c.promptTokens()
		usage.PromptTokens = addSaturating(usage.PromptTokens, read)
		usage.Cost = min(addSaturating(usage.Cost, c.maxCost(read, 0)), limit.Unlimited)
	}
	return usage
}

// setUsageHeaders sets the headers for what the call was charged, if it was, and for
// what its limits have left.
func (g *Gateway) setUsageHeaders(c *call) {
	g.setLimitHeaders(c)
	if c.charge.settled {
		g.canonical.setConsumed(c.w.Header(), c.charge.usage)
	}
}

// reportedUsage returns the charge for the usage that upstream reported. It replaces a
// prompt of 0 tokens by Tollgate's count: no prompt is empty.
func (c *call) reportedUsage(u limit.Usage) limit.Usage {
	if u.PromptTokens == 0 {
		u.PromptTokens = c.promptTokens()
		u.EstimatedPromptTokens = u.PromptTokens
	}
	return u
}

// knownUsage returns the charge by Tollgate's count, and whether that is exact: the
// family's prompts and text can be counted exactly, nothing of the answer is unread,
// and each completion's text was kept apart.
func (c *call) knownUsage(seen int64, unread bool) (limit.Usage, bool) {
	p := c.promptOfFamily()
	return c.countedUsage(seen), p.Known && p.AnswerKnown && !unread && c.request.Envelope().Completions <= maxChoices
}

// countedUsage returns the charge by Tollgate's count: the prompt, the text seen, and
// the text that a stop sequence may have kept out of each completion.
func (c *call) countedUsage(seen int64) limit.Usage {
	p := c.promptOfFamily()
	return limit.Usage{PromptTokens: p.Tokens, EstimatedPromptTokens: p.Tokens, CompletionTokens: addSaturating(seen, c.completionTokens(p.Withheld))}
}

// boundedUsage returns the most that a call can have used, where the count may miss
// something. Its endpoint worked until now, and goes on for goesOn at rate tokens a second
// and completion.
func (c *call) boundedUsage(seen int64, goesOn time.Duration, rate int64) limit.Usage {
	p := c.promptOfFamily()
	completion := charge.Completion{Choices: c.request.Envelope().Completions, Cap: c.completionBound(), Prediction: p.Prediction, Reserved: c.reservesAll(),
		Elapsed: time.Since(c.upstream.sentAt) + goesOn, Rate: rate, Seen: seen}
	return limit.Usage{PromptTokens: p.Tokens, EstimatedPromptTokens: p.Tokens, CompletionTokens: completion.Bound()}
}

// withReportedPrompt returns a bound with the prompt that the endpoint reported as the answer
// began, in place of the bounded one. If the model may have read more since then, the larger
// counts.
func (c *call) withReportedPrompt(bound, reported limit.Usage) limit.Usage {
	if reported.PromptTokens == 0 {
		return bound
	}
	if !c.promptOfFamily().ReadAtStart {
		reported.EstimatedPromptTokens = max(bound.PromptTokens-reported.PromptTokens, 0)
		reported.PromptTokens += reported.EstimatedPromptTokens
	}
	reported.CompletionTokens = bound.CompletionTokens
	return reported
}

// promptTokens returns what to charge for the prompt if the endpoint doesn't report it.
func (c *call) promptTokens() int64 { return c.promptOfFamily().Tokens }

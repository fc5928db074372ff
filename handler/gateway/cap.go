package gateway

import (
	"cmp"
	"math"

	"tollgate/handler/limit"
	"tollgate/handler/operation"
	"tollgate/handler/subscription"
)

// minCompletion is the smallest cap that the gateway puts on a completion, in tokens:
// with less, hardly any question can be answered.
const minCompletion = 16

// askOf returns what to reserve in a limit before the call, by the tier's reserve.
func (c *call) askOf(l *callLimit) (ask limit.Ask) {
	switch c.grant.Tier.Reserve {
	case subscription.ReserveNone:
		ask.Amount = 1
	case subscription.ReserveFull:
		ask = c.askFull(l)
	default:
		ask.Amount = max(1, c.maxCharge(l, c.hold.prompt, 0))
	}
	ask.Bytes, ask.Shadow, ask.UpperBound = c.prompt.bytes, l.Shadow, c.hold.uncounted > 0
	return ask
}

// maxCharge returns the most that a limit charges for this many tokens of the prompt and of
// all completions.
func (c *call) maxCharge(l *callLimit, prompt, completion int64) int64 {
	if l.Unit == limit.Cost {
		return c.maxCost(prompt, completion)
	}
	return l.Measure().MaxCharge(prompt, completion)
}

// completionWithin returns the largest completion, in tokens, for which maxCharge stays
// within an amount.
func (c *call) completionWithin(l *callLimit, amount, prompt int64) int64 {
	if l.Unit == limit.Cost {
		return c.price.quote.CompletionWithin(amount, prompt)
	}
	return l.Measure().CompletionWithin(amount, prompt)
}

// askFull asks for everything that a call can use: the prompt and, for each completion,
// the larger of the caller's caps. A call without a cap accepts what is left, because
// the gateway then caps it at that.
func (c *call) askFull(l *callLimit) limit.Ask {
	need := func(each int64) int64 {
		return c.maxCharge(l, c.hold.prompt, addSaturating(c.hold.prediction, c.completionTokens(each)))
	}
	if caps := c.caps(); caps.Largest > 0 {
		return limit.Ask{Amount: need(caps.Largest)}
	}
	if own := c.defaultCap(); own > 0 {
		return limit.Ask{Amount: need(own), Min: need(min(own, minCompletion))}
	}
	least := need(minCompletion)
	return limit.Ask{Amount: max(least, cmp.Or(l.PerMinute+l.Burst, l.Quota)), Min: least}
}

// completionTokens returns the tokens of all the call's completions if each has this
// many.
func (c *call) completionTokens(each int64) int64 { return c.request.Envelope().CompletionTokens(each) }

// caps returns the caller's caps, as the model that is asked reads them.
func (c *call) caps() operation.Caps { return c.request.Caps(c.capRules()) }

// capRules returns which caps the model that is asked obeys.
func (c *call) capRules() operation.CapRules {
	rules := c.prompt.family.CapRules
	rules.DropsExtra = c.dropsExtraParameters()
	return rules
}

// defaultCap returns what a completion may have, in tokens, of a call that has no cap: the
// tier's, or less if the operation's API says so; 0 if neither does.
func (c *call) defaultCap() int64 {
	most, standard := c.grant.Tier.MaxCompletionTokens, c.caps().Default
	if most == 0 || standard == 0 {
		return max(most, standard)
	}
	return min(most, standard)
}

// completionCap returns the cap to put on each completion of a call without one; 0 for no
// cap. Under reserve: full it is the most that every limit granted enough for, else the
// tier's. In shadow mode it doesn't depend on what is left.
func (c *call) completionCap(decisions []limit.Decision) int64 {
	completions := c.request.Envelope().Completions
	if caps := c.caps(); caps.Largest > 0 || caps.Unsupported || completions == 0 {
		return 0
	}
	own := c.defaultCap()
	if !c.reservesAll() {
		return own
	}
	most := int64(limit.Unlimited)
	for i, d := range decisions {
		if l := &c.hold.limits[i]; d.Verdict == limit.Granted && !l.Shadow {
			most = min(most, c.completionWithin(l, d.Amount, c.hold.prompt))
		}
	}
	if most == limit.Unlimited {
		return own
	}
	each := max(most-c.hold.prediction, 0) / completions
	if own > 0 {
		each = min(each, own)
	}
	return each
}

// dropsExtraParameters reports whether the endpoint drops parameters that its API
// doesn't define. That includes max_completion_tokens, which then caps nothing.
// Source: https://learn.microsoft.com/rest/api/aifoundry/model-inference/get-chat-completions
func (c *call) dropsExtraParameters() bool { return c.extraParameters() == "drop" }

// reservesAll reports whether the tier reserves the most that a call can use, in shadow
// too.
func (c *call) reservesAll() bool { return c.grant.Tier.Reserve == subscription.ReserveFull }

// completionBound returns the most tokens of each completion, by a cap that the model is
// sure to obey; 0 if there is none.
func (c *call) completionBound() int64 {
	switch caps := c.caps(); {
	case caps.Largest == 0:
		return c.hold.cap
	case c.reservesAll():
		return caps.Largest
	default:
		return caps.Obeyed // 0 if the model may ignore the caller's: the tier's was not sent
	}
}

// totalCompletionBound returns the most tokens of all completions together; without a cap,
// the largest number there is.
func (c *call) totalCompletionBound() int64 {
	if most := c.completionBound(); most > 0 {
		return c.completionTokens(most)
	}
	return math.MaxInt64
}

// addSaturating adds tokens, which are never negative, and saturates at the largest int64.
func addSaturating(a, b int64) int64 {
	if a > math.MaxInt64-b {
		return math.MaxInt64
	}
	return a + b
}

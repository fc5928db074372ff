package gateway

import (
	"cmp"
	"math"

	"tollgate/handler/charge"
	"tollgate/handler/chat"
	"tollgate/handler/limit"
	"tollgate/handler/subscription"
)

// leastCompletion is the smallest cap that the gateway puts on a completion, in tokens:
// with less, hardly any question can be answered.
const leastCompletion = 16

// askFull asks for everything that a call can use: the prompt and, for each completion,
// the larger of the caller's caps. A call without a cap accepts what is left, because
// the gateway then caps it at that.
func (c *call) askFull() limit.Ask {
	if completions, capped := c.request.CompletionTokens(); capped {
		return limit.Ask{Tokens: sum(c.hold.prompt, completions)}
	}
	tier := c.grant.Tier
	most := cmp.Or(tier.MaxCompletionTokens, tier.TokensPerMinute+tier.BurstTokens, tier.TokenQuota)
	return limit.Ask{
		Tokens:    sum(c.hold.prompt, c.request.CompletionTokensAt(most)),
		MinTokens: sum(c.hold.prompt, c.request.CompletionTokensAt(min(most, leastCompletion))),
	}
}

// completionCap returns the cap to put on each completion of a call that has none, 0 for
// none: under reserve: full what was granted for it, else the tier's. In shadow mode the
// cap doesn't depend on what is left.
func (c *call) completionCap(d limit.Decision) int64 {
	if _, capped := c.request.CompletionTokens(); capped {
		return 0
	}
	tier := c.grant.Tier
	if tier.Reserve == subscription.ReserveFull && d.Verdict == limit.Granted && !tier.Shadow {
		return (d.Tokens - c.hold.prompt) / c.request.N
	}
	return tier.MaxCompletionTokens
}

// dropsExtraParameters reports whether the endpoint drops parameters that its API
// doesn't define. That includes max_completion_tokens, which then caps nothing.
// Source: https://learn.microsoft.com/rest/api/aifoundry/model-inference/get-chat-completions
func (c *call) dropsExtraParameters() bool { return c.extraParameters() == "drop" }

// obeyedCap returns the caller's cap that the model is sure to obey, nil if there is none.
func (c *call) obeyedCap(f *charge.Family) *int64 {
	r := c.request
	switch {
	case f.NewerCap && !c.dropsExtraParameters():
		return r.MaxCompletionTokens
	case f.EitherCap && r.MaxCompletionTokens != nil:
		return r.MaxCompletionTokens
	}
	return r.MaxTokens
}

// putCap sends the call's cap in the one field that the model obeys. Unless the cap is
// reserved, it leaves the caller's own caps as they are.
func (c *call) putCap(edit *chat.Edit, f *charge.Family) {
	put, newer := &c.hold.cap, f.NewerCap && !c.dropsExtraParameters()
	if most, capped := c.request.Cap(); capped {
		if !c.reservesAll() {
			return
		}
		put = &most
		if own := c.obeyedCap(f); own != nil {
			put = own
			newer = newer || f.EitherCap && c.request.MaxCompletionTokens != nil
		}
	}
	switch {
	case *put == 0:
	case newer:
		edit.MaxCompletionTokens = put
	default:
		edit.MaxTokens = put
	}
}

// reservesAll reports whether the tier reserves the most that a call can use, in shadow
// too.
func (c *call) reservesAll() bool { return c.grant.Tier.Reserve == subscription.ReserveFull }

// completionBound returns the most tokens of each completion, by a cap that the model is
// sure to obey; 0 if there is none.
func (c *call) completionBound() int64 {
	if c.reservesAll() {
		if most, capped := c.request.Cap(); capped {
			return most
		}
		return c.hold.cap
	}
	most, capped := c.request.Cap()
	switch own := c.obeyedCap(&c.prompt.family); {
	case c.request.MaxTokens != nil && c.request.MaxCompletionTokens != nil:
		return most // servers differ in which of the two they read
	case own != nil:
		return *own
	case capped:
		return 0 // the tier's cap was not sent, and the model may ignore the caller's
	}
	return c.hold.cap
}

// completionsBound returns the most tokens of all completions together; without a cap,
// the largest number there is.
func (c *call) completionsBound() int64 {
	if most := c.completionBound(); most > 0 {
		return c.request.CompletionTokensAt(most)
	}
	return math.MaxInt64
}

// sum adds tokens, which are never negative, and saturates at the largest int64.
func sum(a, b int64) int64 {
	if a > math.MaxInt64-b {
		return math.MaxInt64
	}
	return a + b
}

package gateway

import (
	"cmp"
	"math"

	"tollgate/handler/charge"
	"tollgate/handler/chat"
	"tollgate/handler/limit"
	"tollgate/handler/subscription"
)

// leastCompletion is what a cap put on a completion isn't clamped below, in
// tokens: with less, hardly any question is answered.
const leastCompletion = 16

// askFull is all that a call can take: the prompt and, for each completion, the
// larger of the caller's caps. A call without one can do with what is left, as
// it will be capped at that.
func (c *call) askFull() limit.Ask {
	if completions, capped := c.request.CompletionTokens(); capped {
		return limit.Ask{Tokens: sum(c.prompt, completions)}
	}
	tier := c.grant.Tier
	most := cmp.Or(tier.MaxCompletionTokens, tier.TokensPerMinute+tier.BurstTokens, tier.TokenQuota)
	return limit.Ask{
		Tokens:    sum(c.prompt, c.request.CompletionTokensAt(most)),
		MinTokens: sum(c.prompt, c.request.CompletionTokensAt(min(most, leastCompletion))),
	}
}

// completionCap is the cap to put on each completion of a call that names none
// itself, 0 for none: with everything reserved what it was granted allows, else
// the tier's. In shadow, what is left cuts no answer short.
func (c *call) completionCap(d limit.Decision) int64 {
	if _, capped := c.request.CompletionTokens(); capped {
		return 0
	}
	tier := c.grant.Tier
	if tier.Reserve == subscription.ReserveFull && d.Verdict == limit.Granted && !tier.Shadow {
		return (d.Tokens - c.prompt) / c.request.N
	}
	return tier.MaxCompletionTokens
}

// dropsExtraParameters reports whether the endpoint drops parameters that its API
// doesn't define. That includes max_completion_tokens, which then caps nothing.
// Source: https://learn.microsoft.com/rest/api/aifoundry/model-inference/get-chat-completions
func (c *call) dropsExtraParameters() bool { return c.extraParameters() == "drop" }

// obeyed is the caller's cap that a model is sure to obey, nil if there is none.
func (c *call) obeyed(f *charge.Family) *int64 {
	r := c.request
	switch {
	case f.NewerCap && !c.dropsExtraParameters():
		return r.MaxCompletionTokens
	case f.EitherCap && r.MaxCompletionTokens != nil:
		return r.MaxCompletionTokens
	}
	return r.MaxTokens
}

// putCap has the body carry the call's cap in the one field that the model obeys.
// What isn't reserved leaves the caller's caps as they are.
func (c *call) putCap(edit *chat.Edit, f *charge.Family) {
	put, newer := &c.cap, f.NewerCap && !c.dropsExtraParameters()
	if most, capped := c.request.Cap(); capped {
		if !c.reservesAll() {
			return
		}
		put = &most
		if own := c.obeyed(f); own != nil {
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

// reservesAll is whether all that the call can take is reserved, or would be
// without the shadow.
func (c *call) reservesAll() bool { return c.grant.Tier.Reserve == subscription.ReserveFull }

// mostOfEach is the most tokens that each completion can take by a cap that the
// model obeys, 0 if there is none.
func (c *call) mostOfEach() int64 {
	if c.reservesAll() {
		if most, capped := c.request.Cap(); capped {
			return most
		}
		return c.cap
	}
	most, capped := c.request.Cap()
	switch own := c.obeyed(&c.family); {
	case c.request.MaxTokens != nil && c.request.MaxCompletionTokens != nil:
		return most // servers differ in which of the two they read
	case own != nil:
		return *own
	case capped:
		return 0 // the tier's was not put, and the caller's may not be read
	}
	return c.cap
}

// mostOfAll is mostOfEach of all completions together, the largest number where
// there is no cap.
func (c *call) mostOfAll() int64 {
	if most := c.mostOfEach(); most > 0 {
		return c.request.CompletionTokensAt(most)
	}
	return math.MaxInt64
}

// sum adds tokens, which are never negative, up to the largest number there is.
func sum(a, b int64) int64 {
	if a > math.MaxInt64-b {
		return math.MaxInt64
	}
	return a + b
}

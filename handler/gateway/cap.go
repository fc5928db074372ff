package gateway

import (
	"cmp"
	"math"
	"strings"

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
		Tokens:  sum(c.prompt, c.request.CompletionTokensAt(most)),
		AtLeast: sum(c.prompt, c.request.CompletionTokensAt(min(most, leastCompletion))),
	}
}

// sum adds tokens, which are never negative, up to the largest number there is.
func sum(a, b int64) int64 {
	if a > math.MaxInt64-b {
		return math.MaxInt64
	}
	return a + b
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

// drops says whether the endpoint is to drop what its API doesn't have, of which
// max_completion_tokens is: there it caps nothing.
// Source: https://learn.microsoft.com/rest/api/aifoundry/model-inference/get-chat-completions
func (c *call) drops() bool { return c.extraParameters() == "drop" }

// putCap has the body carry the call's cap, in the field that the model reads.
func (c *call) putCap(edit *chat.Edit, model string) {
	switch {
	case c.cap == 0:
	case reasonsAtOpenAI(model) && !c.drops():
		edit.MaxCompletionTokens = &c.cap
	default:
		edit.MaxTokens = &c.cap
	}
}

// reasonsAtOpenAI says whether a model is one of OpenAI's that think first:
// they refuse max_tokens and take max_completion_tokens. All others know the
// older name, DeepSeek's and those of Foundry's models API only that.
// Source: https://learn.microsoft.com/azure/ai-foundry/openai/how-to/reasoning
func reasonsAtOpenAI(model string) bool {
	for _, family := range []string{"o1", "o3", "o4", "gpt-5"} {
		if rest, ok := strings.CutPrefix(strings.ToLower(model), family); ok && (rest == "" || rest[0] == '-' || rest[0] == '.') {
			return true
		}
	}
	return false
}

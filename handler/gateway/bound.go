package gateway

import (
	"fmt"
	"net/http"
	"slices"

	"tollgate/handler/charge"
)

const codeUnbounded = "unbounded_request"

// boundPrompt sets what to reserve for the prompt to an upper bound, from its size alone.
// It refuses a call with a field that has no bound. In shadow mode it only records the
// refusal.
func (c *call) boundPrompt() error {
	defer waitForCore(c.prompt.bytes)()
	for i := range c.prompt.families {
		size := charge.SizeOf(c.request, c.prompt.families[i])
		switch field := size.Unbounded; {
		case field == "":
		case c.grant.Tier.Shadow:
			c.hold.shadowCode = codeUnbounded
			c.w.Header().Set(headerShadow, codeUnbounded)
		default:
			return &problem{status: http.StatusBadRequest, code: codeUnbounded, kind: kindRequest, param: field,
				message: fmt.Sprintf("The tokens that %s uses can't be bounded in advance, and this subscription's tier reserves the most that a call can use (reserve: full). Leave it out, or ask the operator for another tier.", field)}
		}
		c.holdAtLeast(size)
	}
	return nil
}

// sizeBound returns the most tokens that the prompt can have, by its size alone.
func (c *call) sizeBound() int64 {
	if c.reservesAll() {
		return addSaturating(c.hold.prompt, c.hold.prediction) // set by boundPrompt
	}
	return addSaturating(c.request.Bound(c.prompt.family.Encoding), c.continuedTokens())
}

// streamCountable reports whether the call's stream shows every token that it uses,
// whichever model answers, so that Tollgate's count of it is the exact charge.
func (c *call) streamCountable() bool {
	defer waitForCore(c.prompt.bytes)()
	asked := c.request.Envelope()
	return asked.Stream && asked.Completions <= maxChoices && !slices.ContainsFunc(c.prompt.families, func(f charge.Family) bool { return !charge.Countable(c.request, f) })
}

// holdAtLeast raises what to reserve to what a prompt needs: its own tokens, and those of
// its prediction, which each completion may be charged.
func (c *call) holdAtLeast(p charge.Prompt) {
	c.hold.prompt = max(c.hold.prompt, p.Tokens)
	c.hold.prediction = max(c.hold.prediction, c.completionTokens(p.Prediction))
}

// countPrompt sets what to reserve for the prompt: under reserve: full the most that it
// costs with any model that may answer, else the estimate.
func (c *call) countPrompt() error {
	if !c.reservesAll() {
		return c.estimatePrompt()
	}
	c.prompt.weights = c.weighPrompts(c.request, 0)
	c.hold.prompt, c.hold.prediction = 0, 0
	for _, p := range c.prompt.weights {
		c.holdAtLeast(p)
	}
	if p := c.promptOfFamily(); p.Known {
		c.prompt.estimate = p.Tokens
	}
	return nil
}

// estimatePrompt counts the prompt with the tokenizer of the model that is expected to
// answer.
func (c *call) estimatePrompt() error {
	defer waitForCore(c.prompt.bytes)()
	prompt, err := c.request.Count(c.prompt.family.Encoding)
	if err != nil {
		return badField(err)
	}
	c.prompt.estimate = addSaturating(prompt, c.continuedTokens())
	if c.hold.uncounted == 0 && !c.reservesAll() {
		c.hold.prompt = c.prompt.estimate
	}
	return nil
}

// promptOfFamily returns the prompt's size for the model that answers. It waits if the
// prompt is being weighed, or else weighs it.
func (c *call) promptOfFamily() charge.Prompt {
	if c.prompt.pending != nil {
		<-c.prompt.pending.done
		c.prompt.weights, c.prompt.pending = c.prompt.pending.weights, nil
	}
	if c.prompt.weights == nil {
		c.prompt.weights = c.weighPrompts(c.request, c.prompt.estimate)
	}
	p := c.prompt.weights[max(0, slices.Index(c.prompt.families, c.prompt.family))]
	p.Tokens = addSaturating(p.Tokens, c.continuedTokens())
	return p
}

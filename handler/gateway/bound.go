package gateway

import (
	"fmt"
	"net/http"
	"slices"
	"time"

	"tollgate/handler/charge"
	"tollgate/handler/limit"
	"tollgate/handler/upstream"
)

// mayAnswer notes the families of the models that may answer the call.
func (c *call) mayAnswer(targets []upstream.Target) {
	c.families = make([]charge.Family, 0, len(targets))
	for _, t := range targets {
		if f := charge.FamilyOf(t.Answers.Family, t.Answers.Name, c.model); !slices.Contains(c.families, f) {
			c.families = append(c.families, f)
		}
	}
	c.family = c.families[0]
}

// asks notes whose model is asked.
func (c *call) asks(t upstream.Target) {
	c.family = charge.FamilyOf(t.Answers.Family, t.Answers.Name, c.model)
}

const codeUnbounded = "unbounded_request"

// boundable bounds the prompt by its size alone, and refuses a call of which not
// all it can take can be reserved. In shadow it only notes that it would.
func (c *call) boundable() error {
	defer turn(c.size)()
	for i := range c.families {
		size := charge.SizeOf(c.request, c.families[i])
		switch field := size.Unbounded; {
		case field == "":
		case c.grant.Tier.Shadow:
			c.shadow = codeUnbounded
			c.w.Header().Set(headerShadow, codeUnbounded)
		default:
			return &problem{status: http.StatusBadRequest, code: codeUnbounded, kind: kindRequest, param: field,
				message: fmt.Sprintf("Nobody can say beforehand how many tokens %s takes, and this subscription reserves all that a call can take. Leave it out, or ask for another tier.", field)}
		}
		c.prompt = max(c.prompt, c.reserved(size))
	}
	return nil
}

// sizeBound is what the prompt takes at most by its size, without counting, tokens.
func (c *call) sizeBound() int64 {
	if c.reservesAll() {
		return c.prompt // boundable has found it
	}
	return int64(c.family.Encoding.Bound(c.request.Messages, c.request.Tools))
}

// shows is whether a stream shows all that the call takes, whoever answers.
func (c *call) shows() bool {
	defer turn(c.size)()
	return c.request.Stream && c.request.N <= maxChoices && !slices.ContainsFunc(c.families, func(f charge.Family) bool { return !charge.Countable(c.request, f) })
}

// reserved is what must be reserved for a prompt: with what each completion may
// be charged of a prediction.
func (c *call) reserved(p charge.Prompt) int64 {
	return sum(p.Tokens, c.request.CompletionTokensAt(p.Prediction))
}

// count finds what is reserved of the prompt: with all to be reserved the most
// that any of the models that may answer takes, else an estimate.
func (c *call) count() error {
	if !c.reservesAll() {
		return c.estimatePrompt()
	}
	c.weights = c.weighAll(c.request, 0)
	c.prompt = 0
	for _, p := range c.weights {
		c.prompt = max(c.prompt, c.reserved(p))
	}
	if p := c.weight(); p.Known {
		c.estimate = p.Tokens
	}
	return nil
}

// estimatePrompt counts the prompt as the model that is likely to answer does.
func (c *call) estimatePrompt() error {
	defer turn(c.size)()
	prompt, err := c.family.Encoding.CountChat(c.request.Messages, c.request.Tools)
	if err != nil {
		return badRequest("messages", err.Error())
	}
	c.estimate = int64(prompt)
	if c.trusted == 0 && !c.reservesAll() {
		c.prompt = c.estimate
	}
	return nil
}

// weight is what the prompt takes for the model that answers.
func (c *call) weight() charge.Prompt {
	if c.late != nil {
		<-c.late.done
		c.weights, c.late = c.late.weights, nil
	}
	if c.weights == nil {
		c.weights = c.weighAll(c.request, c.estimate)
	}
	return c.weights[max(0, slices.Index(c.families, c.family))]
}

// promptTokens is what the prompt is charged where nobody told it.
func (c *call) promptTokens() int64 { return c.weight().Tokens }

// known is the charge of a call that nothing escapes our count of, and whether it
// is one: all is written into its stream, or its answer is whole, and each
// choice's text is kept apart from the others'.
func (c *call) known(seen int64, unread bool) (limit.Usage, bool) {
	return c.counted(seen), c.weight().Known && !unread && c.request.N <= maxChoices
}

// counted is the charge by our count: with what a stop sequence may keep out of
// each choice.
func (c *call) counted(seen int64) limit.Usage {
	p := c.weight()
	return limit.Usage{PromptTokens: p.Tokens, CompletionTokens: sum(seen, c.request.CompletionTokensAt(p.Withheld))}
}

// bounded is the charge of a call that our count may miss some of: what it can
// have taken at most, if its endpoint was at work until now and goes on for a while.
func (c *call) bounded(seen int64, goesOn time.Duration, rate int64) limit.Usage {
	p := c.weight()
	completion := charge.Completion{Choices: c.request.N, Cap: c.mostOfEach(), Prediction: p.Prediction, Reserved: c.reservesAll(),
		Elapsed: time.Since(c.asked) + goesOn, Rate: rate, Seen: seen}
	return limit.Usage{PromptTokens: p.Tokens, CompletionTokens: completion.Bound()}
}

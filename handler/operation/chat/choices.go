package chat

import (
	"slices"

	"tollgate/handler/limit"
	"tollgate/handler/operation"
	"tollgate/handler/operation/lax"
)

// maxChoices is the most choices that are tracked: OpenAI's highest n.
const maxChoices = 128

// choices tracks a call's choices through an answer.
type choices struct {
	each []choiceState // in the order in which they began
	more bool          // there are more choices than are tracked
}

// add updates the choices with those of a payload.
func (c *choices) add(all []choiceState) {
	for _, one := range all {
		i := slices.IndexFunc(c.each, func(c choiceState) bool { return c.index == one.index })
		switch {
		case i < 0 && len(c.each) == maxChoices:
			c.more = true
			continue
		case i < 0:
			c.each = append(c.each, one)
			continue
		}
		known := &c.each[i]
		known.finished = one.finished || known.finished && !one.written
		known.written = known.written || one.written
		if one.report >= known.report {
			known.usage, known.report = one.usage, one.report
		}
	}
}

// finished reports whether every choice that began has ended: it has a finish_reason
// and no text after that.
func (c *choices) finished() bool {
	return len(c.each) > 0 && !c.more && !slices.ContainsFunc(c.each, func(c choiceState) bool { return !c.finished })
}

// usage returns the sum of the usage that the choices themselves report, as with
// Moonshot's models. known is true if any choice reports usage and every other one
// has ended.
func (c *choices) usage() (sum limit.Usage, known bool) {
	for _, one := range c.each {
		switch {
		case one.report == operation.UsageGood && !(one.written && one.usage.CompletionTokens == 0):
			sum, known = lax.Plus(sum, one.usage), true
		case !one.finished:
			return limit.Usage{}, false
		}
	}
	return sum, known && !c.more
}

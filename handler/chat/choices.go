package chat

import "slices"

// mostChoices bounds the choices that are told apart: OpenAI's most for n.
const mostChoices = 128

// choices follows a call's choices through an answer.
type choices struct {
	each []read // by index, as far as they have come
	more bool   // there are too many to tell apart
}

// add notes what a payload holds of them.
func (c *choices) add(all []read) {
	for _, one := range all {
		i := slices.IndexFunc(c.each, func(r read) bool { return r.index == one.index })
		switch {
		case i < 0 && len(c.each) == mostChoices:
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

// finished is whether each choice that began has ended: it has a finish_reason, and
// no text after it.
func (c *choices) finished() bool {
	return len(c.each) > 0 && !c.more && !slices.ContainsFunc(c.each, func(r read) bool { return !r.finished })
}

// usage is what the choices say that they took, as Moonshot's models do. It is told
// if any says so and none is still under way without.
func (c *choices) usage() (sum Usage, told bool) {
	for _, one := range c.each {
		switch {
		case one.report == UsageTold && !(one.written && one.usage.CompletionTokens == 0):
			sum, told = sum.plus(one.usage), true
		case !one.finished:
			return Usage{}, false
		}
	}
	return sum, told && !c.more
}

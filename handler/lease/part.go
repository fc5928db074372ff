package lease

import (
	"tollgate/handler/limit"
)

// An outlook is what a joint call can expect of one of its counters, as far as
// its instance knows.
type outlook int

const (
	unknown outlook = iota // the store must be asked
	fits                   // it may take what it asks now
	later                  // it will fit within its time
	refused
	down // nothing can be decided
)

// A prospect is an outlook with what it rests on.
type prospect struct {
	outlook
	decision limit.Decision
}

// A jointPart is a Joint's part in one counter.
type jointPart struct {
	call   call
	terms  Terms
	stance stance
	told   prospect
}

// A stance is where a Joint stands with one of its counters.
type stance int

const (
	apart   stance = iota // not in its queue
	queued                // in its queue, perhaps with a claim
	inquiry               // it has asked how it would be decided
	decided               // told says so
)

// begin tells an agent of a new call: its terms, and what it asks.
func (p *jointPart) begin(at Moment, a *Agent) {
	p.call.begun = at.Time
	a.adopt(at, p.terms.Limits)
	a.alertAt = p.terms.AlertAt
	if most := a.limits.MaxGrant(p.call.ask); most > 0 {
		a.size.demand.AddCall(most, at.Time)
	}
}

// look returns the prospect in the counter. A refusal in shadow doesn't count.
func (p *jointPart) look(at Moment, a *Agent) prospect {
	found := p.told
	if p.stance == queued {
		a.serve(at.Time)
	}
	switch c := a.queue.of(p.call.id); {
	case p.stance == queued && c != nil:
		found = p.inQueue(at, a, c)
	case p.stance == inquiry && a.queue.asks(p.call.id):
		found = prospect{outlook: unknown}
	case p.stance != decided: // or the store went down, and its question came to nothing
		p.stance = apart
		found = p.expect(at, a)
	}
	if found.outlook == refused && p.call.ask.Shadow && !p.call.ask.UpperBound {
		found.outlook = fits
	}
	return found
}

// inQueue returns the prospect of a call in the queue.
func (p *jointPart) inQueue(at Moment, a *Agent, c *call) prospect {
	switch {
	case c.claimed:
		return prospect{fits, p.fitting(at, a)}
	case c.parked && !c.blocked:
		d, _ := a.judge(c, at.Time)
		return prospect{later, d}
	}
	return prospect{unknown, p.fitting(at, a)}
}

// expect returns the prospect of a call that is not in the queue.
func (p *jointPart) expect(at Moment, a *Agent) prospect {
	switch {
	case a.inHand(p.call.ask.Amount, at.Time):
		return prospect{fits, p.fitting(at, a)}
	case a.trouble.bypass(at):
		a.trouble.probe(at)
		return p.withoutStore(at, a)
	case !a.refusal.holds(at.Time) || a.unsettled():
		return prospect{unknown, p.fitting(at, a)}
	}
	switch d, parks := a.judge(&p.call, at.Time); {
	case d.Verdict == limit.Granted: // a write must lease it
		return prospect{unknown, p.fitting(at, a)}
	case parks:
		return prospect{later, d}
	default:
		return prospect{refused, d}
	}
}

// fitting returns the decision of a call that fits as far as is known, and takes
// nothing.
func (p *jointPart) fitting(at Moment, a *Agent) limit.Decision {
	return limit.Decision{Least: p.call.ask.Needed(), Standing: a.standing(at.Time)}
}

// withoutStore is expect by the call's terms for a store that is down.
func (p *jointPart) withoutStore(at Moment, a *Agent) prospect {
	a.beginShare(at.Time)
	switch {
	case p.call.onDown == limit.FailOpen || p.call.ask.Shadow:
	case p.call.onDown != limit.Degrade:
		return prospect{outlook: down}
	default:
		if d := a.decideByShare(p.call.ask, at.Time); d.Verdict != limit.Granted {
			return prospect{refused, d}
		}
	}
	return prospect{fits, p.fitting(at, a)}
}

// enter puts the call in the queue. parked: it waits there until it fits.
func (p *jointPart) enter(at Moment, a *Agent, parked bool) {
	p.stance = queued
	c := p.call
	c.parked = parked
	a.enter(c, at.Time)
}

// inquire asks the store how the call would be decided, without a place in the
// queue.
func (p *jointPart) inquire(a *Agent) {
	p.stance = inquiry
	about := p.call
	a.queue.questions = append(a.queue.questions, question{id: about.id, times: a.known.times, about: &about})
}

// leave takes the call, or its question, out of the queue.
func (p *jointPart) leave(at Moment, a *Agent) {
	if p.stance == queued || p.stance == inquiry {
		a.Leave(at, p.call.id)
		p.stance = apart
	}
}

// take takes what look found that the call may take.
func (p *jointPart) take(at Moment, a *Agent, found limit.Decision) Answer {
	p.stance = apart
	if found.Verdict != limit.Granted { // in shadow
		return a.refuse(p.call.id, p.call.ask, found)
	}
	amount, claimed := p.call.ask.Amount, false
	if c := a.queue.of(p.call.id); c != nil {
		amount, claimed = c.claim, true
		a.queue.remove(c.id)
	}
	if !claimed && !a.inHand(amount, at.Time) {
		return a.withoutStore(p.call.id, p.call.ask, p.call.onDown, at.Time)
	}
	hold, _ := a.holder.Reserve(amount, at.Time)
	answer := a.grant(p.call.id, hold, p.call.ask, at.Time)
	a.retry(at.Time)
	return answer
}

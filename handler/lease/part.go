package lease

import (
	"tollgate/handler/limit"
)

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

// refresh gives the call what it can have in the queue, and notes whether it is
// still there: while the store is down, neither calls nor questions are.
func (p *jointPart) refresh(at Moment, a *Agent) {
	if p.stance == queued {
		a.serve(at.Time)
	}
	if p.stance == queued && a.queue.of(p.call.id) == nil || p.stance == inquiry && !a.queue.asks(p.call.id) {
		p.stance = apart
	}
}

// look returns the prospect in the counter. A refusal in shadow doesn't count.
func (p *jointPart) look(at Moment, a *Agent) (found prospect) {
	switch p.stance {
	case apart:
		found = a.expect(at, &p.call)
	case queued:
		found = p.inQueue(at, a)
	case decided:
		found = p.told
	case inquiry: // nothing is known yet
	}
	if found.outlook == refused && p.call.ask.Shadow && !p.call.ask.UpperBound {
		found.outlook = fits
	}
	return found
}

// inQueue returns the prospect of a call in the queue.
func (p *jointPart) inQueue(at Moment, a *Agent) prospect {
	switch c := a.queue.of(p.call.id); {
	case c.claimed:
		return prospect{outlook: fits, decision: limit.Decision{Amount: c.claim}}
	case c.parked && !c.blocked:
		d, _ := a.decide(c, at.Time)
		return prospect{outlook: later, decision: d}
	}
	return prospect{}
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
func (p *jointPart) take(at Moment, a *Agent, found *prospect) Answer {
	p.stance = apart
	granted := found.decision.Verdict == limit.Granted // not in shadow alone
	if granted {
		a.queue.remove(p.call.id)
	}
	answer := a.take(&p.call, found, at.Time)
	if granted && !found.storeless {
		a.retry(at.Time)
	}
	return answer
}

// answer returns the decision of a call that takes nothing.
func (p *jointPart) answer(at Moment, a *Agent, found *prospect) Answer {
	d := found.decision
	if d.Verdict == limit.Granted {
		d = limit.Decision{Least: p.call.ask.Needed(), Standing: a.standing(at.Time)}
	}
	return Answer{ID: p.call.id, Decision: d, Down: found.outlook == down}
}

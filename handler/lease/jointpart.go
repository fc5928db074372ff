package lease

import (
	"tollgate/handler/limit"
)

// A jointPart is a Joint's part in one counter.
type jointPart struct {
	call     call
	terms    Terms
	state    partState
	decision prospect
}

// A stance is where a Joint stands with one of its counters.
type partState int

const (
	notQueued partState = iota // not in its queue
	queued                     // in its queue, perhaps with a claim
	inquiring                  // it has asked how it would be decided
	decided                    // told says so
)

// refresh gives the call what it can have in the queue, and notes whether it is
// still there: while the store is down, neither calls nor questions are.
func (p *jointPart) refresh(at Moment, a *Agent) {
	if p.state == queued {
		a.serveFromLease(at.Time)
	}
	if p.state == queued && a.queue.find(p.call.id) == nil || p.state == inquiring && !a.queue.hasQuestion(p.call.id) {
		p.state = notQueued
	}
}

// look returns the prospect in the counter. A refusal in shadow doesn't count.
func (p *jointPart) prospect(at Moment, a *Agent) (found prospect) {
	switch p.state {
	case notQueued:
		found = a.decideNew(at, &p.call)
	case queued:
		found = p.inQueue(at, a)
	case decided:
		found = p.decision
	case inquiring: // nothing is known yet
	}
	if found.outlook == doesNotFit && p.call.ask.Shadow && !p.call.ask.UpperBound {
		found.outlook = fitsNow
	}
	return found
}

// inQueue returns the prospect of a call in the queue.
func (p *jointPart) inQueue(at Moment, a *Agent) prospect {
	switch c := a.queue.find(p.call.id); {
	case c.claimed:
		return prospect{outlook: fitsNow, decision: limit.Decision{Amount: c.claim}}
	case c.parked && !c.blocked:
		d, _ := a.decideFromKnown(c, at.Time)
		return prospect{outlook: fitsLater, decision: d}
	}
	return prospect{}
}

// enter puts the call in the queue. parked: it waits there until it fits.
func (p *jointPart) enqueue(at Moment, a *Agent, parked bool) {
	p.state = queued
	c := p.call
	c.parked = parked
	a.enqueue(c, at.Time)
}

// inquire asks the store how the call would be decided, without a place in the
// queue.
func (p *jointPart) inquire(a *Agent) {
	p.state = inquiring
	about := p.call
	a.queue.questions = append(a.queue.questions, question{id: about.id, refreshes: a.known.refreshes, call: &about})
}

// leave takes the call, or its question, out of the queue.
func (p *jointPart) leave(at Moment, a *Agent) {
	if p.state == queued || p.state == inquiring {
		a.Leave(at, p.call.id)
		p.state = notQueued
	}
}

// take takes what look found that the call may take.
func (p *jointPart) take(at Moment, a *Agent, found *prospect) Answer {
	p.state = notQueued
	granted := found.decision.Verdict == limit.Granted // not in shadow alone
	if granted {
		a.queue.remove(p.call.id)
	}
	answer := a.conclude(&p.call, found, at.Time)
	if granted && !found.withoutStore {
		a.retry(at.Time)
	}
	return answer
}

// answer returns the decision of a call that takes nothing.
func (p *jointPart) answer(at Moment, a *Agent, found *prospect) Answer {
	d := found.decision
	if d.Verdict == limit.Granted {
		d = limit.Decision{Min: p.call.ask.Needed(), Standing: a.standing(at.Time)}
	}
	return Answer{ID: p.call.id, Decision: d, Down: found.outlook == undecidable}
}

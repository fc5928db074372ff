package lease

import (
	"tollgate/handler/limit"
)

// A jointPart is a JointCall's part at one counter.
type jointPart struct {
	call     call
	terms    Terms
	state    partState
	decision prospect
}

// A partState says what a JointCall has going on at one counter.
type partState int

const (
	notQueued partState = iota // not in its queue
	queued                     // in its queue, perhaps with a claim
	inquiring                  // it waits for an answer how it would be decided, outside the queue
	decided                    // by the answer in decision
)

// refresh lets the queued call claim what it can, and notes whether it is still in
// the queue: when the store goes down, the agent drops its calls and questions.
func (p *jointPart) refresh(at Moment, a *Agent) {
	if p.state == queued {
		a.serveFromLease(at.Time)
	}
	if p.state == queued && a.queue.find(p.call.id) == nil || p.state == inquiring && !a.queue.hasQuestion(p.call.id) {
		p.state = notQueued
	}
}

// prospect returns the call's prospect at the counter. A refusal in shadow counts as
// fitting.
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

// inQueue returns the prospect of a queued call.
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

// enqueue puts the call in the queue. If parked, it waits there until it fits.
func (p *jointPart) enqueue(at Moment, a *Agent, parked bool) {
	p.state = queued
	c := p.call
	c.parked = parked
	a.enqueue(c, at.Time)
}

// inquire asks how the call would be decided by a fresh row, without queueing it.
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

// take takes what the prospect says that the call may take.
func (p *jointPart) take(at Moment, a *Agent, outcome *prospect) Answer {
	p.state = notQueued
	granted := outcome.decision.Verdict == limit.Granted // false if it fits only because it is in shadow
	if granted {
		a.queue.remove(p.call.id)
	}
	answer := a.conclude(&p.call, outcome, at.Time)
	if granted && !outcome.withoutStore {
		a.retry(at.Time)
	}
	return answer
}

// answer returns the part's decision for a call that takes nothing.
func (p *jointPart) answer(at Moment, a *Agent, found *prospect) Answer {
	d := found.decision
	if d.Verdict == limit.Granted {
		d = limit.Decision{Min: p.call.ask.Needed(), Standing: a.standing(at.Time)}
	}
	return Answer{ID: p.call.id, Decision: d, Down: found.outlook == undecidable}
}

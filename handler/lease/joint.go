package lease

import (
	"slices"

	"tollgate/handler/limit"
)

// A Part is what a call asks of one of its counters.
type Part struct {
	Terms Terms
	Ask   limit.Ask
}

// A Joint is a call that needs several counters: it takes what it asks of all of
// them, or nothing. Like an Agent it is pure: whoever drives it holds all its
// agents still while it decides, and decides again when one of them has an
// Answer for it.
//
// It holds nothing before it takes all. Where a counter has what it asks, that
// is set aside in the instance's lease, as a claim: others neither get it nor are
// refused because of it, and ending a claim costs nothing. Of two calls that
// claim the same, the one that came first gets it, in every counter alike; so
// however they meet, the first one goes on.
type Joint struct {
	parts []jointPart
	begun bool
	waits int // the part in whose queue it waits for its turn; -1: in none
}

// NewJoint returns a call that came after all with lower ids, and needs
// several counters.
func NewJoint(id int64, parts []Part) *Joint {
	j := &Joint{parts: make([]jointPart, len(parts)), waits: -1}
	for i, p := range parts {
		j.parts[i] = jointPart{terms: p.Terms, call: call{id: id, ask: p.Ask, onDown: p.Terms.OnStoreDown, wait: p.Terms.MaxWait, joint: true}}
	}
	return j
}

// Clone returns a copy that shares nothing that either side changes.
func (j *Joint) Clone() *Joint {
	copied := *j
	copied.parts = slices.Clone(j.parts)
	return &copied
}

// Hear takes an agent's Answer. It needs only this agent held still.
func (j *Joint) Hear(i int, a Answer) {
	p := &j.parts[i]
	switch {
	case a.Again:
	case a.Decision.Verdict == limit.Granted:
		p.stance, p.told = decided, prospect{outlook: fits, decision: a.Decision}
	case a.Parks:
		p.stance, p.told = decided, prospect{outlook: later, decision: a.Decision}
	default:
		p.stance, p.told = decided, prospect{outlook: refused, decision: a.Decision}
	}
}

// An Outcome is that of a Joint, so far.
type Outcome int

// The outcomes.
const (
	Waits Outcome = iota // decide again when an agent has an Answer
	Taken                // each part has its hold
	Refused
	Failed // a counter can't decide: its Answer is Down
)

// Decide decides the call: what it takes, or the decision of each part where one
// refuses. What a refusing call would get elsewhere has the verdict Granted and
// no amount.
func (j *Joint) Decide(at Moment, agents []*Agent) (Outcome, []Answer) {
	j.begin(at, agents)
	if j.waits >= 0 {
		p, a := &j.parts[j.waits], agents[j.waits]
		p.refresh(at, a)
		if p.stance == queued && p.look(at, a).outlook == later {
			return Waits, nil
		}
		j.waits = -1
	}
	prospects := j.survey(at, agents)
	if !has(prospects, down, refused, later) && j.reopen() {
		prospects = j.survey(at, agents)
	}
	if !has(prospects, down, refused, later) && has(prospects, unknown) {
		j.enter(at, agents, prospects)
		prospects = j.survey(at, agents)
	}
	switch {
	case has(prospects, down):
		j.Leave(at, agents)
		return Failed, j.answers(at, agents, prospects)
	case has(prospects, refused, later):
		return j.giveWay(at, agents, prospects)
	case has(prospects, unknown):
		return Waits, nil
	}
	return Taken, j.take(at, agents, prospects)
}

// begin takes the first look at the agents.
func (j *Joint) begin(at Moment, agents []*Agent) {
	if j.begun {
		return
	}
	j.begun = true
	for i := range j.parts {
		p := &j.parts[i]
		p.call.begun = at.Time
		agents[i].meet(at, &p.terms, p.call.ask)
	}
}

// has reports whether any of the prospects is one of these.
func has(prospects []prospect, outlooks ...outlook) bool {
	return slices.ContainsFunc(prospects, func(p prospect) bool { return slices.Contains(outlooks, p.outlook) })
}

// survey returns the prospects of all parts, as they are now.
func (j *Joint) survey(at Moment, agents []*Agent) []prospect {
	prospects := make([]prospect, len(j.parts))
	for i := range j.parts {
		j.parts[i].refresh(at, agents[i])
		prospects[i] = j.parts[i].look(at, agents[i])
		agents[i].heed(at, &prospects[i])
	}
	return prospects
}

// reopen drops the answers that said that the call would fit, when nothing else is
// against it any more: they set nothing aside. It reports whether there were any.
func (j *Joint) reopen() (reopened bool) {
	for i := range j.parts {
		if p := &j.parts[i]; p.stance == decided && p.told.decision.Verdict == limit.Granted {
			p.stance, reopened = apart, true
		}
	}
	return reopened
}

// enter puts the call in the queues of its counters, so that they set aside what
// it asks or ask the store, all at the same time. Where the store is down, or
// the call is refused in shadow, there is nothing to set aside.
func (j *Joint) enter(at Moment, agents []*Agent, prospects []prospect) {
	for i := range j.parts {
		p := &j.parts[i]
		shadowed := prospects[i].decision.Verdict != limit.Granted
		if p.stance != apart || shadowed || prospects[i].outlook == fits && agents[i].trouble.bypass(at) {
			continue
		}
		p.enter(at, agents[i], false)
	}
}

// giveWay ends the call's claims, because a counter refuses it or makes it wait,
// and answers once all counters that were asked have decided. Then it is
// refused, or waits in one queue.
func (j *Joint) giveWay(at Moment, agents []*Agent, prospects []prospect) (Outcome, []Answer) {
	refuses, open := has(prospects, refused), false
	for i := range j.parts {
		p, found := &j.parts[i], prospects[i].outlook
		asked := p.stance == queued
		if asked && found != later {
			p.leave(at, agents[i])
			p.stance, p.told = decided, prospects[i]
		}
		if found == unknown && (asked || p.stance == apart && !refuses) {
			p.inquire(agents[i])
		}
		open = open || p.stance == inquiry
	}
	switch {
	case open:
		return Waits, nil
	case refuses:
		j.Leave(at, agents)
		return Refused, j.answers(at, agents, prospects)
	}
	j.queueAtLast(at, agents, prospects)
	return Waits, nil
}

// queueAtLast lets the call wait in the queue of the counter that fits it last,
// and in no other.
func (j *Joint) queueAtLast(at Moment, agents []*Agent, prospects []prospect) {
	last := -1
	for i := range prospects {
		if prospects[i].outlook == later && (last < 0 || prospects[i].decision.RetryAfter > prospects[last].decision.RetryAfter) {
			last = i
		}
	}
	for i := range j.parts {
		if p := &j.parts[i]; i != last {
			p.leave(at, agents[i])
			p.stance = apart
		}
	}
	j.waits = last
	if p := &j.parts[last]; p.stance != queued {
		p.enter(at, agents[last], true)
	}
}

// take takes what all counters have.
func (j *Joint) take(at Moment, agents []*Agent, prospects []prospect) []Answer {
	answers := make([]Answer, len(j.parts))
	for i := range j.parts {
		answers[i] = j.parts[i].take(at, agents[i], &prospects[i])
	}
	return answers
}

// answers returns the decisions of a call that takes nothing.
func (j *Joint) answers(at Moment, agents []*Agent, prospects []prospect) []Answer {
	answers := make([]Answer, len(prospects))
	for i := range prospects {
		answers[i] = j.parts[i].answer(at, agents[i], &prospects[i])
	}
	return answers
}

// Leave takes the call out of all queues.
func (j *Joint) Leave(at Moment, agents []*Agent) {
	for i := range j.parts {
		j.parts[i].leave(at, agents[i])
	}
}

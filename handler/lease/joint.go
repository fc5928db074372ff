package lease

import (
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
	id    int64
	parts []jointPart
	begun bool
	waits int // the part in whose queue it waits for its turn; -1: in none
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

// NewJoint returns a call that came after all with lower ids, and needs
// several counters.
func NewJoint(id int64, parts []Part) *Joint {
	j := &Joint{id: id, parts: make([]jointPart, len(parts)), waits: -1}
	for i, p := range parts {
		j.parts[i] = jointPart{terms: p.Terms, call: call{id: id, ask: p.Ask, onDown: p.Terms.OnStoreDown, wait: p.Terms.MaxWait, joint: true}}
	}
	return j
}

// Clone returns a copy that shares nothing that either side changes.
func (j *Joint) Clone() *Joint {
	copied := *j
	copied.parts = append([]jointPart(nil), j.parts...)
	return &copied
}

// Apart reports whether the call has no part in a counter at the moment.
func (j *Joint) Apart(i int) bool { return j.parts[i].stance == apart }

// Hear takes an agent's Answer.
func (j *Joint) Hear(i int, a Answer) {
	p := &j.parts[i]
	switch {
	case a.Again:
	case a.Decision.Verdict == limit.Granted:
		p.stance, p.told = decided, prospect{fits, a.Decision}
	case a.Parks:
		p.stance, p.told = decided, prospect{later, a.Decision}
	default:
		p.stance, p.told = decided, prospect{refused, a.Decision}
	}
}

// An Outcome is that of a Joint, so far.
type Outcome int

// The outcomes.
const (
	Waits Outcome = iota // decide again when an agent has an Answer
	Taken                // each part has its hold
	Refused
	Failed // a part can't be decided: Answers says which
)

// Decide decides the call: what it takes, or the decision of each part where one
// refuses. What a refusing call would get elsewhere has the verdict Granted and
// no amount.
func (j *Joint) Decide(at Moment, agents []*Agent) (Outcome, []Answer) {
	j.begin(at, agents)
	if j.waits >= 0 {
		if p, still := agents[j.waits].inQueue(at, j.id); still && p.outlook == later {
			return Waits, nil
		}
		j.waits = -1
	}
	prospects := j.look(at, agents)
	if !has(prospects, down, refused, later) && j.reopen() {
		prospects = j.look(at, agents)
	}
	if !has(prospects, down, refused, later) && has(prospects, unknown) {
		j.enter(at, agents, prospects)
		prospects = j.look(at, agents)
	}
	switch {
	case has(prospects, down):
		j.Leave(at, agents)
		return Failed, j.answers(prospects)
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
		agents[i].welcome(at, &p.call, p.terms)
	}
}

// has reports whether any of the prospects is one of these.
func has(prospects []prospect, any ...outlook) bool {
	for _, p := range prospects {
		for _, o := range any {
			if p.outlook == o {
				return true
			}
		}
	}
	return false
}

// look returns the prospects of all parts. A refusal in shadow doesn't count.
func (j *Joint) look(at Moment, agents []*Agent) []prospect {
	prospects := make([]prospect, len(j.parts))
	for i := range j.parts {
		p := &j.parts[i]
		found := p.told
		switch p.stance {
		case queued:
			var still bool
			if found, still = agents[i].inQueue(at, j.id); still {
				break
			}
			p.stance = apart
			fallthrough
		case apart:
			found = agents[i].expect(at, &p.call)
		case inquiry:
			found = prospect{outlook: unknown}
			if agents[i].queue.asks(j.id) {
				break
			}
			p.stance = apart // the store went down
			found = agents[i].expect(at, &p.call)
		}
		if found.outlook == refused && p.call.ask.Shadow && !p.call.ask.UpperBound {
			found.outlook = fits
		}
		prospects[i] = found
	}
	return prospects
}

// reopen drops the answers that said that the call would fit, when nothing else is
// against it any more: they set nothing aside. It reports whether there were any.
func (j *Joint) reopen() (any bool) {
	for i := range j.parts {
		if p := &j.parts[i]; p.stance == decided && p.told.decision.Verdict == limit.Granted {
			p.stance, any = apart, true
		}
	}
	return any
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
		p.stance = queued
		agents[i].enter(p.call, at.Time)
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
			agents[i].Leave(at, j.id)
			p.stance, p.told = decided, prospects[i]
		}
		if found == unknown && (asked || p.stance == apart && !refuses) {
			p.stance = inquiry
			agents[i].inquire(p.call)
		}
		open = open || p.stance == inquiry
	}
	switch {
	case open:
		return Waits, nil
	case refuses:
		j.Leave(at, agents)
		return Refused, j.answers(prospects)
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
			if p.stance == queued {
				agents[i].Leave(at, j.id)
			}
			p.stance = apart
		}
	}
	j.waits = last
	p := &j.parts[last]
	if p.stance == queued {
		return
	}
	p.stance = queued
	waiting := p.call
	waiting.parked = true
	agents[last].enter(waiting, at.Time)
}

// take takes what all counters have.
func (j *Joint) take(at Moment, agents []*Agent, prospects []prospect) []Answer {
	answers := make([]Answer, len(j.parts))
	for i := range j.parts {
		p := &j.parts[i]
		if d := prospects[i].decision; d.Verdict != limit.Granted { // in shadow
			answers[i] = agents[i].refuse(j.id, p.call.ask, d)
		} else {
			answers[i] = agents[i].take(at, &p.call)
		}
		p.stance = apart
	}
	return answers
}

// answers returns the decisions of a call that takes nothing.
func (j *Joint) answers(prospects []prospect) []Answer {
	answers := make([]Answer, len(prospects))
	for i, p := range prospects {
		answers[i] = Answer{ID: j.id, Decision: p.decision, Down: p.outlook == down}
	}
	return answers
}

// Leave takes the call out of all queues.
func (j *Joint) Leave(at Moment, agents []*Agent) {
	for i := range j.parts {
		if p := &j.parts[i]; p.stance == queued || p.stance == inquiry {
			agents[i].Leave(at, j.id)
			p.stance = apart
		}
	}
}

package lease

import (
	"slices"

	"tollgate/handler/limit"
)

// A Part is what a JointCall asks of one counter.
type Part struct {
	Terms Terms
	Ask   limit.Ask
}

// A JointCall is a call that needs several counters: it takes what it asks of all
// of them, or nothing. Like an Agent it is pure: its driver keeps all of its agents
// from changing while it calls Decide, and calls Decide again when one of them has an
// Answer for the call.
//
// It holds nothing until it takes everything. If a counter has what the call asks,
// that is set aside in the instance's lease, as a claim: other calls neither get it
// nor are refused because of it, and ending a claim costs nothing. If two calls want
// to claim the same amount, the one that came first gets it, in every counter. So
// however they meet, the first one goes on.
type JointCall struct {
	parts     []jointPart
	started   bool
	waitingAt int // the part in whose queue alone it waits for its turn; -1: none
}

// NewJointCall returns a call that needs several counters. It comes after all calls
// with lower ids.
func NewJointCall(id int64, parts []Part) *JointCall {
	j := &JointCall{parts: make([]jointPart, len(parts)), waitingAt: -1}
	for i, p := range parts {
		j.parts[i] = jointPart{terms: p.Terms, call: call{id: id, ask: p.Ask, onDown: p.Terms.OnStoreDown, maxWait: p.Terms.MaxWait, joint: true}}
	}
	return j
}

// Clone returns a copy that shares nothing that either side changes.
func (j *JointCall) Clone() *JointCall {
	copied := *j
	copied.parts = slices.Clone(j.parts)
	return &copied
}

// Answered handles the Answer of the agent of part i. The other agents may change
// meanwhile.
func (j *JointCall) Answered(i int, a Answer) {
	if a.DecideAgain {
		return
	}
	found := doesNotFit
	switch {
	case a.Decision.Verdict == limit.Granted:
		found = fitsNow
	case a.MayQueue:
		found = fitsLater
	}
	p := &j.parts[i]
	p.state, p.decision = decided, prospect{outlook: found, decision: a.Decision}
}

// An Outcome says how far the decision of a JointCall has come.
type Outcome int

// The outcomes.
const (
	Waits   Outcome = iota // call Decide again when an agent has an Answer
	Taken                  // each part has its hold
	Refused                // at least one counter refuses
	Failed                 // a counter can't decide: its Answer is Down
)

// Decide decides the call. If it is taken, each Answer has a hold. Otherwise, unless
// the call waits, each Answer has its part's decision: a part that would have fit has
// the verdict Granted and no amount.
func (j *JointCall) Decide(at Moment, agents []*Agent) (Outcome, []Answer) {
	j.start(at, agents)
	if j.waitingAt >= 0 { // only that queue counts until its turn comes
		p, a := &j.parts[j.waitingAt], agents[j.waitingAt]
		p.refresh(at, a)
		if p.state == queued && p.prospect(at, a).outlook == fitsLater {
			return Waits, nil
		}
		j.waitingAt = -1
	}
	prospects := j.survey(at, agents)
	if !has(prospects, undecidable, doesNotFit, fitsLater) && j.reopen() {
		prospects = j.survey(at, agents)
	}
	if !has(prospects, undecidable, doesNotFit, fitsLater) && has(prospects, unknown) {
		// Nothing is known to be against the call, so claim what it asks everywhere.
		j.enqueue(at, agents, prospects)
		prospects = j.survey(at, agents)
	}
	switch {
	case has(prospects, undecidable):
		j.Leave(at, agents)
		return Failed, j.answers(at, agents, prospects)
	case has(prospects, doesNotFit, fitsLater):
		return j.giveWay(at, agents, prospects)
	case has(prospects, unknown):
		return Waits, nil
	}
	return Taken, j.take(at, agents, prospects)
}

// start records the call's terms and demand at its agents, the first time.
func (j *JointCall) start(at Moment, agents []*Agent) {
	if j.started {
		return
	}
	j.started = true
	for i := range j.parts {
		p := &j.parts[i]
		p.call.arrived = at.Time
		agents[i].noteCall(at, &p.terms, p.call.ask)
	}
}

// has reports whether any of the prospects has one of these outlooks.
func has(prospects []prospect, outlooks ...outlook) bool {
	return slices.ContainsFunc(prospects, func(p prospect) bool { return slices.Contains(outlooks, p.outlook) })
}

// survey returns the current prospects of all parts.
func (j *JointCall) survey(at Moment, agents []*Agent) []prospect {
	prospects := make([]prospect, len(j.parts))
	for i := range j.parts {
		j.parts[i].refresh(at, agents[i])
		prospects[i] = j.parts[i].prospect(at, agents[i])
		agents[i].noteWithoutStore(at, &prospects[i])
	}
	return prospects
}

// reopen drops the answers to inquiries which said that the call would fit, as these
// set nothing aside. It reports whether there were any. It is called once no part
// refuses the call or makes it wait.
func (j *JointCall) reopen() (reopened bool) {
	for i := range j.parts {
		if p := &j.parts[i]; p.state == decided && p.decision.decision.Verdict == limit.Granted {
			p.state, reopened = notQueued, true
		}
	}
	return reopened
}

// enqueue puts the call in the queues of its counters, all at the same time, so that
// each sets aside what the call asks, or asks the store for it. A part has nothing to
// set aside if the store is down, or if it is refused in shadow.
func (j *JointCall) enqueue(at Moment, agents []*Agent, prospects []prospect) {
	for i := range j.parts {
		p := &j.parts[i]
		shadowed := prospects[i].decision.Verdict != limit.Granted
		if p.state != notQueued || shadowed || prospects[i].outlook == fitsNow && agents[i].health.bypass(at) {
			continue
		}
		p.enqueue(at, agents[i], false)
	}
}

// giveWay ends the call's claims, because a counter refuses it or makes it wait.
// Once all counters that were asked have decided, the call is refused, or waits in
// one queue.
func (j *JointCall) giveWay(at Moment, agents []*Agent, prospects []prospect) (Outcome, []Answer) {
	refuses, open := has(prospects, doesNotFit), false
	for i := range j.parts {
		p, found := &j.parts[i], prospects[i].outlook
		asked := p.state == queued
		if asked && found != fitsLater {
			p.leave(at, agents[i])
			p.state, p.decision = decided, prospects[i]
		}
		if found == unknown && (asked || p.state == notQueued && !refuses) {
			p.inquire(agents[i])
		}
		open = open || p.state == inquiring
	}
	switch {
	case open:
		return Waits, nil
	case refuses:
		j.Leave(at, agents)
		return Refused, j.answers(at, agents, prospects)
	}
	j.waitWhereFitsLast(at, agents, prospects)
	return Waits, nil
}

// waitWhereFitsLast puts the call in the queue of the counter that will be the last
// one to have room for it, and in no other.
func (j *JointCall) waitWhereFitsLast(at Moment, agents []*Agent, prospects []prospect) {
	last := -1
	for i := range prospects {
		if prospects[i].outlook == fitsLater && (last < 0 || prospects[i].decision.RetryAfter > prospects[last].decision.RetryAfter) {
			last = i
		}
	}
	for i := range j.parts {
		if p := &j.parts[i]; i != last {
			p.leave(at, agents[i])
			p.state = notQueued
		}
	}
	j.waitingAt = last
	if p := &j.parts[last]; p.state != queued {
		p.enqueue(at, agents[last], true)
	}
}

// take takes what the call asks from all counters.
func (j *JointCall) take(at Moment, agents []*Agent, prospects []prospect) []Answer {
	answers := make([]Answer, len(j.parts))
	for i := range j.parts {
		answers[i] = j.parts[i].take(at, agents[i], &prospects[i])
	}
	return answers
}

// answers returns each part's decision for a call that takes nothing.
func (j *JointCall) answers(at Moment, agents []*Agent, prospects []prospect) []Answer {
	answers := make([]Answer, len(prospects))
	for i := range prospects {
		answers[i] = j.parts[i].answer(at, agents[i], &prospects[i])
	}
	return answers
}

// Leave takes the call out of all queues.
func (j *JointCall) Leave(at Moment, agents []*Agent) {
	for i := range j.parts {
		j.parts[i].leave(at, agents[i])
	}
}

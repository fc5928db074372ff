package model

import (
	"slices"

	"tollgate/handler/lease"
	"tollgate/handler/limit"
)

// reserveAll begins a joint call, which asks all of its counters at once.
func (s *state) reserveAll(n int) {
	w, k := s.world, &s.calls[n]
	parts := make([]lease.Part, len(s.rows))
	for c := range parts {
		parts[c] = lease.Part{
			Terms: lease.Terms{Limits: s.limits(k.owner), OnStoreDown: k.onDown, MaxWait: k.wait, AlertAt: w.Callers.AlertAt},
			Ask:   limit.Ask{Amount: k.ask, Min: w.Callers.MinAsk, Shadow: w.Callers.Shadow},
		}
		if c > 0 && w.Callers.AskElsewhere > 0 {
			parts[c].Ask.Amount = w.Callers.AskElsewhere
		}
	}
	k.joint = lease.NewJointCall(int64(n), parts)
	s.decide(n)
}

// wake records an agent's Answer for a joint call, which decides in a later step.
func (s *state) wake(n, c int, reply lease.Answer) {
	k := &s.calls[n]
	k.needs[c].heard = append(slices.Clone(k.needs[c].heard), reply)
	k.woken = true
	if !reply.DecideAgain && reply.Decision.Verdict != limit.Granted {
		k.needs[c].refusalSeen = true
		if !reply.MayQueue {
			s.checkRefused(n, c, reply)
		}
	}
}

// checkRefused checks the refusal of one part of a joint call, if the counter itself
// gave it.
func (s *state) checkRefused(n, c int, reply lease.Answer) {
	if v := reply.Decision.Verdict; !reply.Down && !reply.Decision.Degraded && (v == limit.RateExceeded || v == limit.QuotaExceeded) {
		s.checkRefusal(n, c)
	}
}

// decide has a joint call decide by all of its agents at one moment.
func (s *state) decide(n int) {
	k := &s.calls[n]
	k.joint, k.woken = k.joint.Clone(), false
	for c := range k.needs {
		for _, reply := range k.needs[c].heard {
			k.joint.Answered(c, reply)
		}
		k.needs[c].heard = nil
	}
	k = &s.calls[n]
	outcome, answers := k.joint.Decide(s.moment(k.owner), s.agents(k.owner))
	switch outcome {
	case lease.Waits:
	case lease.Taken:
		for c, reply := range answers {
			s.partDecided(n, c, reply)
		}
	default:
		k.phase, k.woken = refused, false
		for c, reply := range answers {
			if !k.needs[c].refusalSeen {
				s.checkRefused(n, c, reply)
			}
		}
	}
	s.hearAll(k.owner)
}

// agents returns an instance's agents, which this state may change.
func (s *state) agents(i int) (all []*lease.Agent) {
	for c := range s.rows {
		all = append(all, &s.own(i, c).agent)
	}
	return all
}

// hearAll takes the News of all of an instance's agents.
func (s *state) hearAll(i int) {
	for c := range s.rows {
		s.hear(i, c)
	}
}

// leaveAll takes a joint call out of all queues, as its caller leaves.
func (s *state) leaveAll(n int) {
	k := &s.calls[n]
	k.joint, k.woken = k.joint.Clone(), false
	k.joint.Leave(s.moment(k.owner), s.agents(k.owner))
	s.hearAll(k.owner)
}

// checkJoints checks Q4: no joint call waits for nothing, and one that waits for its turn
// does so in one queue and has no claim elsewhere.
func (s *state) checkJoints() {
	for n := range s.calls {
		k := &s.calls[n]
		if k.joint == nil || k.phase != waiting || k.woken || k.crashed || s.instances[k.owner].stage == closed {
			continue
		}
		entries, parked, open := 0, 0, 0
		for c := range k.needs {
			for _, one := range queueOf(&s.instances[k.owner].parts[c].agent) {
				if one.id != int64(n) {
					continue
				}
				entries++
				if one.parked {
					parked++
				}
				if !one.claimed {
					open++
				}
			}
			open += questionsOf(&s.instances[k.owner].parts[c].agent, int64(n))
		}
		switch {
		case open == 0:
			s.fail("Q4", "call %d waits although no agent has to decide anything for it", n)
		case parked > 0 && entries > 1:
			s.fail("Q4", "call %d waits for its turn in %d queues, want one", n, entries)
		}
	}
}

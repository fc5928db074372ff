package counter

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"tollgate/handler/lease"
	"tollgate/handler/limit"
)

// A jointCall drives a lease.JointCall, a call that needs several counters.
type jointCall struct {
	counter   *Counter
	id        int64
	joint     *lease.JointCall
	replicas  []*replica    // of the parts
	lockOrder []int         // the parts ordered by key: all calls lock in this order, so none deadlock
	changed   chan struct{} // has an element if an agent has answered since the last decision
}

func (c *Counter) newJointCall(parts []Part) (*jointCall, error) {
	j := &jointCall{counter: c, id: c.lastID.Add(1), replicas: make([]*replica, len(parts)),
		lockOrder: make([]int, len(parts)), changed: make(chan struct{}, 1)}
	asks := make([]lease.Part, len(parts))
	for i, p := range parts {
		j.lockOrder[i], asks[i] = i, lease.Part{Terms: p.Terms, Ask: p.Ask}
	}
	slices.SortFunc(j.lockOrder, func(a, b int) int { return cmp.Compare(parts[a].Key, parts[b].Key) })
	for n := 1; n < len(j.lockOrder); n++ {
		if key := parts[j.lockOrder[n]].Key; key == parts[j.lockOrder[n-1]].Key {
			return nil, fmt.Errorf("two parts of a call have the counter %q: give each its own", key)
		}
	}
	for i, p := range parts {
		r, err := c.replica(p.Key)
		if err != nil {
			return nil, err
		}
		j.replicas[i] = r
	}
	j.joint = lease.NewJointCall(j.id, asks)
	return j, nil
}

// run decides the call, and again whenever an agent has answered, until it takes all or
// nothing.
func (j *jointCall) run(ctx context.Context) (Reservations, []limit.Decision, error) {
	for {
		outcome, answers, err := j.decide()
		if err != nil {
			return nil, nil, err
		}
		if outcome != lease.Waits {
			held, decisions := j.results(outcome, answers)
			return held, decisions, nil
		}
		select {
		case <-j.changed:
		case <-ctx.Done():
			j.leave()
			return nil, nil, ctx.Err()
		}
	}
}

// decide decides the call by all its agents at one moment.
func (j *jointCall) decide() (outcome lease.Outcome, answers []lease.Answer, err error) {
	j.lockAll(func(at lease.Moment, agents []*lease.Agent) {
		for i, r := range j.replicas {
			r.waiters[j.id] = partWaiter{j, i} // an answer has removed it
		}
		outcome, answers = j.joint.Decide(at, agents)
		for i := range answers {
			if failed := errorOf(answers[i], j.replicas[i].lastErr); failed != nil {
				err = failed
			}
		}
		if outcome != lease.Waits {
			j.stopWaiting()
		}
	})
	return outcome, answers, err
}

// results returns the reservations, if the call took all, and the decisions.
func (j *jointCall) results(outcome lease.Outcome, answers []lease.Answer) (held Reservations, decisions []limit.Decision) {
	if outcome == lease.Taken {
		held = make(Reservations, len(answers))
	}
	decisions = make([]limit.Decision, len(answers))
	for i, answer := range answers {
		decisions[i] = answer.Decision
		if held != nil {
			held[i] = Reservation{replica: j.replicas[i], hold: answer.Hold}
		}
	}
	return held, decisions
}

// lockAll passes an event to all the call's agents at one moment, with all their replicas
// locked, and does what follows from it.
func (j *jointCall) lockAll(event func(at lease.Moment, agents []*lease.Agent)) {
	agents := make([]*lease.Agent, len(j.replicas))
	for _, i := range j.lockOrder {
		r := j.replicas[i]
		r.mu.Lock()
		defer r.mu.Unlock()
		agents[i] = &r.agent
	}
	at := j.counter.moment()
	event(at, agents)
	for _, r := range j.replicas {
		r.proceed(at)
	}
}

// leave takes the call out of all queues.
func (j *jointCall) leave() {
	j.lockAll(func(at lease.Moment, agents []*lease.Agent) {
		j.joint.Leave(at, agents)
		j.stopWaiting()
	})
}

// stopWaiting ends the answers to the call. The replicas' locks are held.
func (j *jointCall) stopWaiting() {
	for _, r := range j.replicas {
		r.deliver() // first: the decision may have made answers to the call, and to others
		delete(r.waiters, j.id)
	}
}

// A partWaiter receives a counter's answers to one part of a call.
type partWaiter struct {
	*jointCall
	part int
}

// receive passes the answer to the joint, and has run decide the call again. It can't decide
// the call itself: only this replica is locked.
func (w partWaiter) receive(answer lease.Answer, _ error) {
	w.joint.Answered(w.part, answer)
	select {
	case w.changed <- struct{}{}:
	default:
	}
}

package counter

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"tollgate/handler/lease"
	"tollgate/handler/limit"
)

// A Part is what a call asks of one of its counters.
type Part struct {
	Key   string // another one in each part of a call
	Terms Terms
	Ask   limit.Ask
}

// Reserve decides whether a call may spend what it asks of its counters, now or
// within the terms' MaxWait: all of it or nothing. Over a limit is a decision, not
// an error. The decisions are those of the parts, in their order. If a counter
// refuses, there are no reservations, nothing stays charged to any counter, and each
// refusal has its own RetryAfter; a part that would fit, as far as is known, has the
// verdict Granted and no Amount. In shadow a refused part has a reservation that is
// charged to no limit. The error wraps ErrUnavailable if a counter could decide
// nothing; otherwise it is ctx's, or names a key that two parts have.
func (c *Counter) Reserve(ctx context.Context, parts []Part) (Reservations, []limit.Decision, error) {
	if len(parts) == 1 { // it takes what its agent grants, and needs no claim
		return c.reserveOne(ctx, &parts[0])
	}
	call, err := c.newJoint(parts)
	if err != nil {
		return nil, nil, err
	}
	return call.reserve(ctx)
}

func (c *Counter) reserveOne(ctx context.Context, p *Part) (Reservations, []limit.Decision, error) {
	r, err := c.replica(p.Key)
	if err != nil {
		return nil, nil, err
	}
	answer, err := r.ask(ctx, func(at lease.Moment, id int64) (lease.Answer, bool) { return r.agent.Reserve(at, id, p.Terms, p.Ask) })
	switch decisions := []limit.Decision{answer.Decision}; {
	case err != nil:
		return nil, nil, err
	case !answer.Held:
		return nil, decisions, nil
	default:
		return Reservations{{replica: r, hold: answer.Hold}}, decisions, nil
	}
}

// A joint drives a call that needs several counters.
type joint struct {
	counter  *Counter
	id       int64
	call     *lease.Joint
	replicas []*replica
	order    []int         // of the parts by their keys: locks are taken in it
	changed  chan struct{} // has an element if an agent has answered
}

func (c *Counter) newJoint(parts []Part) (*joint, error) {
	j := &joint{counter: c, id: c.lastID.Add(1), replicas: make([]*replica, len(parts)),
		order: make([]int, len(parts)), changed: make(chan struct{}, 1)}
	asks := make([]lease.Part, len(parts))
	for i, p := range parts {
		j.order[i], asks[i] = i, lease.Part{Terms: p.Terms, Ask: p.Ask}
	}
	slices.SortFunc(j.order, func(a, b int) int { return cmp.Compare(parts[a].Key, parts[b].Key) })
	for n := 1; n < len(j.order); n++ {
		if key := parts[j.order[n]].Key; key == parts[j.order[n-1]].Key {
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
	j.call = lease.NewJoint(j.id, asks)
	return j, nil
}

// reserve decides the call again and again until it takes all or nothing.
func (j *joint) reserve(ctx context.Context) (Reservations, []limit.Decision, error) {
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

// results returns what a decided call has: reservations only if it took all.
func (j *joint) results(outcome lease.Outcome, answers []lease.Answer) (held Reservations, decisions []limit.Decision) {
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

// decide decides the call by all its agents at one moment.
func (j *joint) decide() (outcome lease.Outcome, answers []lease.Answer, err error) {
	j.together(func(at lease.Moment, agents []*lease.Agent) {
		for i, r := range j.replicas {
			r.waiters[j.id] = part{j, i}
		}
		outcome, answers = j.call.Decide(at, agents)
		for i := range answers {
			if _, failed := checked(answers[i], j.replicas[i].cause); failed != nil {
				err = failed
			}
		}
		if outcome != lease.Waits {
			j.forget()
		}
	})
	return outcome, answers, err
}

// together runs something while all the call's agents stand still.
func (j *joint) together(do func(at lease.Moment, agents []*lease.Agent)) {
	agents := make([]*lease.Agent, len(j.replicas))
	for _, i := range j.order {
		r := j.replicas[i]
		r.mu.Lock()
		defer r.mu.Unlock()
		agents[i] = &r.agent
	}
	at := j.counter.now()
	do(at, agents)
	for _, r := range j.replicas {
		r.follow(at)
	}
}

// leave takes the call out of all queues.
func (j *joint) leave() {
	j.together(func(at lease.Moment, agents []*lease.Agent) {
		j.call.Leave(at, agents)
		j.forget()
	})
}

// forget ends the replicas' answers to the call. Their locks are held.
func (j *joint) forget() {
	for _, r := range j.replicas {
		r.deliver() // what comes of the decision
		delete(r.waiters, j.id)
	}
}

// A part is one of a joint call's waiters.
type part struct {
	*joint
	i int
}

func (p part) hear(answer lease.Answer, _ error) {
	p.call.Hear(p.i, answer) // no other part of the call is touched, and nobody decides it now
	select {
	case p.changed <- struct{}{}:
	default:
	}
}

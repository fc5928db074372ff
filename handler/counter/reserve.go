package counter

import (
	"context"

	"tollgate/handler/lease"
	"tollgate/handler/limit"
)

// A Part is a call's request to one of its counters.
type Part struct {
	Key   string // of the counter: a different one in each part of a call
	Terms Terms
	Ask   limit.Ask
}

// Reserve decides whether a call may spend what it asks of its counters, now or within the
// terms' MaxWait: all of it or nothing. The decisions are in the order of the parts. Being
// over a limit is a decision, not an error.
//
// If a counter refuses, there are no reservations, and nothing stays charged to any counter.
// Each refusal has its own RetryAfter. A part that would fit, as far as is known, has the
// verdict Granted and no Amount. A part in shadow that is refused still has a reservation,
// which is charged to no limit.
//
// The error wraps ErrUnavailable if a counter could decide nothing. Otherwise it is ctx's, or
// names a key that two parts have.
func (c *Counter) Reserve(ctx context.Context, parts []Part) (Reservations, []limit.Decision, error) {
	if len(parts) == 1 { // it takes what its agent grants, and needs no claim
		return c.reserveOne(ctx, &parts[0])
	}
	call, err := c.newJointCall(parts)
	if err != nil {
		return nil, nil, err
	}
	return call.run(ctx)
}

// reserveOne reserves a call of one counter.
func (c *Counter) reserveOne(ctx context.Context, p *Part) (Reservations, []limit.Decision, error) {
	r, err := c.replica(p.Key)
	if err != nil {
		return nil, nil, err
	}
	answer, err := r.ask(ctx, func(at lease.Moment, id int64) (lease.Answer, bool) { return r.agent.Reserve(at, id, p.Terms, p.Ask) })
	if err != nil {
		return nil, nil, err
	}
	var held Reservations
	if answer.Held {
		held = Reservations{{replica: r, hold: answer.Hold}}
	}
	return held, []limit.Decision{answer.Decision}, nil
}

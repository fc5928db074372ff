package counter

import (
	"context"

	"tollgate/handler/limit"
)

// A Part is what a call asks of one of its counters.
type Part struct {
	Key   string
	Terms Terms
	Ask   limit.Ask
}

// ReserveAll decides whether a call may spend what it asks of several counters: all
// of it or nothing. The decisions are those of its parts, in their order. If a counter
// refuses, there are no reservations, and nothing stays charged to any counter. The
// error wraps ErrUnavailable if a counter could decide nothing; otherwise it is ctx's.
func (c *Counter) ReserveAll(ctx context.Context, parts []Part) (Reservations, []limit.Decision, error) {
	held := make(Reservations, len(parts))
	decisions := make([]limit.Decision, len(parts))
	refused := false
	for i, part := range parts {
		var err error
		held[i], decisions[i], err = c.Reserve(ctx, part.Key, part.Terms, part.Ask)
		if err != nil {
			held[:i].Cancel()
			return nil, nil, err
		}
		refused = refused || held[i] == nil
	}
	if refused {
		held.Cancel()
		return nil, decisions, nil
	}
	return held, decisions, nil
}

// Reservations are a call's holds on its counters, in the order of its parts.
type Reservations []*Reservation

// Settle replaces each reservation by what its counter charges for the call, and
// returns the counters' standings after it.
func (r Reservations) Settle(charges []int64) []limit.Standing {
	return r.each(func(i int) limit.Standing { return r[i].Settle(charges[i]) })
}

// Raise charges each counter this much in all, as Reservation.Raise does.
func (r Reservations) Raise(charges []int64) []limit.Standing {
	return r.each(func(i int) limit.Standing { return r[i].Raise(charges[i]) })
}

// Cancel gives everything back.
func (r Reservations) Cancel() []limit.Standing {
	return r.each(func(i int) limit.Standing {
		if r[i] == nil {
			return limit.Standing{}
		}
		return r[i].Cancel()
	})
}

func (r Reservations) each(do func(i int) limit.Standing) []limit.Standing {
	standings := make([]limit.Standing, len(r))
	for i := range r {
		standings[i] = do(i)
	}
	return standings
}

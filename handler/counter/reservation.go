package counter

import (
	"tollgate/handler/lease"
	"tollgate/handler/limit"
)

// A Reservation is a call's hold on a counter. Settle and Cancel end it; after that its
// methods change nothing. They take effect at once in this instance, and in the row with a
// later write.
type Reservation struct {
	replica *replica
	hold    lease.Hold // guarded by the replica's lock
	ended   bool       // settled or cancelled; guarded like hold
}

// Settle replaces the reservation by the amount that the call used, and returns the
// counter's standing after it.
func (r *Reservation) Settle(used int64) limit.Standing {
	return r.change(func(at lease.Moment, a *lease.Agent) limit.Standing {
		r.ended = true
		return a.Settle(at, r.hold, used)
	})
}

// Cancel gives the whole reservation back: the call was never made, or failed.
func (r *Reservation) Cancel() limit.Standing { return r.Settle(0) }

// Raise charges the call this amount in all, even beyond the limit, and returns the
// counter's standing after it. It is for a call that may have used more than it reserved,
// before its usage is known: Settle corrects the charge. Raise never lowers a charge, and
// leaves a reservation in shadow unchanged.
func (r *Reservation) Raise(amount int64) limit.Standing {
	return r.change(func(at lease.Moment, a *lease.Agent) (standing limit.Standing) {
		r.hold, standing = a.Raise(at, r.hold, amount)
		return standing
	})
}

// Lower gives back what the reservation holds beyond this amount, and returns the counter's
// standing after it. Lower never raises a charge, and leaves a reservation in shadow
// unchanged.
func (r *Reservation) Lower(amount int64) limit.Standing {
	return r.change(func(at lease.Moment, a *lease.Agent) (standing limit.Standing) {
		r.hold, standing = a.Lower(at, r.hold, amount)
		return standing
	})
}

// change passes a change of the reservation to the agent, unless it has ended.
func (r *Reservation) change(event func(at lease.Moment, a *lease.Agent) limit.Standing) (standing limit.Standing) {
	r.replica.do(func(at lease.Moment) {
		if r.ended {
			standing, _ = r.replica.agent.Known(at)
			return
		}
		standing = event(at, &r.replica.agent)
	})
	return standing
}

// Reservations are a call's holds on its counters, in the order of its parts. Each method
// takes an amount for each counter, in that order, and returns the counters' standings.
type Reservations []Reservation

// Settle replaces each reservation by the amount that its counter charges for the call.
func (r Reservations) Settle(charges []int64) []limit.Standing {
	return r.each((*Reservation).Settle, charges)
}

// Raise charges the call these amounts in all, even beyond the limits.
func (r Reservations) Raise(charges []int64) []limit.Standing {
	return r.each((*Reservation).Raise, charges)
}

// Lower gives back what each reservation holds beyond its amount.
func (r Reservations) Lower(amounts []int64) []limit.Standing {
	return r.each((*Reservation).Lower, amounts)
}

// Cancel gives all reservations back.
func (r Reservations) Cancel() []limit.Standing { return r.Settle(make([]int64, len(r))) }

// each calls a method for each reservation, with its amount.
func (r Reservations) each(method func(*Reservation, int64) limit.Standing, amounts []int64) []limit.Standing {
	standings := make([]limit.Standing, len(r))
	for i := range r {
		standings[i] = method(&r[i], amounts[i])
	}
	return standings
}

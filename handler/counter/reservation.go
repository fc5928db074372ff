package counter

import (
	"tollgate/handler/lease"
	"tollgate/handler/limit"
)

// A Reservation is a call's hold on a counter until it is settled or
// cancelled: after that, nothing changes it. What is done with it is done at
// once; the write follows.
type Reservation struct {
	replica *replica
	hold    lease.Hold // guarded by the replica's lock, as is over
	over    bool       // settled or cancelled
}

// Settle replaces the reservation by what the counter charges for the call,
// and returns its standing after it.
func (r *Reservation) Settle(used int64) limit.Standing {
	return r.change(func(at lease.Moment, a *lease.Agent) limit.Standing {
		r.over = true
		return a.Settle(at, r.hold, used)
	})
}

// Cancel gives the whole reservation back: the call was never made, or failed.
func (r *Reservation) Cancel() limit.Standing { return r.Settle(0) }

// Raise charges the call this much in all, whatever is left, and returns the
// counter's standing after it. It is for a call that may have used more than it
// reserved, before its usage is known: Settle corrects or confirms the charge. A
// call that is charged as much already, or is in shadow, stays unchanged.
func (r *Reservation) Raise(amount int64) limit.Standing {
	return r.change(func(at lease.Moment, a *lease.Agent) (standing limit.Standing) {
		r.hold, standing = a.Raise(at, r.hold, amount)
		return standing
	})
}

// Lower gives back what the reservation holds beyond this much, and returns the
// counter's standing after it. It never raises a reservation, and leaves one in
// shadow unchanged.
func (r *Reservation) Lower(amount int64) limit.Standing {
	return r.change(func(at lease.Moment, a *lease.Agent) (standing limit.Standing) {
		r.hold, standing = a.Lower(at, r.hold, amount)
		return standing
	})
}

// change does something with a reservation that is not over.
func (r *Reservation) change(do func(at lease.Moment, a *lease.Agent) limit.Standing) (standing limit.Standing) {
	r.replica.do(func(at lease.Moment) {
		if r.over {
			standing, _ = r.replica.agent.Known(at)
			return
		}
		standing = do(at, &r.replica.agent)
	})
	return standing
}

// Reservations are a call's holds on its counters, in the order of its parts. Each
// method does the same with all of them, and returns the counters' standings after
// it.
type Reservations []Reservation

// Settle replaces each reservation by what its counter charges for the call.
func (r Reservations) Settle(charges []int64) []limit.Standing {
	return r.each((*Reservation).Settle, charges)
}

// Raise charges each counter this much in all.
func (r Reservations) Raise(charges []int64) []limit.Standing {
	return r.each((*Reservation).Raise, charges)
}

// Lower gives back what each reservation holds beyond this much.
func (r Reservations) Lower(amounts []int64) []limit.Standing {
	return r.each((*Reservation).Lower, amounts)
}

// Cancel gives everything back.
func (r Reservations) Cancel() []limit.Standing { return r.Settle(make([]int64, len(r))) }

func (r Reservations) each(do func(*Reservation, int64) limit.Standing, amounts []int64) []limit.Standing {
	standings := make([]limit.Standing, len(r))
	for i := range r {
		standings[i] = do(&r[i], amounts[i])
	}
	return standings
}

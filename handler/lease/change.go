package lease

// A change says from where the amount comes by which a hold grows, or to where the
// amount goes by which it shrinks.
type change struct {
	lease  int64 // taken from the held lease; below zero: given back to it
	excess int64 // charged to the counter's minute, beyond the lease
	undone int64 // taken back of the excess that Raise charged
	refund int64 // given back to the minute and period that the hold was charged to
}

// settleChange returns the change that replaces a hold by what its call used. Use
// beyond the hold comes from the lease as far as that goes; the rest is excess, and
// becomes debt if the counter's minute has no room.
func (h *heldLease) settleChange(hold Hold, used int64, epoch string) change {
	excess := used - hold.Held()
	switch {
	case hold.uncharged:
		return change{}
	case excess <= 0:
		return h.reduceChange(hold, -excess, epoch)
	case !h.open:
		return change{excess: excess}
	}
	covered := min(excess, h.left)
	return change{lease: covered, excess: excess - covered}
}

// reduceChange returns the change that gives back part of a hold: first what it has
// beyond the lease. A hold of another epoch is void.
func (h *heldLease) reduceChange(hold Hold, amount int64, epoch string) change {
	beyond := min(amount, hold.excess)
	switch rest := amount - beyond; {
	case rest == 0 || hold.epoch != epoch:
		return change{undone: beyond}
	case h.isSourceOf(hold, epoch):
		return change{undone: beyond, lease: -rest}
	default:
		return change{undone: beyond, refund: rest}
	}
}

// lowerChange returns the change that leaves a call holding at most this much.
func (h *heldLease) lowerChange(hold Hold, amount int64, epoch string) change {
	less := hold.Held() - amount
	if hold.uncharged || less <= 0 {
		return change{}
	}
	return h.reduceChange(hold, less, epoch)
}

// raiseChange returns the change that lets a call hold this much, whatever is left.
// The report with this number carries all of the call's excess, so that it can be
// taken back in one place.
func (h *heldLease) raiseChange(hold Hold, amount int64, epoch string, report int64) change {
	more := amount - hold.Held()
	if hold.uncharged || more <= 0 {
		return change{}
	}
	var ch change
	if h.isSourceOf(hold, epoch) {
		ch.lease = min(more, h.left)
	}
	if report > hold.report {
		ch.undone = hold.excess
	}
	ch.excess = more - ch.lease + ch.undone
	return ch
}

// apply applies a change of a hold.
func (h *Holder) apply(hold Hold, ch change) {
	h.lease.draw(ch.lease)
	h.reports.undo(hold.report, ch.undone, h.inFlight, h.epoch)
	h.reports.pending.excess += ch.excess
	if ch.refund > 0 {
		h.reports.pending.addRefund(refund{hold.Window, hold.period, ch.refund})
	}
}

// Settle replaces a hold by what the call used; 0 gives all of it back. Unused
// amounts go back to the lease or the minute they were reserved from. Use
// beyond the hold is taken from the lease as far as that goes; the rest is
// charged to the counter's minute, and becomes debt if that has no room.
func (h *Holder) Settle(hold Hold, used int64) {
	h.apply(hold, h.lease.settleChange(hold, used, h.epoch))
}

// Raise makes the total charge of an open call this much, at once and whatever is
// left, and returns its hold. What the lease doesn't cover is charged as excess, and
// becomes debt if the minute has no room. A call that holds as much already, or is
// charged to no limit, stays unchanged. Settle returns what the call did not use to
// the minute and period that were charged.
func (h *Holder) Raise(hold Hold, amount int64) Hold {
	ch := h.lease.raiseChange(hold, amount, h.epoch, h.reports.number)
	h.apply(hold, ch)
	hold.Amount += ch.lease
	hold.excess += ch.excess - ch.undone
	if ch.excess > 0 {
		hold.report = h.reports.number
	}
	return hold
}

// Lower gives back what a hold has above this much, and returns the hold.
func (h *Holder) Lower(hold Hold, amount int64) Hold {
	ch := h.lease.lowerChange(hold, amount, h.epoch)
	h.apply(hold, ch)
	if less := hold.Held() - amount; !hold.uncharged && less > 0 {
		hold.excess -= ch.undone
		hold.Amount -= less - ch.undone
	}
	return hold
}

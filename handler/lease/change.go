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
func (h *heldLease) settleChange(c Hold, used int64, epoch string) change {
	excess := used - c.Held()
	switch {
	case c.uncharged:
		return change{}
	case excess <= 0:
		return h.reduceChange(c, -excess, epoch)
	case !h.open:
		return change{excess: excess}
	}
	covered := min(excess, h.left)
	return change{lease: covered, excess: excess - covered}
}

// reduceChange returns the change that gives back part of a hold: first what it has
// beyond the lease. A hold of another epoch is void.
func (h *heldLease) reduceChange(c Hold, amount int64, epoch string) change {
	beyond := min(amount, c.excess)
	switch rest := amount - beyond; {
	case rest == 0 || c.epoch != epoch:
		return change{undone: beyond}
	case h.isSourceOf(c, epoch):
		return change{undone: beyond, lease: -rest}
	default:
		return change{undone: beyond, refund: rest}
	}
}

// lowerChange returns the change that leaves a call holding at most this much.
func (h *heldLease) lowerChange(c Hold, amount int64, epoch string) change {
	less := c.Held() - amount
	if c.uncharged || less <= 0 {
		return change{}
	}
	return h.reduceChange(c, less, epoch)
}

// raiseChange returns the change that lets a call hold this much, whatever is left.
// The report with this number carries all of the call's excess, so that it can be
// taken back in one place.
func (h *heldLease) raiseChange(c Hold, amount int64, epoch string, report int64) change {
	more := amount - c.Held()
	if c.uncharged || more <= 0 {
		return change{}
	}
	var ch change
	if h.isSourceOf(c, epoch) {
		ch.lease = min(more, h.left)
	}
	if report > c.report {
		ch.undone = c.excess
	}
	ch.excess = more - ch.lease + ch.undone
	return ch
}

// apply applies a change of a hold.
func (h *Holder) apply(c Hold, ch change) {
	h.lease.draw(ch.lease)
	h.reports.undo(c.report, ch.undone, h.inFlight, h.epoch)
	h.reports.pending.excess += ch.excess
	if ch.refund > 0 {
		h.reports.pending.addRefund(refund{c.Window, c.period, ch.refund})
	}
}

// Settle replaces a hold by what the call used; 0 gives all of it back. Unused
// amounts go back to the lease or the minute they were reserved from. Use
// beyond the hold is taken from the lease as far as that goes; the rest is
// charged to the counter's minute, and becomes debt if that has no room.
func (h *Holder) Settle(c Hold, used int64) { h.apply(c, h.lease.settleChange(c, used, h.epoch)) }

// Raise makes the total charge of an open call this much, at once and whatever is
// left, and returns its hold. What the lease doesn't cover is charged as excess, and
// becomes debt if the minute has no room. A call that holds as much already, or is
// charged to no limit, stays unchanged. Settle returns what the call did not use to
// the minute and period that were charged.
func (h *Holder) Raise(c Hold, amount int64) Hold {
	ch := h.lease.raiseChange(c, amount, h.epoch, h.reports.number)
	h.apply(c, ch)
	c.Amount += ch.lease
	c.excess += ch.excess - ch.undone
	if ch.excess > 0 {
		c.report = h.reports.number
	}
	return c
}

// Lower gives back what a hold has above this much, and returns the hold.
func (h *Holder) Lower(c Hold, amount int64) Hold {
	ch := h.lease.lowerChange(c, amount, h.epoch)
	h.apply(c, ch)
	if less := c.Held() - amount; !c.uncharged && less > 0 {
		c.excess -= ch.undone
		c.Amount -= less - ch.undone
	}
	return c
}

package lease

import (
	"slices"
	"time"
)

// A Holder is one instance's side of a counter: the lease in its hands, what
// it has yet to report, and the one write whose outcome it doesn't know. What
// it holds is prepaid: the row counts all of it as spent. The zero Holder
// holds nothing.
type Holder struct {
	slot   identity
	epoch  string // of the counter
	hand   hand
	out    reports
	flight *Write // built, and its outcome is unknown; nil: there is none
}

// An identity is how an instance finds itself in the row.
type identity struct {
	id     string // of the slot; empty: the next write takes a new one
	seq    int64  // of the last write
	joined bool   // the row surely has the slot
}

// Clone returns a copy that shares nothing that either side changes.
func (h *Holder) Clone() Holder {
	copied := *h
	copied.out = h.out.clone()
	if h.flight != nil {
		flight := *h.flight
		flight.report.refunds = slices.Clone(flight.report.refunds)
		copied.flight = &flight
	}
	return copied
}

// A Hold is what one call has reserved in one counter, until it is settled.
type Hold struct {
	Amount int64 // reserved from a lease
	Window int64 // the lease's minute
	period time.Time
	epoch  string
	free   bool  // charged to no limit
	excess int64 // amount that Raise charged beyond the lease
	report int64 // number of the report that carries that excess
	owed   int64 // amount admitted without the counter, and not charged yet
	minute int64 // minute when they were admitted; 0: the counter decided the call
}

// Held returns what the call is charged until it is settled.
func (c Hold) Held() int64 { return c.Amount + c.excess }

// counted returns what the call counts for until it is settled.
func (c Hold) counted() int64 { return c.owed + c.Held() }

// Reserve reserves this much of the lease if it has it at that time.
func (h *Holder) Reserve(amount int64, now time.Time) (Hold, bool) {
	if amount > h.hand.left || !h.hand.usable(now) {
		return Hold{}, false
	}
	h.hand.cover(amount)
	return Hold{Amount: amount, Window: h.hand.window, period: h.hand.period, epoch: h.epoch}, true
}

// Left returns the amount of the lease that may still be reserved at a time.
func (h *Holder) Left(now time.Time) int64 {
	if !h.hand.usable(now) {
		return 0
	}
	return h.hand.left
}

// Settle replaces a hold by what the call used; 0 gives all of it back. Unused
// amounts go back to the lease or the minute they were reserved from. Use
// beyond the hold is taken from the lease as far as that goes; the rest is
// charged to the counter's minute, and becomes debt if that has no room.
func (h *Holder) Settle(c Hold, used int64) {
	if c.free {
		return
	}
	if excess := used - c.Held(); excess > 0 {
		if h.hand.open {
			excess -= h.hand.cover(excess)
		}
		h.out.pending.excess += excess
	} else {
		h.reduce(c, -excess)
	}
}

// reduce gives back a part of a hold, that beyond the lease first.
func (h *Holder) reduce(c Hold, amount int64) {
	beyond := min(amount, c.excess)
	h.out.undo(c.report, beyond, h.flight, h.epoch)
	switch rest := amount - beyond; {
	case rest == 0 || c.epoch != h.epoch: // a hold of another epoch is void
	case h.hand.gave(c, h.epoch):
		h.hand.cover(-rest)
	default:
		h.out.pending.addRefund(refund{c.Window, c.period, rest})
	}
}

// Raise charges an open call this much in all, at once and whatever is
// left. What its lease doesn't cover is charged as excess, and becomes debt
// if the minute has no room. A call that holds as much already, or is charged
// to no limit, stays unchanged. Settle returns what the call did not use to
// the minute and period that were charged.
func (h *Holder) Raise(c *Hold, amount int64) {
	more := amount - c.Held()
	if c.free || more <= 0 {
		return
	}
	if h.hand.gave(*c, h.epoch) {
		covered := h.hand.cover(more)
		c.Amount += covered
		more -= covered
	}
	if h.out.number > c.report && c.excess > 0 { // one report carries all of it
		h.out.undo(c.report, c.excess, h.flight, h.epoch)
		more += c.excess
		c.excess = 0
	}
	h.out.pending.excess += more
	c.excess += more
	c.report = h.out.number
}

// Lower gives back what a hold has beyond this much.
func (h *Holder) Lower(c *Hold, amount int64) {
	less := c.Held() - amount
	if c.free || less <= 0 {
		return
	}
	h.reduce(*c, less)
	beyond := min(less, c.excess)
	c.excess -= beyond
	c.Amount -= less - beyond
}

// MustReport reports whether something must be written to the counter.
func (h *Holder) MustReport() bool {
	p := &h.out.pending
	return h.hand.consumed != 0 || p.excess != 0 || len(p.refunds) > 0
}

// Excess returns the amount used beyond holds and lease that no write is known
// to have delivered.
func (h *Holder) Excess() int64 {
	if h.flight != nil {
		return h.out.pending.excess + h.flight.report.excess - h.flight.undone
	}
	return h.out.pending.excess
}

// Unwritten returns what calls reserved or used, less refunds, and
// that no write is known to have delivered.
func (h *Holder) Unwritten() int64 {
	sum := h.hand.consumed + h.out.pending.sum()
	if b := h.flight; b != nil {
		sum += b.consumed + b.report.sum() - b.undone
	}
	return sum
}

// LeasedAmount returns the amount of this instance's lease, from any minute,
// that no call has reserved.
func (h *Holder) LeasedAmount() int64 {
	if !h.slot.joined {
		return 0
	}
	return h.hand.left
}

// Observe updates the holder from a counter that was just read, while no
// write is in doubt. If the slot is gone, the lease and the reservations from
// it are charged already: both are dropped. Debts between the holder and
// another epoch are void.
func (h *Holder) Observe(r *Row) {
	if h.epoch != r.Epoch {
		h.out.pending.refunds = nil
		h.epoch, h.slot, h.hand = r.Epoch, identity{}, hand{}
	}
	h.hand.seen = max(h.hand.seen, r.Window)
	if slot := r.Slots.of(h.slot.id); h.slot.joined && (slot == nil || slot.Gone) {
		h.loseLease()
	}
}

// loseLease drops a lease whose slot is gone, with the reservations from it:
// all of that is charged already. What calls gave back beyond those had been
// charged before, and must still be refunded. The next write takes a new slot.
func (h *Holder) loseLease() {
	if h.hand.consumed < 0 {
		h.out.pending.addRefund(refund{h.hand.window, h.hand.period, -h.hand.consumed})
	}
	h.slot, h.hand = identity{}, hand{seen: h.hand.seen}
}

// unreported returns what a minute and a period will be charged by
// this holder's reports. Reservations from a lease are charged to the lease's
// minute and period, even if reported in the next; refunds of a closed lease
// are subtracted.
func (h *Holder) unreported(window int64, start time.Time) (minute, period int64) {
	minute, period = h.Excess(), h.Excess()
	add := func(amount, of int64, since time.Time) {
		if of == window {
			minute += amount
		}
		if since.Equal(start) {
			period += amount
		}
	}
	reserved, given := h.hand.consumed, h.out.pending.refunds
	if b := h.flight; b != nil {
		reserved += b.consumed
		given = slices.Concat(given, b.report.refunds)
	}
	for _, r := range given {
		add(-r.amount, r.window, r.period)
	}
	if h.slot.joined {
		add(reserved, h.hand.window, h.hand.period)
	}
	return minute, period
}

// own returns what this instance has beyond what the counter has
// left: its lease, less what is still to be reported.
func (h *Holder) own(now time.Time) int64 { return h.Left(now) - h.Excess() }

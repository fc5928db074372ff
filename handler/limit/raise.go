package limit

import "time"

// Raise charges an open call this many tokens in all, at once and whatever is
// left. What its lease doesn't cover is charged as excess, and becomes debt
// if the minute has no room. A call that holds as much already, or is charged
// to no limit, stays unchanged. Settle returns what the call did not use to
// the minute and period that were charged.
func (h *Holder) Raise(c *Charge, tokens int64) {
	more := tokens - c.Held()
	if c.free || more <= 0 {
		return
	}
	if h.leasedIn(*c) {
		covered := min(more, h.left)
		h.left -= covered
		h.consumed += covered
		c.Tokens += covered
		more -= covered
	}
	if h.reportNumber > c.report && c.excess > 0 { // one report carries all of it
		h.undoExcess(c.report, c.excess)
		more += c.excess
		c.excess = 0
	}
	h.pending.excess += more
	c.excess += more
	c.report = h.reportNumber
}

// leasedIn reports whether a charge was taken from the current lease.
func (h *Holder) leasedIn(c Charge) bool {
	return h.open && c.epoch == h.epoch && c.Window == h.window && c.period.Equal(h.period)
}

// A booking says to which minute and period the excess of some reports was
// charged.
type booking struct {
	after, last int64 // numbers of the reports: above after, up to last
	window      int64
	period      time.Time
	epoch       string // empty: unknown whether it was charged
}

// maxBookings is the number of bookings remembered. Refunds of an older one
// would vanish in any case.
const maxBookings = 4

// recordBooking records where the excess of a report, and of failed ones
// before it, was charged.
func (h *Holder) recordBooking(b *Write, epoch string) {
	entry := booking{h.lastBooked(), b.number, b.State.Window, b.State.PeriodStart, epoch}
	if n := len(h.bookings); n > 0 {
		newest := &h.bookings[n-1]
		if newest.window == entry.window && newest.epoch == epoch && newest.period.Equal(entry.period) {
			newest.last = entry.last
			return
		}
		if n == maxBookings {
			h.bookings = append(h.bookings[:0], h.bookings[1:]...)
		}
	}
	h.bookings = append(h.bookings, entry)
}

// lastBooked returns the number of the last report whose excess is charged;
// -1: none.
func (h *Holder) lastBooked() int64 {
	if len(h.bookings) == 0 {
		return -1
	}
	return h.bookings[len(h.bookings)-1].last
}

// undoExcess takes back excess: out of the report if that is not written yet,
// else from the minute it was charged to. While the report is in doubt, it
// waits.
func (h *Holder) undoExcess(report, tokens int64) {
	switch b := h.inFlight; {
	case tokens == 0:
	case report > h.lastBooked() && b != nil && report <= b.number:
		b.undone += tokens
	case report > h.lastBooked():
		h.pending.excess -= tokens
	default:
		h.undoBooked(report, tokens)
	}
}

func (h *Holder) undoBooked(report, tokens int64) {
	for _, entry := range h.bookings {
		if report > entry.after && report <= entry.last && entry.epoch == h.epoch {
			h.pending.addRefund(refund{entry.window, entry.period, tokens})
		}
	}
}

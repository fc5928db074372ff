package limit

import "time"

// Raise charges an open call so many tokens in all, at once and whatever is
// left: what its own lease doesn't cover is charged as excess is, and becomes
// debt where the minute has no room. A call that holds as much already, or is
// charged to no limit, stays as it is. Settle gives back what the call did not
// take, to the minute and the period that were charged.
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
	if h.reports > c.report && c.excess > 0 { // one report carries all of it
		h.undo(c.report, c.excess)
		more += c.excess
		c.excess = 0
	}
	h.pending.excess += more
	c.excess += more
	c.report = h.reports
}

// leasedIn says whether the lease is the one that a charge was taken from.
func (h *Holder) leasedIn(c Charge) bool {
	return h.open && c.epoch == h.epoch && c.Window == h.window && c.period.Equal(h.period)
}

// booked says to which minute and period the excess of reports was charged.
type booked struct {
	after, last int64 // numbers of the reports: later than after, up to last
	window      int64
	period      time.Time
	epoch       string // empty: nobody knows whether it was charged
}

// maxBooked bounds how many minutes back the charges of excess are known. What
// is given back of an older one, no minute would take.
const maxBooked = 4

// book notes where the excess of a report was charged, and of those before it
// that failed.
func (h *Holder) book(b *Body, epoch string) {
	entry := booked{h.told(), b.number, b.State.Window, b.State.PeriodStart, epoch}
	if n := len(h.booked); n > 0 {
		newest := &h.booked[n-1]
		if newest.window == entry.window && newest.epoch == epoch && newest.period.Equal(entry.period) {
			newest.last = entry.last
			return
		}
		if n == maxBooked {
			h.booked = append(h.booked[:0], h.booked[1:]...)
		}
	}
	h.booked = append(h.booked, entry)
}

// told is the number of the last report whose excess is charged.
func (h *Holder) told() int64 {
	if len(h.booked) == 0 {
		return -1
	}
	return h.booked[len(h.booked)-1].last
}

// undo takes back excess that a report carries: out of the report as long as it
// is not written, else from where it was charged. While that is in doubt it waits.
func (h *Holder) undo(report, tokens int64) {
	switch b := h.flight; {
	case tokens == 0:
	case report > h.told() && b != nil && report <= b.number:
		b.undone += tokens
	case report > h.told():
		h.pending.excess -= tokens
	default:
		h.undoBooked(report, tokens)
	}
}

func (h *Holder) undoBooked(report, tokens int64) {
	for _, entry := range h.booked {
		if report > entry.after && report <= entry.last && entry.epoch == h.epoch {
			h.pending.giveBack(refund{entry.window, entry.period, tokens})
		}
	}
}

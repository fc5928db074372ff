package lease

import (
	"time"

	"tollgate/handler/limit"
)

// A heldLease is the lease that an instance holds, and what calls have reserved of
// it since the instance's last write was built.
type heldLease struct {
	open         bool      // the lease may be spent: it is neither lost nor being closed
	window       int64     // the minute of the lease
	period       time.Time // start of the lease's period
	expiry       int64     // Unix seconds
	left         int64     // not reserved by calls; of a lease being closed, what must be given back
	reserved     int64     // reserved since the last write was built, less refunds
	latestWindow int64     // the latest minute of the counter that this instance has read
}

// usable reports whether the lease may be spent at a time. Spending it after its
// minute would exceed no limit, as it is prepaid, but would spend one minute's amount
// in another.
func (h *heldLease) usable(now time.Time) bool { return now.Before(h.end()) }

// end returns the time from which the lease may not be spent; zero: it may not be spent
// now either.
func (h *heldLease) end() time.Time {
	if !h.open || h.window < h.latestWindow {
		return time.Time{}
	}
	end, expiry := limit.MinuteStart(h.window+1), time.Unix(h.expiry, 0)
	if expiry.Before(end) {
		return expiry
	}
	return end
}

// draw takes up to this much from the lease, and returns how much it took. A
// negative amount is given back.
func (h *heldLease) draw(amount int64) int64 {
	covered := min(amount, h.left)
	h.left -= covered
	h.reserved += covered
	return covered
}

// isSourceOf reports whether a call's hold was taken from this lease.
func (h *heldLease) isSourceOf(hold Hold, epoch string) bool {
	return h.open && hold.epoch == epoch && hold.Window == h.window && hold.period.Equal(h.period)
}

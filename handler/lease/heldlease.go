package lease

import (
	"time"

	"tollgate/handler/limit"
)

// A hand is the lease in its holder's hands, and what calls have reserved of
// it since the holder's last write was built.
type heldLease struct {
	open         bool      // the lease may be spent: it is not lost or being closed
	window       int64     // the minute of the lease
	period       time.Time // start of the lease's period
	expiry       int64     // Unix seconds
	left         int64     // leased and not reserved; of a lease being closed, what must be given back
	reserved     int64     // reserved since the last write was built, less refunds
	latestWindow int64     // the counter's minute when it was last read
}

// usable reports whether the lease may be spent at a time. Spending it later
// would exceed no limit, as it is prepaid, but would spend one minute's
// amount in another.
func (h *heldLease) usable(now time.Time) bool {
	return h.open && h.window >= max(limit.Minute(now), h.latestWindow) && now.Unix() < h.expiry
}

// cover takes this much of the lease, as far as it has it, and returns how
// much. A negative amount is given back.
func (h *heldLease) draw(amount int64) int64 {
	covered := min(amount, h.left)
	h.left -= covered
	h.reserved += covered
	return covered
}

// gave reports whether a call's hold was taken from the lease in hand.
func (h *heldLease) isSourceOf(c Hold, epoch string) bool {
	return h.open && c.epoch == epoch && c.Window == h.window && c.period.Equal(h.period)
}

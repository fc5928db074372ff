package lease

import (
	"time"

	"tollgate/handler/limit"
)

// Found is what a read found.
type Found struct {
	Row     Row
	Version Version   // empty: there is no row
	Date    time.Time // the store's, of its answer
	Edited  bool      // the row can't be read as a counter; Row holds what could be read of it
	Unsure  bool      // the store's first dates contradict this machine's clock: read again before writing
	Epoch   string    // random, for a row that is made or repaired
}

// counter returns the row that was found, or a new or repaired one in its place.
// One answer's date doesn't move the clock, but is enough to call a row plausible.
func (f *Found) counter(limits limit.Limits, now time.Time) (row Row, repaired bool) {
	latest := now
	if f.Date.After(now) {
		latest = f.Date
	}
	switch {
	case f.Version == "":
		return New(limits, now, f.Epoch), false
	case f.Edited || !f.Row.Plausible(latest):
		return f.Row.Repaired(limits, now, f.Epoch), true
	}
	return f.Row, false
}

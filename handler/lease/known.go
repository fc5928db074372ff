package lease

import (
	"time"

	"tollgate/handler/limit"
)

// A Version is the ETag of a stored row. Empty: nothing is stored.
type Version string

const (
	// maxRefusalAge is the greatest age of a known row for refusing a call by it, if
	// other instances share the counter.
	maxRefusalAge = 2 * time.Second
	// maxSharedAge is the greatest age of a known row for building a write upon it, if
	// other instances write too: when the row is older, reading it costs less than a
	// conflict.
	maxSharedAge = 20 * time.Millisecond
)

// A knownRow is the row as this instance last read or wrote it.
type knownRow struct {
	row         Row
	version     Version
	view        View      // of row
	asOf        time.Time // when row was last known to be current; zero: it must be read again
	refreshes   int       // number of times that row was read or written
	mustReplace bool      // row replaces one that was edited: it must be written
}

// learn records a row as the stored one.
func (k *knownRow) learn(row Row, version Version, view View, now time.Time) {
	k.row, k.version, k.view, k.asOf = row, version, view, now
	k.refreshes++
}

// everRead reports whether this instance has ever read the counter.
func (k *knownRow) everRead() bool { return k.view.Live > 0 }

// live returns the number of live instances, at least 1: this one.
func (k *knownRow) live() int64 { return int64(max(k.view.Live, 1)) }

// servesRefusals reports whether the row is fresh enough to refuse a call by it.
func (k *knownRow) servesRefusals(now time.Time) bool {
	return !k.view.Shared || now.Sub(k.asOf) <= maxRefusalAge
}

// servesWrites reports whether the row is fresh enough to build a write upon it.
func (k *knownRow) servesWrites(now time.Time) bool {
	return !k.asOf.IsZero() && (k.view.Live <= 1 || now.Sub(k.asOf) <= maxSharedAge)
}

// A refusal remembers that a call didn't fit. Until it ends, calls are refused by
// what is known, so that a flood of calls that don't fit costs no operations.
type refusal struct{ until time.Time }

// holds reports whether calls are refused by what is known.
func (r *refusal) holds(now time.Time) bool { return now.Before(r.until) }

// forget ends the refusal.
func (r *refusal) forget() { r.until = time.Time{} }

// remember makes the refusal hold until the next minute. If other instances may give
// something back, it holds for 2 seconds, or for so long that all instances together
// read the row at most 20 times a second.
func (r *refusal) remember(v *View, now time.Time) {
	r.until = limit.MinuteStart(max(limit.Minute(now), v.Balance.Window) + 1)
	hold := max(maxRefusalAge, time.Duration(v.Live)*time.Second/20)
	if again := now.Add(hold); v.Shared && again.Before(r.until) {
		r.until = again
	}
}

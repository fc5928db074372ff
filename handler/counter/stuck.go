package counter

import (
	"errors"
	"time"
)

// stuck distinguishes a store that answers but applies none of this
// instance's writes from a counter that many instances write to: there each
// conflict means that another's write was applied. The zero value has seen no
// failure.
type stuck struct {
	since        time.Time // when the first of the failed writes failed; zero: none has
	failedWrites int       // failed writes, not counting conflicts with others' writes
	conflicted   bool      // the last was a conflict, and it isn't known yet with whose write
}

// maxContention is the time that writes may conflict with others' before they
// count as failed: of 256 instances at one counter, the unluckiest needed 9
// s.
const maxContention = 10 * time.Second

// noteFailure records a write that failed or whose outcome is unknown.
func (s *stuck) noteFailure(err error, now time.Time) {
	if s.since.IsZero() {
		s.since = now
	}
	s.conflicted = errors.Is(err, ErrConflict)
	if !s.conflicted {
		s.failedWrites++
	}
}

// noteRead records a read after a failed write: changed says that another's
// write was applied since.
func (s *stuck) noteRead(changed bool) {
	switch {
	case !s.conflicted:
	case changed:
		s.failedWrites = 0
	default:
		s.failedWrites++
	}
	s.conflicted = false
}

// noteRest records that nothing needs writing now: earlier conflicts no
// longer count towards maxContention.
func (s *stuck) noteRest(now time.Time, patience time.Duration) {
	if s.failedWrites == 0 && !s.unusable(now, patience) {
		*s = stuck{}
	}
}

// unusable reports whether the store is of no use for writes: by the bounds
// for a store that is down, or because conflicts have lasted too long.
func (s *stuck) unusable(now time.Time, patience time.Duration) bool {
	tried := now.Sub(s.since)
	return s.failedWrites >= maxStrikes || s.failedWrites > 0 && tried >= patience || !s.since.IsZero() && tried >= maxContention
}

package counter

import (
	"errors"
	"time"
)

// stuck tells a store that answers, and yet lets none of this instance's writes
// land, from a counter that many instances write to: there each conflict means
// that another's write landed. The zero value is for no write in vain.
type stuck struct {
	since        time.Time // when the first of the writes in vain failed; zero: none has
	failedWrites int       // writes that failed with nothing to show for it
	conflicted   bool      // the last was a conflict, and nobody knows yet with whose write
}

// maxContention is how long writes may conflict with others' until they count as
// in vain: of 256 instances at one counter the unluckiest needed 9 s.
const maxContention = 10 * time.Second

// failed notes a write that the store did not take, or that it is not known to
// have taken.
func (s *stuck) noteFailure(err error, now time.Time) {
	if s.since.IsZero() {
		s.since = now
	}
	s.conflicted = errors.Is(err, ErrConflict)
	if !s.conflicted {
		s.failedWrites++
	}
}

// read notes what a read after a failed write showed: whether another's write
// has landed since.
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

// rest notes that nothing is to be written for now: conflicts until then don't
// count towards those that go on for too long.
func (s *stuck) noteRest(now time.Time, patience time.Duration) {
	if s.failedWrites == 0 && !s.unusable(now, patience) {
		*s = stuck{}
	}
}

// useless says whether the store is of no use for writes: by the bounds by which
// a store is down, or because conflicts have gone on for too long.
func (s *stuck) unusable(now time.Time, patience time.Duration) bool {
	tried := now.Sub(s.since)
	return s.failedWrites >= maxStrikes || s.failedWrites > 0 && tried >= patience || !s.since.IsZero() && tried >= maxContention
}

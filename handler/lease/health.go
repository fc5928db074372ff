package lease

import "time"

// A Failure is how an operation of the store failed.
type Failure int

// The failures. After any of them a write may or may not have been applied.
const (
	NoAnswer Failure = iota // an error, or no answer in time
	Conflict                // the stored version is not the one that the write names
	Newer                   // a later release wrote the row: this one must not change it
)

const (
	// maxStrikes is the number of failures in a row that mean a counter, or the
	// store, is of no use.
	maxStrikes = 3
	// maxContention is the time that writes may conflict with others' before they
	// count as failed: of 256 instances at one counter, the unluckiest needed 9
	// s.
	maxContention = 10 * time.Second
	// unusablePause: a counter that can't be used is left alone for this long.
	unusablePause = 5 * time.Second
	// probeEvery is the shortest pause between probes of a store that is down.
	probeEvery = 500 * time.Millisecond
)

// Back-off between attempts. After a conflict a short one is enough, since a failed
// write doesn't delay the others; a store that is down gets more time.
const (
	conflictShare = 0.2 // of an operation's time, doubled with each failed attempt
	// minOperation is the shortest time assumed of an operation, so that back-off
	// grows even if the store answers at once.
	minOperation = time.Millisecond
	downPause    = 50 * time.Millisecond
	maxPause     = 2 * time.Second
	// maxClosingPause bounds the pauses of an instance that is stopping.
	maxClosingPause = 200 * time.Millisecond
)

// stuck distinguishes a store that answers but applies none of this
// instance's writes from a counter that many instances write to: there each
// conflict means that another's write was applied. The zero value has seen no
// failure. Its times are uptimes.
type writeFailures struct {
	failing      bool
	since        time.Duration // when the first of the failed writes failed
	count        int           // failed writes, not counting conflicts with others' writes
	conflictOpen bool          // the last was a conflict, and it isn't known yet with whose write
}

// noteFailure records a write that failed or whose outcome is unknown.
func (s *writeFailures) noteFailure(failure Failure, now time.Duration) {
	if !s.failing {
		s.failing, s.since = true, now
	}
	s.conflictOpen = failure == Conflict
	if !s.conflictOpen {
		s.count++
	}
}

// noteRead records a read after a failed write: changed says that another's
// write was applied since.
func (s *writeFailures) noteRead(changed bool) {
	switch {
	case !s.conflictOpen:
	case changed:
		s.count = 0
	default:
		s.count++
	}
	s.conflictOpen = false
}

// noteRest records that nothing needs writing now: earlier conflicts no
// longer count towards maxContention.
func (s *writeFailures) noteRest(now, patience time.Duration) {
	if s.count == 0 && !s.unusable(now, patience) {
		*s = writeFailures{}
	}
}

// unusable reports whether the store is of no use for writes: by the bounds
// for a store that is down, or because conflicts have lasted too long.
func (s *writeFailures) unusable(now, patience time.Duration) bool {
	tried := now - s.since
	return s.count >= maxStrikes || s.count > 0 && tried >= patience || s.failing && tried >= maxContention
}

// trouble is what this counter's own operations have shown of the store, and
// when to try it again. Its times are uptimes.
type storeHealth struct {
	patience      time.Duration // the store is of no use after this long if everything fails
	failures      writeFailures
	attempts      int           // failed attempts at the current write
	retryAt       time.Duration // no operation begins before it
	unusableUntil time.Duration // until then, the counter counts as down, even if the store is up
	probed        bool
	probedAt      time.Duration // when the store was last probed
	probing       bool          // read although nothing needs writing
}

// unusable reports whether the counter can't be used whatever the store does.
func (t *storeHealth) unusable(at Moment) bool { return at.Uptime < t.unusableUntil }

// down reports whether the store can't be used, as far as is known.
func (t *storeHealth) down(at Moment) bool { return at.Store.Down || t.unusable(at) }

// bypass reports whether calls must be decided without the store, rather than
// by trying whether it is back.
func (t *storeHealth) bypass(at Moment) bool {
	return t.unusable(at) || at.Store.Down && !at.Store.Untried
}

// probe asks for a read when nothing needs writing, to find out whether the
// store is back.
func (t *storeHealth) probe(at Moment) {
	if !t.probed || at.Uptime-t.probedAt >= probeEvery {
		t.probed, t.probedAt, t.probing = true, at.Uptime, true
	}
}

// useless reports whether a failure shows that the counter can't be used.
func (t *storeHealth) provesUnusable(failure Failure, now time.Duration) bool {
	return failure == Newer || t.failures.unusable(now, t.patience)
}

// pause returns the pause after a failed attempt, for a random number from 0
// to 1.
func (t *storeHealth) pause(contended bool, live int64, operation time.Duration, luck float64) time.Duration {
	often := int64(1) << min(t.attempts, 10)
	if contended {
		return time.Duration(luck * conflictShare * float64(min(often, live)) * float64(max(operation, minOperation)))
	}
	return downPause + time.Duration(luck*float64(min(downPause*time.Duration(often), maxPause)))
}

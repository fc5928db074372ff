package lease

import "time"

// A Failure says how an operation of the store failed.
type Failure int

// The failures. After any of them a write may or may not have been applied.
const (
	NoAnswer Failure = iota // an error, or no answer in time
	Conflict                // the stored version is not the one that the write names
	Newer                   // a later release of Tollgate wrote the row: this one must not change it
)

const (
	// maxStrikes is the number of failed writes in a row that make a counter unusable.
	maxStrikes = 3
	// maxContention is the time for which writes may conflict with other instances'
	// before they count as failed: with 256 instances at one counter, the unluckiest
	// needed 9 s.
	maxContention = 10 * time.Second
	// unusablePause is the time for which an unusable counter is left alone.
	unusablePause = 5 * time.Second
	// probeEvery is the shortest pause between probes of a store that is down.
	probeEvery = 500 * time.Millisecond
)

// Pauses between attempts. After a conflict a short one is enough, as a failed write
// doesn't delay the others; a store that is down gets more time.
const (
	conflictShare = 0.2 // of an operation's time, doubled with each failed attempt
	// minOperation is the shortest time assumed for an operation, so that pauses grow
	// even if the store answers at once.
	minOperation = time.Millisecond
	downPause    = 50 * time.Millisecond
	maxPause     = 2 * time.Second
	// maxClosingPause bounds the pauses of an instance that is stopping.
	maxClosingPause = 200 * time.Millisecond
)

// writeFailures tells apart two reasons why none of this instance's writes is
// applied: a store that is broken, and many instances that write to one counter, where
// each conflict means that another's write was applied. The zero value has seen no
// failure. Times are uptimes.
type writeFailures struct {
	failing      bool          // since is set
	since        time.Duration // when the first of the failed writes failed
	count        int           // failed writes, not counting conflicts with others' writes
	conflictOpen bool          // the last was a conflict, and it isn't known yet with whose write
}

// noteFailure records that a write failed, or that its outcome is unknown.
func (f *writeFailures) noteFailure(failure Failure, now time.Duration) {
	if !f.failing {
		f.failing, f.since = true, now
	}
	f.conflictOpen = failure == Conflict
	if !f.conflictOpen {
		f.count++
	}
}

// noteRead records a read after a failed write. changed says that another instance's
// write has been applied meanwhile.
func (f *writeFailures) noteRead(changed bool) {
	switch {
	case !f.conflictOpen:
	case changed:
		f.count = 0
	default:
		f.count++
	}
	f.conflictOpen = false
}

// noteRest records that nothing needs writing now: earlier conflicts no longer count
// towards maxContention.
func (f *writeFailures) noteRest(now, patience time.Duration) {
	if f.count == 0 && !f.unusable(now, patience) {
		*f = writeFailures{}
	}
}

// unusable reports whether the store has failed so many writes, or for so long, that
// the counter can't be used, or conflicts have lasted too long.
func (f *writeFailures) unusable(now, patience time.Duration) bool {
	tried := now - f.since
	return f.count >= maxStrikes || f.count > 0 && tried >= patience || f.failing && tried >= maxContention
}

// storeHealth is what this counter's own operations have shown of the store, and when
// to try it again. Times are uptimes.
type storeHealth struct {
	patience      time.Duration // the counter is unusable if all writes have failed for so long
	failures      writeFailures
	attempts      int           // failed attempts at the current write
	retryAt       time.Duration // no operation begins before it
	unusableUntil time.Duration // until then, calls are decided as if the store were down
	probed        bool          // probedAt is set
	probedAt      time.Duration // when the store was last probed
	probing       bool          // a read is wanted although nothing needs writing
}

// unusable reports whether this counter can't be used, whatever the store does for
// others.
func (h *storeHealth) unusable(at Moment) bool { return at.Uptime < h.unusableUntil }

// down reports whether the store can't be used for this counter, as far as is known.
func (h *storeHealth) down(at Moment) bool { return at.Store.Down || h.unusable(at) }

// bypass reports whether calls must be decided without the store. It is false if the
// store is down but the next call should find out whether it is back.
func (h *storeHealth) bypass(at Moment) bool {
	return h.unusable(at) || at.Store.Down && !at.Store.Untried
}

// probe asks for a read when nothing needs writing, to find out whether the
// store is back.
func (h *storeHealth) probe(at Moment) {
	if !h.probed || at.Uptime-h.probedAt >= probeEvery {
		h.probed, h.probedAt, h.probing = true, at.Uptime, true
	}
}

// provesUnusable reports whether a failure shows that the counter can't be used.
func (h *storeHealth) provesUnusable(failure Failure, now time.Duration) bool {
	return failure == Newer || h.failures.unusable(now, h.patience)
}

// pause returns the pause after a failed attempt. luck is a random number from 0 to 1.
func (h *storeHealth) pause(contended bool, live int64, operation time.Duration, luck float64) time.Duration {
	often := int64(1) << min(h.attempts, 10)
	if contended {
		return time.Duration(luck * conflictShare * float64(min(often, live)) * float64(max(operation, minOperation)))
	}
	return downPause + time.Duration(luck*float64(min(downPause*time.Duration(often), maxPause)))
}

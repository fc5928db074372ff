package lease

import (
	"cmp"
	"slices"
	"time"

	"tollgate/handler/limit"
)

const (
	// maxQueue and maxQueueBytes bound the calls parked at a counter: their number,
	// and the sum of their bodies.
	maxQueue      = 100
	maxQueueBytes = 8 << 20
)

// A call is a call without a decision.
type call struct {
	id      int64
	ask     limit.Ask
	onDown  limit.StoreDown
	arrived time.Time
	maxWait time.Duration // longest time in the queue
	parked  bool          // it didn't fit when it was last decided, and waits until it does
	granted int64         // amount granted by the write under way
	joint   bool          // it needs other counters too: it claims here, and takes once all have claims
	claimed bool          // an amount of the lease is set aside for it
	claim   int64         // that amount
	blocked bool          // it doesn't fit beside the claims ahead of it, and is decided again when one of them ends
}

// claimedOrBlocked reports whether nothing has to be decided about the call now: it
// has a claim, or waits for another call's claim to end.
func (c *call) claimedOrBlocked() bool { return c.claimed || c.blocked }

// amountFrom returns what the call gets of an amount, and whether that is enough for
// it.
func (c *call) amountFrom(left int64) (amount int64, fits bool) {
	switch {
	case c.ask.Amount <= left:
		return c.ask.Amount, true
	case c.granted > 0 && c.granted <= left:
		return c.granted, true
	}
	return c.claim, c.claimed && c.claim <= left
}

// deadline returns the end of the call's time in the queue.
func (c *call) deadline() time.Time { return c.arrived.Add(c.maxWait) }

// hasDeadline reports whether the call must leave the queue at its deadline. That
// isn't so for a call that waits for its first decision alone, for one that has a
// claim or waits for another's claim to end, and for one that is granted an amount by
// a write being sent.
func (c *call) hasDeadline(sending bool) bool {
	return (c.parked || c.maxWait > 0) && !c.claimedOrBlocked() && (c.granted == 0 || !sending)
}

// overdue reports whether the call must leave the queue now.
func (c *call) overdue(sending bool, now time.Time) bool {
	return c.hasDeadline(sending) && !now.Before(c.deadline())
}

// A question asks for the counter's standing, or how a call would be decided.
type question struct {
	id        int64
	refreshes int   // knownRow.refreshes when it was asked
	call      *call // nil: it asks for the standing
}

// A queue holds the calls that wait for their first decision or are parked until
// they fit, in the order of their ids, and the questions.
type queue struct {
	calls     []call
	questions []question
}

// clone returns a copy that shares nothing that either side changes.
func (q *queue) clone() queue { return queue{slices.Clone(q.calls), slices.Clone(q.questions)} }

// hasUndecided reports whether a call waits for its first decision, or a question
// for its answer.
func (q *queue) hasUndecided() bool {
	return len(q.questions) > 0 || slices.ContainsFunc(q.calls, func(c call) bool { return !c.parked && !c.claimedOrBlocked() })
}

// hasParked reports whether a call waits until it fits.
func (q *queue) hasParked() bool {
	return slices.ContainsFunc(q.calls, func(c call) bool { return c.parked && !c.claimedOrBlocked() })
}

// hasOverdue reports whether a call must leave now.
func (q *queue) hasOverdue(sending bool, now time.Time) bool {
	return slices.ContainsFunc(q.calls, func(c call) bool { return c.overdue(sending, now) })
}

// hasClaims reports whether a call has a claim.
func (q *queue) hasClaims() bool {
	return slices.ContainsFunc(q.calls, func(c call) bool { return c.claimed })
}

// claims returns the sum of all claims on the lease, and whether all queued calls
// have one.
func (q *queue) claims() (sum int64, all bool) {
	all = true
	for i := range q.calls {
		if c := &q.calls[i]; c.claimed {
			sum += c.claim
		} else {
			all = false
		}
	}
	return sum, all
}

// find returns the queued call with an id, or nil.
func (q *queue) find(id int64) *call {
	for i := range q.calls {
		if q.calls[i].id == id {
			return &q.calls[i]
		}
	}
	return nil
}

// hasQuestion reports whether the question with an id waits for its answer.
func (q *queue) hasQuestion(id int64) bool {
	return slices.ContainsFunc(q.questions, func(open question) bool { return open.id == id })
}

// add inserts a call in the order of the ids.
func (q *queue) add(c call) {
	at, _ := slices.BinarySearchFunc(q.calls, c.id, func(other call, id int64) int { return cmp.Compare(other.id, id) })
	q.calls = slices.Insert(q.calls, at, c)
}

// lineBefore returns the line of parked calls before a call. Calls with claims are
// not in it, as claims may end at any time.
func (q *queue) lineBefore(id int64) (ahead line) {
	for i := range q.calls {
		if c := &q.calls[i]; c.id < id && c.parked && !c.claimedOrBlocked() {
			ahead.add(c, c.ask.Needed())
		}
	}
	return ahead
}

// remove removes the call or question with an id, and reports whether it was there.
func (q *queue) remove(id int64) bool {
	before := len(q.calls) + len(q.questions)
	q.calls = slices.DeleteFunc(q.calls, func(c call) bool { return c.id == id })
	q.questions = slices.DeleteFunc(q.questions, func(c question) bool { return c.id == id })
	return len(q.calls)+len(q.questions) < before
}

// firstDeadline returns the first deadline of a queued call that is later than after,
// or farAway.
func (q *queue) firstDeadline(sending bool, after time.Time) time.Time {
	at := farAway
	for i := range q.calls {
		if c := &q.calls[i]; c.hasDeadline(sending) && c.deadline().Before(at) && c.deadline().After(after) {
			at = c.deadline()
		}
	}
	return at
}

// A line is the sum of the calls that queue ahead of another.
type line struct {
	calls  int
	amount int64 // that they need
	bytes  int64 // of their bodies
}

// add adds a call that needs an amount to the line.
func (l *line) add(c *call, amount int64) {
	l.calls++
	l.amount += amount
	l.bytes += c.ask.Bytes
}

// hasRoomFor reports whether a call may queue behind the line, if it will fit after
// this time. For a call that is parked already, only its deadline counts: it isn't
// turned away because the estimate has changed.
func (l *line) hasRoomFor(c *call, after time.Duration, now time.Time) bool {
	if c.parked {
		return now.Before(c.deadline())
	}
	begun := c.arrived
	if now.Before(begun) { // the store's first answer set the clock back
		begun = now
	}
	room := l.calls < maxQueue && l.bytes+c.ask.Bytes <= maxQueueBytes
	return room && !now.Add(after).After(begun.Add(c.maxWait))
}

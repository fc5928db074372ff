package lease

import (
	"cmp"
	"slices"
	"time"

	"tollgate/handler/limit"
)

const (
	// maxQueue and maxQueueBytes bound the calls that queue for a counter.
	maxQueue      = 100
	maxQueueBytes = 8 << 20
)

// A call waits for its decision.
type call struct {
	id      int64
	ask     limit.Ask
	onDown  limit.StoreDown
	arrived time.Time
	maxWait time.Duration // longest time in the queue
	parked  bool          // it was decided once, and queues
	granted int64         // amount granted by the write under way
	joint   bool          // it needs other counters too: it claims, and takes once it can take of all
	claimed bool          // an amount of the lease is set aside for it
	claim   int64         // that amount
	blocked bool          // it doesn't fit beside the claims ahead of it, and is decided when one of them ends
}

// settled reports whether nothing has to be decided about the call now: it has
// a claim, or waits for another's to end.
func (c *call) claimedOrBlocked() bool { return c.claimed || c.blocked }

// within returns what the call gets of this much.
func (c *call) amountFrom(left int64) (amount int64, fits bool) {
	switch {
	case c.ask.Amount <= left:
		return c.ask.Amount, true
	case c.granted > 0 && c.granted <= left:
		return c.granted, true
	}
	return c.claim, c.claimed && c.claim <= left
}

// deadline returns the time when the call must leave the queue.
func (c *call) deadline() time.Time { return c.arrived.Add(c.maxWait) }

// limited reports whether the call must leave the queue at its deadline: not
// one that may not queue at all, nor one that has a claim, or that a write being
// sent grants an amount.
func (c *call) hasDeadline(sending bool) bool {
	return (c.parked || c.maxWait > 0) && !c.claimed && (c.granted == 0 || !sending)
}

// over reports whether the call must leave the queue now.
func (c *call) overdue(sending bool, now time.Time) bool {
	return c.hasDeadline(sending) && !now.Before(c.deadline())
}

// A question waits for the counter's standing, or for how a call would be
// decided.
type question struct {
	id        int64
	refreshes int   // that the row had been learnt when it was asked
	call      *call // nil: the standing alone
}

// A queue holds the calls to be decided or parked until they fit, in
// order of their ids, and the questions.
type queue struct {
	calls     []call
	questions []question
}

func (q *queue) clone() queue { return queue{slices.Clone(q.calls), slices.Clone(q.questions)} }

// undecided reports whether a call waits for its first decision, or a question
// for its answer.
func (q *queue) hasUndecided() bool {
	return len(q.questions) > 0 || slices.ContainsFunc(q.calls, func(c call) bool { return !c.parked && !c.claimedOrBlocked() })
}

// parked reports whether a call waits until it fits.
func (q *queue) hasParked() bool {
	return slices.ContainsFunc(q.calls, func(c call) bool { return c.parked && !c.claimedOrBlocked() })
}

// anyOver reports whether a call must leave now.
func (q *queue) hasOverdue(sending bool, now time.Time) bool {
	return slices.ContainsFunc(q.calls, func(c call) bool { return c.overdue(sending, now) })
}

// claims returns what is set aside of the lease, and whether that is all that
// calls in the queue wait for.
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

// of returns a call in the queue, or nil.
func (q *queue) find(id int64) *call {
	for i := range q.calls {
		if q.calls[i].id == id {
			return &q.calls[i]
		}
	}
	return nil
}

// asks reports whether a question waits for its answer.
func (q *queue) hasQuestion(id int64) bool {
	return slices.ContainsFunc(q.questions, func(open question) bool { return open.id == id })
}

// add puts a call in its place.
func (q *queue) add(c call) {
	at, _ := slices.BinarySearchFunc(q.calls, c.id, func(other call, id int64) int { return cmp.Compare(other.id, id) })
	q.calls = slices.Insert(q.calls, at, c)
}

// lineBefore sums up the calls that are parked before a call. Claims are not in
// it: they may end at any time.
func (q *queue) lineBefore(id int64) (ahead line) {
	for i := range q.calls {
		if c := &q.calls[i]; c.id < id && c.parked && !c.claimedOrBlocked() {
			ahead.add(c, c.ask.Needed())
		}
	}
	return ahead
}

// remove takes a call or question out, and reports whether it was there.
func (q *queue) remove(id int64) bool {
	before := len(q.calls) + len(q.questions)
	q.calls = slices.DeleteFunc(q.calls, func(c call) bool { return c.id == id })
	q.questions = slices.DeleteFunc(q.questions, func(c question) bool { return c.id == id })
	return len(q.calls)+len(q.questions) < before
}

// firstDeadline returns the first time, after this one, when a call must leave.
func (q *queue) firstDeadline(sending bool, after time.Time) time.Time {
	at := farAway
	for i := range q.calls {
		if c := &q.calls[i]; c.hasDeadline(sending) && c.deadline().Before(at) && c.deadline().After(after) {
			at = c.deadline()
		}
	}
	return at
}

// A line sums up the calls that queue ahead of another.
type line struct {
	calls  int
	amount int64
	bytes  int64
}

func (l *line) add(c *call, amount int64) {
	l.calls++
	l.amount += amount
	l.bytes += c.ask.Bytes
}

// takes reports whether the line has room for a call, which will fit after so
// long. That is estimated when the call arrives; later it stays until its
// deadline.
func (l *line) hasRoomFor(c *call, after time.Duration, now time.Time) bool {
	if c.parked {
		return now.Before(c.deadline())
	}
	begun := c.arrived
	if now.Before(begun) { // the first answer set the clock back
		begun = now
	}
	room := l.calls < maxQueue && l.bytes+c.ask.Bytes <= maxQueueBytes
	return room && !now.Add(after).After(begun.Add(c.maxWait))
}

package lease

import (
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
	begun   time.Time
	wait    time.Duration // longest time in the queue
	parked  bool          // it was decided once, and queues
	granted int64         // amount granted by the write under way
}

// deadline returns the time when the call must leave the queue.
func (c *call) deadline() time.Time { return c.begun.Add(c.wait) }

// limited reports whether the call must leave the queue at its deadline: not
// one that may not queue at all, nor one that a write being sent grants
// an amount.
func (c *call) limited(sending bool) bool {
	return (c.parked || c.wait > 0) && (c.granted == 0 || !sending)
}

// A question waits for the counter's standing.
type question struct {
	id    int64
	times int // that the row had been learnt when it was asked
}

// A queue holds the calls to be decided or parked until they fit, in
// order of arrival, and the questions for the standing.
type queue struct {
	calls     []call
	questions []question
}

func (q *queue) clone() queue { return queue{slices.Clone(q.calls), slices.Clone(q.questions)} }

// undecided reports whether a call waits for its first decision, or a question
// for its answer.
func (q *queue) undecided() bool {
	return len(q.questions) > 0 || slices.ContainsFunc(q.calls, func(c call) bool { return !c.parked })
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
		if c := &q.calls[i]; c.limited(sending) && c.deadline().Before(at) && c.deadline().After(after) {
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
func (l *line) takes(c *call, after time.Duration, now time.Time) bool {
	if c.parked {
		return now.Before(c.deadline())
	}
	begun := c.begun
	if now.Before(begun) { // the first answer set the clock back
		begun = now
	}
	room := l.calls < maxQueue && l.bytes+c.ask.Bytes <= maxQueueBytes
	return room && !now.Add(after).After(begun.Add(c.wait))
}

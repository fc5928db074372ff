package ledger

import (
	"container/heap"
	"errors"
	"iter"
	"slices"
	"time"

	"tollgate/handler/limit"
)

// Delays between a count and the write of it.
const (
	// flushAfter leaves a second for the write itself, of the 10 s of usage that a
	// process which is killed may lose.
	flushAfter = 9 * time.Second
	// flushHeadlineAfter is for headline rows. They are no subscription's usage, and each
	// write of them counts for all.
	flushHeadlineAfter = 10 * time.Second
	// flushDayAfter is for days, which housekeeping derives from minutes in the end.
	flushDayAfter = 5*time.Minute - 10*time.Second
)

// knownFor is how long after its span an entry is known at least: readers may have read
// the store a moment before it was written.
const knownFor = 30 * time.Second

// Pauses after failed operations of a partition double up to maxPause.
const (
	minPause = time.Second
	maxPause = 30 * time.Second
	// closingPause replaces them when the process stops.
	closingPause = 200 * time.Millisecond
)

// A tally is what one process has counted, and what it knows of its stored rows. It says
// which operation is next and learns from each one's outcome; it does none itself. Times
// are the service's.
type tally struct {
	process    string
	minute     int64 // the running one; never goes back
	partitions map[string]*partition
	queue      queue // the partitions without an operation under way
	entries    int   // in all partitions
	most       int   // of them
	merged     int64 // the minute in which models were merged last
	closing    bool

	day          int64 // first minute of the UTC day that dayPartition is of
	dayPartition string
}

// A partition holds the entries that stand together, and share operations.
type partition struct {
	name     string
	entries  map[Key]*entry
	due      time.Time // of the next operation
	busy     bool      // one is under way
	failures int       // in succession
	retryAt  time.Time
	index    int // in the queue
}

func newTally(process string, maxEntries int) *tally {
	return &tally{process: process, partitions: make(map[string]*partition), most: maxEntries}
}

// advance moves the running minute on.
func (t *tally) advance(now time.Time) { t.minute = max(t.minute, limit.Minute(now)) }

// keys returns the rows that a call of the running minute counts in: its subscription's
// minute, all subscriptions' minute, and its subscription's day.
func (t *tally) keys(subscription, model string) [3]Key {
	return [3]Key{
		{Subscription: subscription, Model: model, Span: Minute, Start: t.minute},
		{Model: model, Span: Minute, Start: t.minute},
		{Subscription: subscription, Model: model, Span: Day, Start: dayOf(t.minute)},
	}
}

// dayOf returns the first minute of a minute's UTC day.
func dayOf(minute int64) int64 { return minute - minute%(24*60) }

// count counts what happened now. It reports whether there was room for it.
func (t *tally) count(subscription, model string, happened Totals, now time.Time) bool {
	t.advance(now)
	keys := t.keys(subscription, model)
	if !t.hasRoom(keys[:]) {
		t.mergeModels()
		if !t.hasRoom(keys[:]) {
			keys = t.keys(subscription, MergedModels)
		}
		if !t.hasRoom(keys[:]) {
			return false
		}
	}
	for _, key := range keys {
		t.add(key, happened, now)
	}
	return true
}

// add counts in a row, which is made if it isn't there.
func (t *tally) add(key Key, happened Totals, now time.Time) {
	p, e := t.entry(key)
	e.count(happened, now)
	t.schedule(p, t.dueOf(p, e, now))
}

// entry returns the entry of a key, made if it isn't there.
func (t *tally) entry(key Key) (*partition, *entry) {
	name := t.partitionOf(key)
	p := t.partitions[name]
	if p == nil {
		p = &partition{name: name, entries: make(map[Key]*entry), index: -1}
		t.partitions[name] = p
	}
	e := p.entries[key]
	if e == nil {
		e = newEntry(key, t.process)
		p.entries[key] = e
		t.entries++
	}
	return p, e
}

// partitionOf returns key.Partition(). It keeps the name for a day, which nearly all calls
// count in twice, as formatting a date takes longer than counting.
func (t *tally) partitionOf(key Key) string {
	if key.Subscription != "" && key.Span != Day {
		return key.Partition()
	}
	if day := dayOf(key.Start); t.dayPartition == "" || day != t.day {
		t.day, t.dayPartition = day, key.Partition()
	}
	return t.dayPartition
}

// drop forgets an entry.
func (t *tally) drop(p *partition, e *entry) {
	delete(p.entries, e.key)
	t.entries--
}

// next returns the operation to do now, or when the next one will be due; zero for never.
func (t *tally) next(now time.Time) (*operation, time.Time) {
	t.advance(now)
	for len(t.queue) > 0 && !t.queue[0].due.After(now) {
		p := heap.Pop(&t.queue).(*partition)
		p.busy = true
		t.leaveBehind(p, now)
		if found := t.operation(p, now); found != nil {
			return found, time.Time{}
		}
		t.finish(p, now)
	}
	if len(t.queue) == 0 {
		return nil, time.Time{}
	}
	return nil, t.queue[0].due
}

// leaveBehind forgets entries whose span is over and that are stored. What was not sent
// while the row could be written counts in the running minute.
func (t *tally) leaveBehind(p *partition, now time.Time) {
	for _, e := range p.entries {
		switch {
		case e.clean() && !e.end().Add(knownFor).After(now):
			t.drop(p, e)
		case !e.sending && !e.mayWrite(now):
			t.carryOver(p, e, now)
		case e.sending && !e.mayWrite(now):
			e.doubtful = true // to be read when it is sure
		}
	}
}

// carryOver counts what an entry has not surely written in the running minute, and
// forgets the entry. A day has nothing to carry over: housekeeping derives it from its
// minutes.
func (t *tally) carryOver(p *partition, e *entry, now time.Time) {
	t.drop(p, e)
	left := e.unwritten()
	if e.key.Span == Day || left.Empty() {
		return
	}
	keys := t.keys(e.key.Subscription, e.key.Model)
	t.add(keys[0], left, now)
	if e.key.Subscription != "" && dayOf(e.key.Start) != keys[2].Start { // that day ends without it
		t.add(keys[2], left, now)
	}
}

// operation returns what is to be done in a partition: first to read what is in doubt,
// then to write what is due and, in the same transaction, what would be due later.
func (t *tally) operation(p *partition, now time.Time) *operation {
	var doubtful, due, later []*entry
	for _, e := range p.entries {
		switch {
		case e.doubtful && (e.mayWrite(now) || e.isSure(now)):
			doubtful = append(doubtful, e)
		case e.doubtful || e.clean():
		case t.dueOf(p, e, now).After(now):
			later = append(later, e)
		default:
			due = append(due, e)
		}
	}
	found := &operation{partition: p, entries: last(doubtful, MaxChanges), begun: now}
	if len(doubtful) == 0 && len(due) > 0 {
		found.entries = last(due, MaxChanges)
		found.entries = append(found.entries, last(later, MaxChanges-len(found.entries))...)
		for _, e := range found.entries {
			found.changes = append(found.changes, Change{Row: e.send(t.process)})
		}
	}
	if len(found.entries) == 0 {
		return nil
	}
	return found
}

// written learns the versions of the rows that an operation wrote.
func (t *tally) written(o *operation, versions []Version, now time.Time) {
	for i, e := range o.entries {
		e.confirm(versions[i])
	}
	t.ended(o, nil, now)
}

// loaded learns the rows that an operation read.
func (t *tally) loaded(o *operation, rows []Row, now time.Time) {
	byKey := make(map[string]*Row, len(rows))
	for i := range rows {
		byKey[rows[i].RowKey()] = &rows[i]
	}
	for _, e := range o.entries {
		row, sum := byKey[e.rowKey], byKey[e.sumKey]
		if e.key.Span == Day && row == nil && sum != nil { // the day is closed, with all that its minutes have
			t.drop(o.partition, e)
			continue
		}
		var taken int64
		if sum != nil {
			taken = sum.Taken[t.process].Revision
		}
		e.resolve(row, taken)
		if e.sending && e.isSure(o.begun) {
			t.carryOver(o.partition, e, now)
		}
	}
	o.partition.retryAt = now
	t.finish(o.partition, now)
}

// failed learns that an operation failed. Unless the service refused it, a write may have
// been applied, or yet be.
func (t *tally) failed(o *operation, err error, now time.Time) {
	if o.changes != nil {
		for _, e := range o.entries {
			e.doubtful = true
		}
	}
	t.ended(o, err, now)
}

// ended notes an operation's success or failure, which determines the pause before the
// partition's next one.
func (t *tally) ended(o *operation, err error, now time.Time) {
	p := o.partition
	switch {
	case err == nil:
		p.failures, p.retryAt = 0, time.Time{}
	case p.failures == 0 && (errors.Is(err, ErrConflict) || errors.Is(err, ErrNotFound)):
		p.failures, p.retryAt = 1, now
	default:
		p.retryAt = now.Add(min(minPause<<min(p.failures, 10), maxPause))
		p.failures++
		if t.closing {
			p.retryAt = now.Add(closingPause)
		}
	}
	t.finish(p, now)
}

// finish makes a partition wait for its next operation.
func (t *tally) finish(p *partition, now time.Time) {
	p.busy = false
	t.reschedule(p, now)
}

// reschedule finds out when a partition's next operation is due. It forgets a partition
// without entries.
func (t *tally) reschedule(p *partition, now time.Time) {
	if len(p.entries) == 0 {
		delete(t.partitions, p.name)
		return
	}
	p.due = now.Add(24 * time.Hour)
	for _, e := range p.entries {
		if at := t.dueOf(p, e, now); at.Before(p.due) {
			p.due = at
		}
	}
	heap.Push(&t.queue, p)
}

// schedule moves a partition's next operation forward, if it is later.
func (t *tally) schedule(p *partition, due time.Time) {
	switch {
	case p.busy:
	case p.index < 0:
		p.due = due
		heap.Push(&t.queue, p)
	case due.Before(p.due):
		p.due = due
		heap.Fix(&t.queue, p.index)
	}
}

// dueOf returns when something is to be done about an entry.
func (t *tally) dueOf(p *partition, e *entry, now time.Time) time.Time {
	delay := flushAfter
	switch {
	case e.key.Span == Day:
		delay = flushDayAfter
	case e.key.Subscription == "":
		delay = flushHeadlineAfter
	}
	switch {
	case e.clean():
		return e.end().Add(knownFor) // to be forgotten
	case e.sending && !e.mayWrite(now):
		return latest(p.retryAt, e.end().Add(RollUpAfter))
	case e.sending, t.closing:
		return p.retryAt
	}
	return latest(p.retryAt, e.since.Add(delay))
}

func latest(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// close makes everything due at once.
func (t *tally) close(now time.Time) {
	t.closing = true
	for _, p := range slices.Clone(t.queue) {
		p.retryAt = time.Time{}
		heap.Remove(&t.queue, p.index)
		t.reschedule(p, now)
	}
}

// known returns the rows of a partition as they will be once all is written.
func (t *tally) known(partition string) (rows []Row) {
	p := t.partitions[partition]
	if p == nil {
		return nil
	}
	for _, e := range p.entries {
		row := Row{Key: e.key, Process: t.process, Revision: e.revision + 2, Totals: e.stored} // no write under way has a later one
		row.Totals.Add(e.sent)
		row.Totals.Add(e.fresh)
		rows = append(rows, row)
	}
	return rows
}

// unwritten yields the entries whose counts are not surely stored.
func (t *tally) unwritten() iter.Seq[*entry] {
	return func(yield func(*entry) bool) {
		for _, p := range t.partitions {
			for _, e := range p.entries {
				if !e.clean() && !yield(e) {
					return
				}
			}
		}
	}
}

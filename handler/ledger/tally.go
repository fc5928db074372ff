package ledger

import (
	"container/heap"
	"errors"
	"iter"
	"slices"
	"time"

	"tollgate/handler/limit"
)

// How long after totals were counted they are written.
const (
	// flushAfter is the delay for a subscription's minutes. A process that is killed may lose
	// its last 10 s of usage; this leaves a second of them for the write itself.
	flushAfter = 9 * time.Second
	// flushHeadlineAfter is the delay for headline rows. It is longer, because they are only
	// for charts.
	flushHeadlineAfter = 10 * time.Second
	// flushDayAfter is the delay for days. It is much longer, because housekeeping finally
	// computes days from minutes.
	flushDayAfter = 5*time.Minute - 10*time.Second
)

// pendingFor is how long after its span an entry is kept at least, for Recorder.Pending: a reader may
// have read the store just before the entry was written.
const pendingFor = 30 * time.Second

// The pause after failed operations of a partition doubles from minPause to maxPause.
const (
	minPause = time.Second
	maxPause = 30 * time.Second
	// closingPause is the pause while the process stops.
	closingPause = 200 * time.Millisecond
)

// A tally holds what one process has counted and what it knows of its stored rows. It is a
// state machine without I/O: it decides which operation is next, and is told the outcome of
// each. Times are Table Storage's.
type tally struct {
	process    string
	minute     int64 // the current minute; never goes back
	partitions map[string]*partition
	queue      queue // the partitions without an operation in progress
	entries    int   // in all partitions
	maxEntries int   // of them
	mergedAt   int64 // the minute in which models were merged last
	closing    bool

	lastDay          int64  // the first minute of the UTC day of lastDayPartition
	lastDayPartition string // see partitionOf
}

// A partition holds the entries whose rows are in one partition of the store. They are read
// and written together, one operation at a time.
type partition struct {
	name     string
	entries  map[Key]*entry
	due      time.Time // when the next operation is due
	busy     bool      // an operation is in progress
	failures int       // operations that failed in succession
	retryAt  time.Time // the earliest time of the next operation
	index    int       // in the queue; below 0: it isn't there
}

func newTally(process string, maxEntries int) *tally {
	return &tally{process: process, partitions: make(map[string]*partition), maxEntries: maxEntries}
}

// advance sets the current minute.
func (t *tally) advance(now time.Time) { t.minute = max(t.minute, limit.Minute(now)) }

// keysOf returns the keys of the rows that count a call of the current minute: the
// subscription's minute, the headline row of the minute, and the subscription's day.
func (t *tally) keysOf(subscription, model string) [3]Key {
	return [3]Key{
		{Subscription: subscription, Model: model, Span: Minute, Start: t.minute},
		{Model: model, Span: Minute, Start: t.minute},
		{Subscription: subscription, Model: model, Span: Day, Start: dayOf(t.minute)},
	}
}

// dayOf returns the first minute of a minute's UTC day.
func dayOf(minute int64) int64 { return minute - minute%(24*60) }

// count adds totals to the current minute, and reports whether there was room for them.
func (t *tally) count(subscription, model string, happened Totals, now time.Time) bool {
	t.advance(now)
	keys := t.keysOf(subscription, model)
	if !t.hasRoom(keys[:]) {
		t.mergeModels()
		if !t.hasRoom(keys[:]) {
			keys = t.keysOf(subscription, MergedModels)
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

// add adds totals to the entry of a key, and schedules its write.
func (t *tally) add(key Key, happened Totals, now time.Time) {
	p, e := t.entry(key)
	e.count(happened, now)
	t.schedule(p, t.dueOf(p, e, now))
}

// entry returns the entry of a key, and creates it if it doesn't exist.
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

// partitionOf returns key.Partition(). It remembers the last partition of a day, because nearly
// every call needs it twice and formatting its date takes longer than counting the call.
func (t *tally) partitionOf(key Key) string {
	if key.Subscription != "" && key.Span != Day {
		return key.Partition()
	}
	if day := dayOf(key.Start); t.lastDayPartition == "" || day != t.lastDay {
		t.lastDay, t.lastDayPartition = day, key.Partition()
	}
	return t.lastDayPartition
}

// drop removes an entry.
func (t *tally) drop(p *partition, e *entry) {
	delete(p.entries, e.key)
	t.entries--
}

// next returns the operation to do now, or nil and when the next one will be due; zero:
// nothing is left to do.
func (t *tally) next(now time.Time) (*operation, time.Time) {
	t.advance(now)
	for len(t.queue) > 0 && !t.queue[0].due.After(now) {
		p := heap.Pop(&t.queue).(*partition)
		p.busy = true
		t.retire(p, now)
		if found := t.operation(p, now); found != nil {
			return found, time.Time{}
		}
		t.release(p, now)
	}
	if len(t.queue) == 0 {
		return nil, time.Time{}
	}
	return nil, t.queue[0].due
}

// retire drops entries that are stored and whose span is long over. Totals that were not sent
// while the row could be written are moved to the current minute.
func (t *tally) retire(p *partition, now time.Time) {
	for _, e := range p.entries {
		switch {
		case e.isStored() && !e.end().Add(pendingFor).After(now):
			t.drop(p, e)
		case !e.sending && !e.isWritable(now):
			t.carryOver(p, e, now)
		case e.sending && !e.isWritable(now):
			e.inDoubt = true // to be read when it is settled
		}
	}
}

// carryOver moves the unwritten totals of an entry to the current minute, and drops the entry.
// For a day it moves nothing, because housekeeping computes days from minutes.
func (t *tally) carryOver(p *partition, e *entry, now time.Time) {
	t.drop(p, e)
	left := e.unwritten()
	if e.key.Span == Day || left.Empty() {
		return
	}
	keys := t.keysOf(e.key.Subscription, e.key.Model)
	t.add(keys[0], left, now)
	if e.key.Subscription != "" && dayOf(e.key.Start) != keys[2].Start { // its own day was closed without it
		t.add(keys[2], left, now)
	}
}

// operation returns the next operation of a partition, or nil. It reads entries whose write is
// in doubt first. Then it writes those that are due and, in the same transaction, those that
// would be due later.
func (t *tally) operation(p *partition, now time.Time) *operation {
	var doubtful, due, later []*entry
	for _, e := range p.entries {
		switch {
		case e.inDoubt && (e.isWritable(now) || e.isSettled(now)):
			doubtful = append(doubtful, e)
		case e.inDoubt || e.isStored():
		case t.dueOf(p, e, now).After(now):
			later = append(later, e)
		default:
			due = append(due, e)
		}
	}
	found := &operation{partition: p, entries: lastEntries(doubtful, MaxChanges), begun: now}
	if len(doubtful) == 0 && len(due) > 0 {
		found.entries = lastEntries(due, MaxChanges)
		found.entries = append(found.entries, lastEntries(later, MaxChanges-len(found.entries))...)
		for _, e := range found.entries {
			found.changes = append(found.changes, Change{Row: e.send(t.process)})
		}
	}
	if len(found.entries) == 0 {
		return nil
	}
	return found
}

// written records that an operation wrote its rows, and their new versions.
func (t *tally) written(o *operation, versions []Version, now time.Time) {
	for i, e := range o.entries {
		e.confirm(versions[i])
	}
	t.setPause(o, nil, now)
}

// loaded records the rows that an operation read.
func (t *tally) loaded(o *operation, rows []Row, now time.Time) {
	byKey := make(map[string]*Row, len(rows))
	for i := range rows {
		byKey[rows[i].RowKey()] = &rows[i]
	}
	for _, e := range o.entries {
		row, sum := byKey[e.rowKey], byKey[e.sumKey]
		if e.key.Span == Day && row == nil && sum != nil { // the day is closed, and includes all its minutes
			t.drop(o.partition, e)
			continue
		}
		var taken int64
		if sum != nil {
			taken = sum.Taken[t.process].Revision
		}
		e.resolve(row, taken)
		if e.sending && e.isSettled(o.begun) {
			t.carryOver(o.partition, e, now)
		}
	}
	o.partition.retryAt = now
	t.release(o.partition, now)
}

// failed records that an operation failed. A failed write may have been applied, or may still
// be applied later.
func (t *tally) failed(o *operation, err error, now time.Time) {
	if o.changes != nil {
		for _, e := range o.entries {
			e.inDoubt = true
		}
	}
	t.setPause(o, err, now)
}

// setPause sets the pause before the partition's next operation, by the success or failure of the
// last one. After a first conflict there is none: the rows are read at once.
func (t *tally) setPause(o *operation, err error, now time.Time) {
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
	t.release(p, now)
}

// release puts a partition back into the queue after its operation.
func (t *tally) release(p *partition, now time.Time) {
	p.busy = false
	t.reschedule(p, now)
}

// reschedule computes when a partition's next operation is due and puts it into the queue, or
// drops the partition if it has no entries.
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

// schedule makes a partition's next operation due at a time, unless it is due earlier.
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

// dueOf returns when an entry must be written, read or dropped.
func (t *tally) dueOf(p *partition, e *entry, now time.Time) time.Time {
	delay := flushAfter
	switch {
	case e.key.Span == Day:
		delay = flushDayAfter
	case e.key.Subscription == "":
		delay = flushHeadlineAfter
	}
	switch {
	case e.isStored():
		return e.end().Add(pendingFor) // to be dropped
	case e.sending && !e.isWritable(now):
		return latest(p.retryAt, e.end().Add(RollUpAfter))
	case e.sending, t.closing:
		return p.retryAt
	}
	return latest(p.retryAt, e.unsentSince.Add(delay))
}

func latest(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// close makes all operations due at once.
func (t *tally) close(now time.Time) {
	t.closing = true
	for _, p := range slices.Clone(t.queue) {
		p.retryAt = time.Time{}
		heap.Remove(&t.queue, p.index)
		t.reschedule(p, now)
	}
}

// pending returns the rows of a partition as they will be when everything is written.
func (t *tally) pending(partition string) (rows []Row) {
	p := t.partitions[partition]
	if p == nil {
		return nil
	}
	for _, e := range p.entries {
		row := Row{Key: e.key, Process: t.process, Revision: e.revision + 2, Totals: e.stored} // higher than that of any write in progress
		row.Totals.Add(e.sent)
		row.Totals.Add(e.unsent)
		rows = append(rows, row)
	}
	return rows
}

// unwritten yields the entries with totals that are not known to be stored.
func (t *tally) unwritten() iter.Seq[*entry] {
	return func(yield func(*entry) bool) {
		for _, p := range t.partitions {
			for _, e := range p.entries {
				if !e.isStored() && !yield(e) {
					return
				}
			}
		}
	}
}

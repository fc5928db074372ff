package ledger

import "time"

// Times of a row's life. Roll-up takes a row an hour after its span, so its process
// leaves it alone before: no write that is still on its way can then find the row gone
// and add it again.
const (
	// ownFor is how long after its span a row may still be written.
	ownFor = 50 * time.Minute
	// RollUpAfter is how long after its span a process's row may be taken by a sum. What
	// was sent by ownFor has been applied by then, or never will be.
	RollUpAfter = 60 * time.Minute
)

// An entry is a row of this process as it knows it: what is stored, what the write under
// way or in doubt adds to that, and what was counted since. It has at most one undecided
// write.
type entry struct {
	key    Key
	rowKey string // of the process's row
	sumKey string // of the sum that may take it

	version  Version // of the stored row; empty: none is stored
	revision int64   // the last one surely stored; it may have been taken since
	stored   Totals  // what the stored row has

	sent     Totals // what the undecided write adds, as the next revision
	sending  bool   // a write is undecided
	doubtful bool   // it has failed, and the row must be read to know whether it was applied

	fresh Totals    // what was counted since
	since time.Time // when fresh began
}

func newEntry(key Key, process string) *entry {
	return &entry{key: key, rowKey: Row{Key: key, Process: process}.RowKey(), sumKey: Row{Key: key, Process: Sum}.RowKey()}
}

// end returns when the entry's span ends.
func (e *entry) end() time.Time { return e.key.Time().Add(e.key.Span.Length()) }

// mayWrite reports whether the row may still be written.
func (e *entry) mayWrite(now time.Time) bool { return now.Before(e.end().Add(ownFor)) }

// isSure reports whether a row that is read now shows every write that ever will be
// applied.
func (e *entry) isSure(now time.Time) bool { return !now.Before(e.end().Add(RollUpAfter)) }

// clean reports whether everything counted is surely stored.
func (e *entry) clean() bool { return !e.sending && e.fresh.Empty() }

// count adds to what was counted.
func (e *entry) count(t Totals, now time.Time) {
	if e.fresh.Empty() {
		e.since = now
	}
	e.fresh.Add(t)
}

// unwritten returns what is not surely stored.
func (e *entry) unwritten() Totals {
	left := e.sent
	left.Add(e.fresh)
	return left
}

// send returns the row to write. After a write in doubt it is the same again, whatever
// was counted since: a stored row with its revision then has exactly this content.
func (e *entry) send(process string) Row {
	if !e.sending {
		e.sent, e.fresh, e.sending = e.fresh, Totals{}, true
	}
	row := Row{Key: e.key, Process: process, Revision: e.revision + 1, Totals: e.stored, Version: e.version}
	row.Totals.Add(e.sent)
	return row
}

// confirm notes that the write was applied.
func (e *entry) confirm(version Version) {
	e.version, e.revision = version, e.revision+1
	e.stored.Add(e.sent)
	e.sent, e.sending, e.doubtful = Totals{}, false, false
}

// resolve decides a write in doubt by what was read: the row, nil if it is gone, and the
// revision of it that the sum notes, 0 for none. A write that was not applied is sent
// again.
func (e *entry) resolve(row *Row, taken int64) {
	e.doubtful = false
	switch {
	case row != nil && row.Revision == e.revision+1:
		e.confirm(row.Version)
	case row != nil:
		e.version = row.Version
	case taken > e.revision: // applied, and taken since
		e.confirm("")
	default: // never applied: a row that was taken before is added again, with all that the sum took of it
		e.version = ""
	}
}

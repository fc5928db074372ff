package ledger

import "time"

// When a row may be written and taken. Its process stops writing it well before roll-up may
// take it, so that no delayed write finds the row gone and inserts it again.
const (
	// writableFor is how long after its span a process may write its row.
	writableFor = 50 * time.Minute
	// RollUpAfter is how long after its span a sum may take a process's row. A write that was
	// sent within writableFor has been applied by then, or never will be.
	RollUpAfter = 60 * time.Minute
)

// An entry is what this process knows of one of its rows: the totals that are stored, those
// that an undecided write adds, and those counted since. At most one write is undecided: it
// is in progress, or it failed and may have been applied.
type entry struct {
	key    Key
	rowKey string // of the process's row
	sumKey string // of the sum that may take it

	version  Version // of the stored row; empty: none is stored
	revision int64   // the last one known to be stored; a sum may have taken it since
	stored   Totals  // what the row has at that revision

	sent    Totals // what the undecided write adds, at the next revision
	sending bool   // a write is undecided
	inDoubt bool   // that write failed, and the row must be read to find out if it was applied

	unsent      Totals    // what was counted since then
	unsentSince time.Time // when the first of it was counted
}

func newEntry(key Key, process string) *entry {
	return &entry{key: key, rowKey: Row{Key: key, Process: process}.RowKey(), sumKey: Row{Key: key, Process: Sum}.RowKey()}
}

// end returns when the entry's span ends.
func (e *entry) end() time.Time { return e.key.Time().Add(e.key.Span.Length()) }

// isWritable reports whether the process may still write the row.
func (e *entry) isWritable(now time.Time) bool { return now.Before(e.end().Add(writableFor)) }

// isSettled reports whether no write sent so far can still be applied, so that a row that is
// read now will not change.
func (e *entry) isSettled(now time.Time) bool { return !now.Before(e.end().Add(RollUpAfter)) }

// isStored reports whether everything counted is known to be stored.
func (e *entry) isStored() bool { return !e.sending && e.unsent.Empty() }

// count adds totals that are to be written.
func (e *entry) count(t Totals, now time.Time) {
	if e.unsent.Empty() {
		e.unsentSince = now
	}
	e.unsent.Add(t)
}

// unwritten returns the totals that are not known to be stored.
func (e *entry) unwritten() Totals {
	left := e.sent
	left.Add(e.unsent)
	return left
}

// send returns the row to write. While a write is undecided, it returns the same row again,
// whatever was counted since, so that a stored row of that revision has exactly this content.
func (e *entry) send(process string) Row {
	if !e.sending {
		e.sent, e.unsent, e.sending = e.unsent, Totals{}, true
	}
	row := Row{Key: e.key, Process: process, Revision: e.revision + 1, Totals: e.stored, Version: e.version}
	row.Totals.Add(e.sent)
	return row
}

// confirm records that the write was applied.
func (e *entry) confirm(version Version) {
	e.version, e.revision = version, e.revision+1
	e.stored.Add(e.sent)
	e.sent, e.sending, e.inDoubt = Totals{}, false, false
}

// resolve decides whether a write in doubt was applied, from what was read: the row, nil if it
// is gone, and the revision of it that the sum has taken, 0 for none. A write that was not
// applied will be sent again.
func (e *entry) resolve(row *Row, taken int64) {
	e.inDoubt = false
	switch {
	case row != nil && row.Revision == e.revision+1:
		e.confirm(row.Version)
	case row != nil:
		e.version = row.Version
	case taken > e.revision: // applied, and taken since
		e.confirm("")
	default: // not applied: if a sum took the row, it is inserted again, including what the sum has of it
		e.version = ""
	}
}

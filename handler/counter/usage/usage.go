// Package usage is the history of counters: what happened in each of their
// closed minutes. A row is written once and never changes.
package usage

import (
	"context"
	"iter"
	"time"

	"tollgate/handler/counter"
)

// Row is what happened to a counter in a closed minute.
type Row struct {
	// Counter is the counter's key, which says whose it is.
	Counter string
	// Epoch tells counters apart that bore the key one after the other.
	Epoch string
	Closed
}

// Owner is whose the counter is.
func (r Row) Owner() counter.Owner { return counter.OwnerOf(r.Counter) }

// Closed is a minute that has ended. All but Minute and From are counts, of
// tokens where they don't say otherwise.
type Closed struct {
	// Minute is the UTC minute since 1970 in which the counts end.
	Minute int64
	// From is the minute in which they begin: an earlier one where rows could not
	// be written for so long that minutes had to be counted together.
	From int64
	PromptTokens,
	CompletionTokens,
	Requests, // calls that ended
	Refused, // calls that a limit turned away
	Forfeited, // leased by instances that died
	Charged int64 // what the minute's limit was charged, forfeits included
}

// Query chooses rows by what is set.
type Query struct {
	// Counter is one counter's key.
	Counter string
	// Owner's counters are meant where Counter is empty.
	Owner counter.Owner
	// From is the first minute, To the first that isn't meant any more; zero for
	// no bound. A row lies in its Minute.
	From, To time.Time
}

// LastMinute is beyond all rows: stores sort minutes by ten digits.
const LastMinute = 9_999_999_999

// Minutes are the query's bounds as rows have them, the last not included.
func (q Query) Minutes() (from, to int64) {
	to = LastMinute
	if !q.From.IsZero() {
		from = q.From.Unix() / 60
	}
	if !q.To.IsZero() {
		to = (q.To.Unix() + 59) / 60
	}
	return from, to
}

// Reader reads the history.
type Reader interface {
	// Rows goes through the rows that a query means, by counter and then by time,
	// page after page. After an error nothing follows. A query of all counters
	// reads through the whole table, and is for operators.
	Rows(ctx context.Context, q Query) iter.Seq2[Row, error]
}

// Store keeps the history.
type Store interface {
	Reader
	// Put adds a row; one that is there already stays as it is, and that is no error.
	Put(ctx context.Context, row Row) error
	// DeleteBefore takes away the rows of all minutes before one and says how many
	// they were, also beside an error.
	DeleteBefore(ctx context.Context, minute time.Time) (deleted int, err error)
}

// Package usage is the history of counters: what happened in each of their
// closed minutes. A row is written once and never changes.
package usage

import (
	"context"
	"iter"
	"time"

	"tollgate/handler/counter"
	"tollgate/handler/limit"
)

// Row is what happened to a counter in a closed minute.
type Row struct {
	// Counter is the counter's key, which says whose it is.
	Counter string
	// Epoch tells counters apart that bore the key one after the other.
	Epoch string
	limit.Closed
}

// Owner is whose the counter is.
func (r Row) Owner() limit.Owner { return limit.OwnerOf(r.Counter) }

// Query chooses rows by what is set.
type Query struct {
	// Counter is one counter's key.
	Counter string
	// Owner's counters are meant where Counter is empty.
	Owner limit.Owner
	// From is the first minute, To the first that isn't meant any more; zero for
	// no bound. A row lies in its Minute.
	From, To time.Time
}

// lastMinute is beyond all rows: stores sort minutes by ten digits.
const lastMinute = 9_999_999_999

// Minutes are the query's bounds as rows have them, the last not included.
func (q Query) Minutes() (from, to int64) {
	to = lastMinute
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
	// History: a row that is there already stays as it is, and that is no error.
	counter.History
	// DeleteBefore takes away the rows of all minutes before one and says how many
	// they were, also beside an error.
	DeleteBefore(ctx context.Context, minute time.Time) (deleted int, err error)
}

// Package usage defines the history of counters: a row for each closed
// minute, written once and never changed. Stores are in counter/memstore and
// counter/tablestore; start with Query and Store.
package usage

import (
	"context"
	"iter"
	"time"

	"tollgate/handler/counter"
	"tollgate/handler/limit"
)

// A Row is a counter's closed minute.
type Row struct {
	// Counter is one counter's key.
	Counter string
	// Epoch distinguishes counters that had the key one after the other.
	Epoch string
	limit.Closed
}

// Owner returns the counter's owner.
func (r Row) Owner() limit.Owner { return limit.OwnerOf(r.Counter) }

// A Query selects rows by the fields that are set.
type Query struct {
	// Counter is one counter's key.
	Counter string
	// Owner selects all counters of an owner; ignored if Counter is set.
	Owner limit.Owner
	// From is the first minute, To the minute after the last; zero: no bound.
	// Rows are selected by their Minute.
	From, To time.Time
}

// lastMinute is beyond all rows: stores sort minutes by ten digits.
const lastMinute = 9_999_999_999

// Minutes returns the query's bounds as minutes of rows; to is exclusive.
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

// A Reader reads the history.
type Reader interface {
	// Rows yields the rows that a query selects, by counter and then by time,
	// page after page. An error is the last that it yields. A query without a
	// counter or owner reads the whole table, and is for operators only.
	Rows(ctx context.Context, q Query) iter.Seq2[Row, error]
}

// A Store keeps the history.
type Store interface {
	Reader
	// History: a row that is there already stays as it is, and that is no error.
	counter.History
	// DeleteBefore deletes the rows of all minutes before this one, and returns
	// their number, also with an error.
	DeleteBefore(ctx context.Context, minute time.Time) (deleted int, err error)
}

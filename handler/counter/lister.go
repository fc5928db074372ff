package counter

import (
	"context"
	"iter"

	"tollgate/handler/lease"
)

// An Entry is a stored counter.
type Entry struct {
	Key     string
	Row     lease.Row
	Version Version
}

// A Lister lists and deletes stored counters, for housekeeping and reports.
type Lister interface {
	// List yields all counters. A row that can't be read as a counter is yielded with its
	// key and version and with ErrEdited or ErrNewer. Any other error ends the list.
	List(ctx context.Context) iter.Seq2[Entry, error]
	// Delete deletes a counter if it still has this version. Otherwise it returns
	// ErrConflict or ErrNotFound.
	Delete(ctx context.Context, key string, version Version) error
}

package counter

import (
	"context"
	"errors"
	"time"

	"tollgate/handler/lease"
)

// Errors of a Store. After any other error a swap may or may not have been applied. That is
// also so after ErrConflict: the network may have delivered this swap twice, and the first
// copy made the second one conflict.
var (
	// ErrNotFound means that no such counter is stored.
	ErrNotFound = errors.New("no such counter")
	// ErrConflict means that the stored row has another version than the caller's.
	ErrConflict = errors.New("the counter was changed meanwhile")
	// ErrEdited means that the row can't be read as a counter. The Version is valid, and the
	// Row holds what could be read.
	ErrEdited = errors.New("the counter's row was edited")
	// ErrNewer means that a later release wrote the row, which this one must not change.
	ErrNewer = errors.New("the counter was written by a later release of Tollgate")
)

// Version is the ETag of a stored row. It is empty if nothing is stored.
type Version = lease.Version

// A Store keeps counters, one row for each key. Both methods also return the service's time
// from its answer, even with an error; zero if the answer has none. Neither side changes a
// Row after passing it on.
type Store interface {
	// Load reads a counter. It returns ErrNotFound, ErrEdited or ErrNewer.
	Load(ctx context.Context, key string) (lease.Row, Version, time.Time, error)
	// Swap replaces the stored row if it still has this version, and with an empty version
	// inserts the row if none is stored. Otherwise it returns ErrConflict. The same row is
	// sent as the same bytes each time.
	Swap(ctx context.Context, key string, row lease.Row, version Version) (Version, time.Time, error)
}

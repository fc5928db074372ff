package counter

import (
	"context"
	"errors"
	"time"

	"tollgate/handler/lease"
)

// Errors of a Store. After any other error a swap may or may not have been
// applied. So it is after ErrConflict: the winning swap may be this one, sent
// twice by the network.
var (
	// ErrNotFound: there is no such counter.
	ErrNotFound = errors.New("no such counter")
	// ErrConflict: the stored version is not the one that the swap names.
	ErrConflict = errors.New("the counter was changed meanwhile")
	// ErrEdited: the row can't be read as a counter. The Version is valid, and the
	// row holds what could be read.
	ErrEdited = errors.New("the counter's row was edited")
	// ErrNewer: a later release wrote the row. This one must not change it.
	ErrNewer = errors.New("the counter was written by a later release of Tollgate")
)

// Version is the ETag of a stored row. Empty: nothing is stored.
type Version = lease.Version

// A Store keeps counters, one row a key. Both methods return the service's
// own time of the answer, also with an error; zero if unknown. Nobody changes
// a Row after it was passed or returned.
type Store interface {
	// Load reads a counter. It returns ErrNotFound, ErrEdited or ErrNewer.
	Load(ctx context.Context, key string) (lease.Row, Version, time.Time, error)
	// Swap replaces the stored row if it still has this version; with an empty
	// version it inserts the row if none is stored. Otherwise it returns
	// ErrConflict. The same row makes the same bytes each time it is sent.
	Swap(ctx context.Context, key string, row lease.Row, version Version) (Version, time.Time, error)
}

package counter

import (
	"context"
	"errors"
	"time"

	"tollgate/handler/limit"
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
	// State holds what could be read.
	ErrEdited = errors.New("the counter's row was edited")
	// ErrNewer: a later release wrote the row. This one must not change it.
	ErrNewer = errors.New("the counter was written by a later release of Tollgate")
)

// Version is the ETag of a stored state. Empty: nothing is stored.
type Version string

// A Store keeps counters, one state a key. Both methods return the service's
// own time of the answer, also with an error; zero if unknown. Nobody changes
// a State after it was passed or returned.
type Store interface {
	// Load reads a counter. It returns ErrNotFound, ErrEdited or ErrNewer.
	Load(ctx context.Context, key string) (limit.State, Version, time.Time, error)
	// Swap replaces the stored state if it still has this version; with an empty
	// version it inserts the state if none is stored. Otherwise it returns
	// ErrConflict. The same state makes the same bytes each time it is sent.
	Swap(ctx context.Context, key string, state limit.State, version Version) (Version, time.Time, error)
}

// A History keeps minutes that are over.
type History interface {
	// PutClosed adds a minute of a counter, named by its key and epoch. Adding
	// the same minute again changes nothing.
	PutClosed(ctx context.Context, key, epoch string, row limit.Closed) error
}

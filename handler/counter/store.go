package counter

import (
	"context"
	"errors"
	"time"

	"tollgate/handler/limit"
)

// What a Store may answer. Any other error leaves open whether a swap was
// applied, and so does ErrConflict: the swap may be this instance's own, sent
// twice on the way.
var (
	// ErrNotFound: there is no such counter.
	ErrNotFound = errors.New("no such counter")
	// ErrConflict: the counter isn't the version that the swap was for.
	ErrConflict = errors.New("the counter was changed meanwhile")
	// ErrEdited: the row can't be read as a counter. The Version is good, and the
	// State what could be read.
	ErrEdited = errors.New("the counter's row was edited")
	// ErrNewer: a later release wrote the row, and this one mustn't touch it.
	ErrNewer = errors.New("the counter was written by a later release of Tollgate")
)

// Version is what a store knows a stored state by: an ETag. Empty: none is stored.
type Version string

// Store keeps counters, one state a key. Both methods tell the service's own
// time of the answer, zero where it is unknown, also beside an error. A State
// that is given or returned is never changed afterwards.
type Store interface {
	// Load reads a counter. ErrNotFound, ErrEdited, ErrNewer.
	Load(ctx context.Context, key string) (limit.State, Version, time.Time, error)
	// Swap replaces the stored state if it still is the version, and inserts it
	// where the version is empty and none is stored. The same state makes the same
	// bytes, however often it is sent. ErrConflict.
	Swap(ctx context.Context, key string, state limit.State, version Version) (Version, time.Time, error)
}

// History keeps minutes that are over.
type History interface {
	// PutClosed keeps a minute of the counter of a key and an epoch. It may come
	// more than once, and then says the same.
	PutClosed(ctx context.Context, key, epoch string, row limit.Closed) error
}

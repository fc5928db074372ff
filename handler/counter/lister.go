package counter

import (
	"context"
	"iter"

	"tollgate/handler/limit"
)

// Stored is a counter as it lies in a store.
type Entry struct {
	Key     string
	State   limit.State
	Version Version
}

// Keeper is what housekeeping takes, beside a Store.
type Lister interface {
	// Stored goes through all counters. What can't be read as a counter comes with
	// ErrEdited or ErrNewer beside its key and version, and the walk goes on; after
	// any other error nothing follows.
	List(ctx context.Context) iter.Seq2[Entry, error]
	// Delete takes a counter away if it still is the version. ErrConflict, ErrNotFound.
	Delete(ctx context.Context, key string, version Version) error
}

package price

import (
	"context"
	"errors"
	"time"
)

// Errors of a Store.
var (
	ErrNotFound = errors.New("was not found")
	ErrExists   = errors.New("exists already")
	ErrConflict = errors.New("was changed meanwhile")
	// ErrUnavailable means that the prices can't be read. The cause is wrapped beside it.
	ErrUnavailable = errors.New("the prices can't be read")
)

// A Snapshot is all that a Store holds.
type Snapshot struct {
	Currency Currency // its Code is empty if none is set
	Prices   []Price  // ordered by model, then by date
}

// A Store keeps prices and their currency. Any error other than ErrNotFound, ErrExists and
// ErrConflict means that the store can't be reached.
type Store interface {
	// Read returns everything. A row that somebody edited so that it can't be read is
	// returned with Unreadable.
	Read(ctx context.Context) (Snapshot, error)
	// Price returns the price of a model from a date, or ErrNotFound.
	Price(ctx context.Context, model string, from Date) (Price, error)
	// Put inserts a price whose Version is 0, or replaces the stored price if it has the
	// same Version. It returns the new version, ErrNotFound, ErrExists or ErrConflict.
	Put(ctx context.Context, p Price) (version int64, err error)
	// Delete deletes the price of a model from a date if it has the version. It returns
	// ErrNotFound or ErrConflict.
	Delete(ctx context.Context, model string, from Date, version int64) error
	// PutCurrency inserts the currency if its Version is 0, or replaces the stored one if
	// it has the same Version. It returns what Put does.
	PutCurrency(ctx context.Context, c Currency) (version int64, err error)
}

// NextVersion returns a version after another: of a price that was deleted and stored
// again, also after those of before, unless it changed more often than once a minute.
func NextVersion(before int64, now time.Time) int64 { return max(before+1, now.Unix()/60) }

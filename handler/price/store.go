package price

import (
	"context"
	"errors"
	"time"
)

// Errors of a Store.
var (
	// ErrNotFound means that there is no such price.
	ErrNotFound = errors.New("was not found")
	// ErrExists means that a price to insert exists already.
	ErrExists = errors.New("exists already")
	// ErrConflict means that the stored price has another version than expected.
	ErrConflict = errors.New("was changed meanwhile")
)

// ErrUnavailable means that a Book has never been able to read the prices. An error that wraps
// it also wraps the cause.
var ErrUnavailable = errors.New("the prices can't be read")

// A Snapshot is the whole content of a Store.
type Snapshot struct {
	Currency Currency // its Code is empty if none is set
	Prices   []Price  // sorted by model, then by date
}

// A Store keeps prices and their currency. Any error other than ErrNotFound, ErrExists and
// ErrConflict means that the store can't be reached.
type Store interface {
	// Read returns everything. A row that can't be decoded is returned as a Price with
	// Unreadable set.
	Read(ctx context.Context) (Snapshot, error)
	// Price returns the price of a model from a date, or ErrNotFound.
	Price(ctx context.Context, model string, from Date) (Price, error)
	// Put inserts a price whose Version is 0, or replaces the stored price if it has the
	// same Version. It returns the new version, or ErrNotFound, ErrExists or ErrConflict.
	Put(ctx context.Context, p Price) (version int64, err error)
	// Delete deletes the price of a model from a date if it has that version, or returns
	// ErrNotFound or ErrConflict.
	Delete(ctx context.Context, model string, from Date, version int64) error
	// PutCurrency inserts a currency whose Version is 0, or replaces the stored one if it
	// has the same Version. It returns the same errors as Put.
	PutCurrency(ctx context.Context, c Currency) (version int64, err error)
}

// NextVersion returns the version that follows before, which is 0 for a new price. Versions
// are at least the minutes since 1970, so that a price that is deleted and stored again gets
// a higher version than it had, unless it changed more than once a minute.
func NextVersion(before int64, now time.Time) int64 { return max(before+1, now.Unix()/60) }

package ledger

import (
	"context"
	"errors"
	"fmt"
	"iter"
)

// A Version identifies the content of a stored row. It is the store's ETag.
type Version string

// A Change inserts, replaces or deletes a row. A row without a Version is inserted. A row with
// a Version is replaced, or deleted if Delete is set, provided that the stored row has that
// version.
type Change struct {
	Row
	Delete bool
}

// MaxChanges is the most changes in one transaction. Source:
// https://learn.microsoft.com/rest/api/storageservices/performing-entity-group-transactions
const MaxChanges = 100

// Errors of Store.Apply that mean that no change was or will be applied. After any other error
// the outcome is unknown until the rows are read.
var (
	// ErrConflict means that a row has another version, or exists already.
	ErrConflict = errors.New("the row was changed meanwhile")
	// ErrNotFound means that a row to replace or delete doesn't exist.
	ErrNotFound = errors.New("no such row")
)

// ErrUnreadable means that a stored row can't be read as one.
var ErrUnreadable = errors.New("the row was edited: delete it, or give it back its columns")

// A Store keeps rows.
type Store interface {
	// Apply makes all changes or none. There may be up to MaxChanges, of different rows of one
	// partition. It returns the new version of each row, in the order of the changes; empty
	// for a deleted row.
	Apply(ctx context.Context, changes []Change) ([]Version, error)
	// Rows yields the rows of a partition whose row keys are in [from, to), sorted by row key.
	// An empty bound doesn't restrict. With a row that somebody edited so that it can't be
	// read, it yields the readable part and ErrUnreadable, and goes on. Any other error is
	// the last that it yields.
	Rows(ctx context.Context, partition, from, to string) iter.Seq2[Row, error]
	// Partitions yields the names in [from, to) of partitions that have rows, sorted. An
	// empty bound doesn't restrict. An error is the last that it yields.
	Partitions(ctx context.Context, from, to string) iter.Seq2[string, error]
}

// CheckTransaction returns an error unless a Store can apply the changes in one transaction.
func CheckTransaction(changes []Change) error {
	if len(changes) == 0 || len(changes) > MaxChanges {
		return fmt.Errorf("a transaction of %d changes: make 1 to %d", len(changes), MaxChanges)
	}
	seen := make(map[string]bool, len(changes))
	for _, c := range changes {
		switch {
		case c.Partition() != changes[0].Partition():
			return fmt.Errorf("a transaction in the partitions %q and %q: make two", changes[0].Partition(), c.Partition())
		case seen[c.RowKey()]:
			return fmt.Errorf("a transaction changes the row %q twice", c.RowKey())
		case c.Delete && c.Version == "":
			return fmt.Errorf("deleting the row %q needs its version", c.RowKey())
		}
		seen[c.RowKey()] = true
	}
	return nil
}

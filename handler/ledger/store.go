package ledger

import (
	"context"
	"errors"
	"fmt"
	"iter"
)

// A Version marks a stored row's content: the store's ETag.
type Version string

// A Change inserts, replaces or deletes a row. A row without a Version is inserted; one
// with a Version is replaced, or deleted if Delete is set, while it has that version.
type Change struct {
	Row
	Delete bool
}

// MaxChanges is the most changes of one transaction. Source:
// https://learn.microsoft.com/rest/api/storageservices/performing-entity-group-transactions
const MaxChanges = 100

// Errors of a Store after which nothing of a transaction was or will be applied. After
// any other error its outcome is unknown, until the rows are read.
var (
	// ErrConflict means that a row has another version, or is there already.
	ErrConflict = errors.New("the row was written meanwhile")
	// ErrNotFound means that a row is gone.
	ErrNotFound = errors.New("no such row")
)

// ErrEdited means that a stored row can't be read as one.
var ErrEdited = errors.New("the row was edited: delete it, or give it back its columns")

// A Store keeps rows.
type Store interface {
	// Apply makes all changes or none. The rows must be different ones of one partition,
	// at most MaxChanges. It returns their new versions in the order of the changes, empty
	// for those deleted.
	Apply(ctx context.Context, changes []Change) ([]Version, error)
	// Rows yields the rows of a partition whose row keys are in [from, to), sorted by
	// them. Empty bounds are none. A row that was edited comes with what can be read of it
	// and ErrEdited, and the list goes on; any other error ends it.
	Rows(ctx context.Context, partition, from, to string) iter.Seq2[Row, error]
	// Partitions yields the partitions that have rows and are in [from, to), sorted. Empty
	// bounds are none. An error is the last that it yields.
	Partitions(ctx context.Context, from, to string) iter.Seq2[string, error]
}

// Check returns an error unless the changes can be one transaction.
func Check(changes []Change) error {
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

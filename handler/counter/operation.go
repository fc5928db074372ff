package counter

import (
	"context"
	"errors"
	"time"

	"tollgate/handler/lease"
)

// load reads a row from the store, within OperationTimeout.
func (c *Counter) load(ctx context.Context, key string) (lease.Row, Version, time.Time, error) {
	bounded, cancel := context.WithTimeout(ctx, c.config.OperationTimeout)
	defer cancel()
	began := time.Now()
	c.tallies.reads.Add(1)
	row, version, date, err := c.config.Store.Load(bounded, key)
	c.noteOperation(ctx, began, date, err)
	return row, version, date, err
}

// swap writes a row to the store, within OperationTimeout.
func (c *Counter) swap(ctx context.Context, key string, row *lease.Row, version Version) (Version, error) {
	bounded, cancel := context.WithTimeout(ctx, c.config.OperationTimeout)
	defer cancel()
	began := time.Now()
	c.tallies.writes.Add(1)
	next, date, err := c.config.Store.Swap(bounded, key, *row, version)
	c.noteOperation(ctx, began, date, err)
	return next, err
}

// noteOperation learns the store's time and health from an operation that has ended. An
// operation that failed because its caller's context ended says nothing about the store.
func (c *Counter) noteOperation(caller context.Context, began, date time.Time, err error) {
	c.clock.observe(date)
	if err != nil && caller.Err() != nil {
		return
	}
	c.health.note(began, err)
	if errors.Is(err, ErrConflict) {
		c.tallies.conflicts.Add(1)
	}
}

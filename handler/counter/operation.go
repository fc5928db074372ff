package counter

import (
	"context"
	"errors"
	"time"

	"tollgate/handler/lease"
)

// read and swap bound, time and count one operation of the store.
func (c *Counter) read(ctx context.Context, key string) (lease.Row, Version, time.Time, error) {
	bounded, cancel := context.WithTimeout(ctx, c.config.OperationTimeout)
	defer cancel()
	began := time.Now()
	c.stats.reads.Add(1)
	row, version, date, err := c.config.Store.Load(bounded, key)
	c.noteOperation(ctx, began, date, err)
	return row, version, date, err
}

func (c *Counter) swap(ctx context.Context, key string, row *lease.Row, version Version) (Version, error) {
	bounded, cancel := context.WithTimeout(ctx, c.config.OperationTimeout)
	defer cancel()
	began := time.Now()
	c.stats.writes.Add(1)
	next, date, err := c.config.Store.Swap(bounded, key, *row, version)
	c.noteOperation(ctx, began, date, err)
	return next, err
}

// noteOperation records an operation. One that its caller broke off says
// nothing about the store.
func (c *Counter) noteOperation(caller context.Context, began, date time.Time, err error) {
	c.clock.observe(date)
	if err != nil && caller.Err() != nil {
		return
	}
	c.health.note(began, err)
	if errors.Is(err, ErrConflict) {
		c.stats.conflicts.Add(1)
	}
}

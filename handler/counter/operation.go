package counter

import (
	"context"
	"errors"
	"time"

	"tollgate/handler/limit"
)

// read and swap are operations of the store, bounded, timed and counted.
func (c *Counter) read(ctx context.Context, key string) (limit.State, Version, time.Time, error) {
	ctx, cancel := context.WithTimeout(ctx, c.OperationTimeout)
	defer cancel()
	began := time.Now()
	c.stats.reads.Add(1)
	state, version, date, err := c.Store.Load(ctx, key)
	c.took(began, date, err)
	if date.IsZero() {
		date = c.clock.now()
	}
	return state, version, date, err
}

func (c *Counter) swap(ctx context.Context, key string, state *limit.State, version Version) (Version, error) {
	ctx, cancel := context.WithTimeout(ctx, c.OperationTimeout)
	defer cancel()
	began := time.Now()
	c.stats.writes.Add(1)
	next, date, err := c.Store.Swap(ctx, key, *state, version)
	c.took(began, date, err)
	return next, err
}

// took notes how an operation went.
func (c *Counter) took(began, date time.Time, err error) {
	c.clock.observe(date)
	c.health.note(began, err)
	switch {
	case errors.Is(err, ErrConflict):
		c.stats.conflicts.Add(1)
	case err != nil && !errors.Is(err, ErrNotFound):
		c.stats.failures.Add(1)
	}
}

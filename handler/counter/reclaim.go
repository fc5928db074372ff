package counter

import (
	"context"
	"errors"
	"fmt"
	"slices"
)

// reclaimAttempts bounds the attempts of Reclaim after conflicts: a counter that others keep
// writing to is in use, so it can't be deleted anyway.
const reclaimAttempts = 5

// Reclaim reclaims the leases of a counter's dead instances, whether or not this instance
// ever used the counter. If deleting the row would lose nothing, it returns the version
// under which the row may be deleted; otherwise an empty one.
func (c *Counter) Reclaim(ctx context.Context, key string) (deletable Version, err error) {
	for range reclaimAttempts {
		deletable, err = c.reclaimOnce(ctx, key)
		if !errors.Is(err, ErrConflict) {
			break
		}
	}
	switch {
	case errors.Is(err, ErrConflict):
		return "", nil
	case err != nil:
		return "", fmt.Errorf("reclaim the leases of dead instances: %w", err)
	}
	return deletable, nil
}

func (c *Counter) reclaimOnce(ctx context.Context, key string) (Version, error) {
	row, version, date, err := c.load(ctx, key)
	if errors.Is(err, ErrNotFound) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	now := c.clock.now()
	if date.After(now) {
		now = date
	}
	if !row.Plausible(now) {
		return "", nil // the next call repairs it
	}
	next := row.Clone()
	next.Advance(next.Limits, c.clock.now())
	next.Reclaim("", c.clock.now())
	if !slices.Equal(next.Slots, row.Slots) {
		next.Rev++
		if version, err = c.swap(ctx, key, &next, version); err != nil {
			return "", err
		}
	}
	if !next.Deletable(c.clock.now()) {
		return "", nil
	}
	return version, nil
}

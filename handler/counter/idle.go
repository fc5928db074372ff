package counter

import (
	"context"
	"errors"
	"fmt"
	"slices"
)

// tidyTries bounds the attempts of Spare after conflicts: a counter that others
// write to is in use.
const tidyTries = 5

// FlushIdle declares the dead instances of an idle counter dead. It works for
// any key, including those that this instance never saw. If nothing would be
// lost with the counter, it returns the version under which it may be deleted;
// otherwise an empty one.
func (c *Counter) FlushIdle(ctx context.Context, key string) (deletable Version, err error) {
	for range tidyTries {
		deletable, err = c.flush(ctx, key)
		if !errors.Is(err, ErrConflict) {
			break
		}
	}
	switch {
	case errors.Is(err, ErrConflict): // the counter is in use
		return "", nil
	case err != nil:
		return "", fmt.Errorf("tidy counter: %w", err)
	}
	return deletable, nil
}

func (c *Counter) flush(ctx context.Context, key string) (Version, error) {
	row, version, date, err := c.read(ctx, key)
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

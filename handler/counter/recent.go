package counter

import (
	"context"

	"tollgate/handler/limit"
)

// Recent is where a counter stands, and what happened to it that the history
// may not have yet.
type Recent struct {
	Standing limit.Standing
	// Epoch is the counter's: with it and its minute, a row of the history can be
	// told to be one of Minutes.
	Epoch string
	// Minutes are in their order, the running one last.
	Minutes []limit.Closed
}

// Recent tells of a counter as of the last seconds at most. ErrUnavailable,
// wrapped; else ctx's error.
func (c *Counter) Recent(ctx context.Context, key string, terms Terms) (Recent, error) {
	standing, err := c.Standing(ctx, key, terms)
	if err != nil {
		return Recent{}, err
	}
	a, err := c.replica(key)
	if err != nil {
		return Recent{}, err
	}
	now := c.clock.now()
	a.mu.Lock()
	defer a.mu.Unlock()
	return Recent{standing, a.stored.Epoch, a.holder.Recent(&a.stored, now)}, nil
}

// Known is where a counter stands as far as this instance knows without asking,
// if it knows.
func (c *Counter) Known(key string) (limit.Standing, bool) {
	c.mu.RLock()
	a := c.replicas[key]
	c.mu.RUnlock()
	if a == nil {
		return limit.Standing{}, false
	}
	return a.standing()
}

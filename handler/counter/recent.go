package counter

import (
	"context"

	"tollgate/handler/limit"
)

// Recent is a counter's standing, and its usage that the history may not have
// yet.
type Recent struct {
	Standing limit.Standing
	// Epoch is the counter's. Epoch and minute identify a row of the history that
	// repeats one of Minutes.
	Epoch string
	// Minutes are in ascending order, the running one last.
	Minutes []limit.Closed
}

// Recent returns a counter's recent usage, at most seconds old. The error
// wraps ErrUnavailable, or is ctx's.
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

// Known returns a counter's standing as far as this instance knows it without
// asking, and whether it does.
func (c *Counter) Known(key string) (limit.Standing, bool) {
	c.mu.RLock()
	a := c.replicas[key]
	c.mu.RUnlock()
	if a == nil {
		return limit.Standing{}, false
	}
	return a.standing()
}

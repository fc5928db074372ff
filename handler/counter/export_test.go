package counter

import (
	"context"

	"tollgate/handler/limit"
)

// One makes a call of one counter.
func (c *Counter) One(ctx context.Context, key string, terms Terms, ask limit.Ask) (*Reservation, limit.Decision, error) {
	held, decisions, err := c.Reserve(ctx, []Part{{key, terms, ask}})
	switch {
	case err != nil:
		return nil, limit.Decision{}, err
	case held == nil:
		return nil, decisions[0], nil
	}
	return &held[0], decisions[0], nil
}

// Window returns the minute that the reservation is charged to, and whether it is charged to
// any limit.
func (r *Reservation) Window() (minute int64, charged bool) {
	return r.hold.Window, r.hold.Amount > 0
}

// InMemory returns the number of counters that this instance keeps in memory.
func (c *Counter) InMemory() int {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return len(c.replicas)
}

package counter

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"tollgate/handler/limit"
)

// Drain answers all calls that queue. From now on, calls that don't fit are refused instead
// of queued; other calls are decided as before.
func (c *Counter) Drain() {
	c.mu.Lock()
	c.draining = true
	c.mu.Unlock()
	for _, r := range c.allReplicas() {
		r.do(r.agent.Drain)
	}
}

// Close answers all waiting calls, writes all reports and returns all leases. If ctx ends
// first, Close logs the charges that are not written, by limit, counts their counters in
// Stats.Unwritten, and returns an error. No call can be reserved afterwards.
func (c *Counter) Close(ctx context.Context) error {
	c.mu.Lock()
	c.closed = true
	c.mu.Unlock()
	replicas := c.allReplicas()
	for _, r := range replicas {
		r.do(r.agent.Close)
	}
	for _, r := range replicas {
		select {
		case <-r.closed:
		case <-ctx.Done():
			return fmt.Errorf("write the last charges: those of %d counters are not written: %w", c.logUnwritten(replicas), ctx.Err())
		}
	}
	return nil
}

// allReplicas returns the replicas that exist now.
func (c *Counter) allReplicas() []*replica {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return slices.Collect(maps.Values(c.replicas))
}

// A limitID names a limit of one owner. The amounts of its counters have one unit.
type limitID struct {
	limit.Owner
	name string
}

// logUnwritten logs the charges that the replicas have not written, by limit, and returns
// the number of their counters. It includes writes in doubt, which may have been applied.
func (c *Counter) logUnwritten(replicas []*replica) (counters int64) {
	lost := make(map[limitID]int64)
	for _, r := range replicas {
		if amount := r.unwritten(); amount > 0 {
			owner, name := limit.ParseKey(r.key)
			lost[limitID{owner, name}] += amount
			counters++
		}
	}
	for id, amount := range lost {
		c.config.Log.Error("charges are lost: they could not be written before the instance stopped",
			"subscription", id.Subscription, "tier", id.Tier, "group", id.Group, "limit", id.name, "amount", amount)
	}
	c.tallies.unwritten.Add(counters)
	return counters
}

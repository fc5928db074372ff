package counter

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"tollgate/handler/limit"
)

// Drain answers all calls that queue, and lets none queue from now
// on. Other calls are decided as before.
func (c *Counter) Drain() {
	c.mu.Lock()
	c.draining = true
	c.mu.Unlock()
	for _, r := range c.all() {
		r.do(r.agent.Drain)
	}
}

// all returns the replicas that exist now.
func (c *Counter) all() []*replica {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return slices.Collect(maps.Values(c.replicas))
}

// Close answers all waiting calls, writes all reports and returns all leases,
// or gives up when ctx is done. Then it logs what is not written, by
// subscription, counts it in Stats, and returns an error. No call may be
// reserved any more.
func (c *Counter) Close(ctx context.Context) error {
	c.mu.Lock()
	c.closed = true
	c.mu.Unlock()
	replicas := c.all()
	for _, r := range replicas {
		r.do(r.agent.Close)
	}
	for _, r := range replicas {
		select {
		case <-r.closed:
		case <-ctx.Done():
			return fmt.Errorf("write the last counters: an amount of %d is not written: %w", c.reportUnwritten(replicas), ctx.Err())
		}
	}
	return nil
}

// reportUnwritten logs the charges that the replicas have not written, and
// returns their sum. A write in doubt may have been applied all the same.
func (c *Counter) reportUnwritten(replicas []*replica) (sum int64) {
	lost := make(map[limit.Owner]int64)
	for _, r := range replicas {
		owner, amount := r.unwritten()
		lost[owner] += max(0, amount)
	}
	for owner, amount := range lost {
		if amount > 0 {
			c.config.Log.Error("charges are lost: they could not be written before the end", "subscription", owner.Subscription, "tier", owner.Tier, "amount", amount)
		}
		sum += amount
	}
	c.stats.unknown.Add(sum)
	return sum
}

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
// or gives up when ctx is done. Then it logs what is not written, by limit,
// counts the counters in Stats, and returns an error. No call may be
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
			return fmt.Errorf("write the last counters: charges of %d are not written: %w", c.reportUnwritten(replicas), ctx.Err())
		}
	}
	return nil
}

// A counted is a limit of one owner: the amounts of its counters have one unit.
type counted struct {
	limit.Owner
	name string
}

// reportUnwritten logs the charges that the replicas have not written, and
// returns of how many counters they are. A write in doubt may have been applied
// all the same.
func (c *Counter) reportUnwritten(replicas []*replica) (counters int64) {
	lost := make(map[counted]int64)
	for _, r := range replicas {
		if amount := r.unwritten(); amount > 0 {
			owner, name := limit.ParseKey(r.key)
			lost[counted{owner, name}] += amount
			counters++
		}
	}
	for of, amount := range lost {
		c.config.Log.Error("charges are lost: they could not be written before the end",
			"subscription", of.Subscription, "tier", of.Tier, "group", of.Group, "limit", of.name, "amount", amount)
	}
	c.stats.unwritten.Add(counters)
	return counters
}

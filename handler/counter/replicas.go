package counter

import (
	"fmt"

	"tollgate/handler/lease"
)

// replica returns this instance's replica of a counter, which it makes for the first call.
func (c *Counter) replica(key string) (*replica, error) {
	c.mu.RLock()
	r, closed := c.replicas[key], c.closed
	c.mu.RUnlock()
	if closed {
		return nil, fmt.Errorf("%w: the gateway is stopping", ErrUnavailable)
	}
	if r != nil {
		return r, nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if r = c.replicas[key]; r == nil {
		c.evictIdle()
		r = newReplica(c, key)
		if c.draining {
			r.agent.Drain(c.moment())
		}
		c.replicas[key] = r
	}
	return r, nil
}

// maxReplicas bounds the counters kept in memory: if a counter key holds a header's value,
// callers can make any number of them.
const maxReplicas = 10_000

// evictScan is the number of replicas examined for each new one. It bounds the cost of a new
// replica when all others are in use.
const evictScan = 32

// evictIdle removes idle replicas that hold nothing, and has other idle ones give back what
// they hold, so that they can be removed later.
func (c *Counter) evictIdle() {
	if len(c.replicas) < maxReplicas {
		return
	}
	examined := 0
	for key, r := range c.replicas { // map order is random
		if examined++; examined > evictScan {
			return
		}
		r.do(func(at lease.Moment) {
			if len(r.waiters) == 0 && r.agent.Evictable(at) {
				delete(c.replicas, key) // its timer stays: a call that found it before may need it
				return
			}
			r.agent.Flush(at)
		})
	}
}

package gateway

import (
	"fmt"
	"net/http"
	"sync"
	"time"
)

// slots counts the calls that each subscription has under way on this instance.
type slots struct {
	mu    sync.Mutex
	taken map[string]int64 // by subscription; none has 0
}

// slot is the place of one call among its subscription's. It is the call's until
// nothing is done for it any more: what goes on reading upstream after the caller
// has left keeps it.
type slot struct {
	slots *slots
	owner string
	once  sync.Once
}

func newSlots() *slots { return &slots{taken: make(map[string]int64)} }

// take takes a slot, and says whether that is one of the first so many; 0: any
// number.
func (s *slots) take(owner string, most int64) (taken *slot, within bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.taken[owner]++
	return &slot{slots: s, owner: owner}, most == 0 || s.taken[owner] <= most
}

// release gives the slot back; a second time, or of none, it does nothing.
func (s *slot) release() {
	if s == nil {
		return
	}
	s.once.Do(func() {
		s.slots.mu.Lock()
		defer s.slots.mu.Unlock()
		if s.slots.taken[s.owner]--; s.slots.taken[s.owner] == 0 {
			delete(s.slots.taken, s.owner)
		}
	})
}

const codeConcurrent = "too_many_concurrent_calls"

// enter takes the call's slot, or refuses a call beyond its tier's maxConcurrent.
// In shadow it only notes that it would.
func (g *Gateway) enter(c *call) error {
	most := c.grant.Tier.Concurrent()
	taken, within := g.slots.take(c.grant.Subscription.ID, most)
	switch {
	case within:
	case c.grant.Tier.Shadow:
		c.shadow = codeConcurrent
		c.w.Header().Set(headerShadow, codeConcurrent)
	default:
		taken.release()
		throwAway(http.MaxBytesReader(c.w, c.r.Body, g.MaxBody))
		return &problem{status: http.StatusTooManyRequests, code: codeConcurrent, kind: kindCalls, retry: time.Second,
			message: fmt.Sprintf("The subscription has %s under way on this instance, the most that its tier allows (maxConcurrent). Try again when one has ended.", count(most, "call"))}
	}
	c.slot = taken
	return nil
}

package gateway

import (
	"fmt"
	"net/http"
	"sync"
	"time"

	"tollgate/handler/limit"
	"tollgate/handler/telemetry"
)

// concurrency counts the calls that each subscription has under way on this instance.
type concurrency struct {
	mu    sync.Mutex
	calls map[string]int64 // by subscription; no entry is 0
}

// An admission is one call's place in its subscription's count. The call keeps it until
// all work on it has ended, including reading on after its caller left.
type admission struct {
	concurrency *concurrency
	owner       string // a subscription's id
	once        sync.Once
}

func newConcurrency() *concurrency { return &concurrency{calls: make(map[string]int64)} }

// enter counts a call, and reports whether its owner then has no more than limit
// calls under way; 0 is no limit.
func (n *concurrency) enter(owner string, limit int64) (entered *admission, within bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.calls[owner]++
	return &admission{concurrency: n, owner: owner}, limit == 0 || n.calls[owner] <= limit
}

// release takes the call out of the count. It does nothing when called again, or on nil.
func (a *admission) release() {
	if a == nil {
		return
	}
	a.once.Do(func() {
		n := a.concurrency
		n.mu.Lock()
		defer n.mu.Unlock()
		if n.calls[a.owner]--; n.calls[a.owner] == 0 {
			delete(n.calls, a.owner)
		}
	})
}

// headerShadow is set on a call that passes only because of shadow mode, to the code that
// it would have been refused with.
const headerShadow = "X-Tollgate-Shadow"

const codeTooManyCalls = "too_many_concurrent_calls"

// admit counts the call as under way, or refuses one beyond its tier's maxConcurrent.
// In shadow mode it only records the refusal.
func (g *Gateway) admit(c *call) error {
	most := c.grant.Tier.ConcurrencyLimit()
	entered, within := g.concurrency.enter(c.grant.Subscription.ID, most)
	switch {
	case within:
	case c.grant.Tier.Shadow:
		c.hold.shadowCode = codeTooManyCalls
		c.w.Header().Set(headerShadow, codeTooManyCalls)
	default:
		entered.release()
		discard(http.MaxBytesReader(c.w, c.r.Body, g.config.MaxBody))
		return &problem{status: http.StatusTooManyRequests, code: codeTooManyCalls, kind: kindCalls, refusedBy: []telemetry.Refusal{{Counter: telemetry.Counter{Limit: limitConcurrent, Unit: limit.Calls, Owner: limit.Owner{Subscription: c.grant.Subscription.ID}}}},
			retry:   time.Second,
			message: fmt.Sprintf("The subscription has %s under way on this instance, the most that its tier allows (maxConcurrent). Try again when one has ended.", plural(most, "call"))}
	}
	c.admission = entered
	return nil
}

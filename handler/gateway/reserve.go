package gateway

import (
	"errors"
	"math"
	"time"

	"tollgate/handler/counter"
	"tollgate/handler/limit"
	"tollgate/handler/subscription"
)

// reserve takes from the call's counter what the tier's way of reserving asks for.
func (g *Gateway) reserve(c *call) error {
	key := g.counterKey(c, c.model)
	if c.reservesAll() {
		if err := c.boundPrompt(); err != nil {
			return err
		}
	}
	if !g.takeSizeBound(c, key) {
		if err := c.countPrompt(); err != nil {
			return err
		}
	}
	reservation, decision, err := g.config.Counter.Reserve(c.r.Context(), key, terms(c.grant.Tier), c.ask())
	if err == nil && reservation == nil && c.hold.uncounted > 0 { // the bound no longer fits, but the exact count may
		g.dropSizeBound(c)
		if err := c.countPrompt(); err != nil {
			return err
		}
		reservation, decision, err = g.config.Counter.Reserve(c.r.Context(), key, terms(c.grant.Tier), c.ask())
	}
	if err != nil {
		g.dropSizeBound(c)
		return counterProblem(err)
	}
	c.hold.reservation, c.hold.standing, c.hold.degraded = reservation, decision.Standing, decision.Degraded
	g.canonical.setLimits(c.w.Header(), decision.Standing, g.config.Counter.Now())
	if decision.Verdict != limit.Granted {
		p := c.limitProblem(decision)
		if reservation == nil {
			return p
		}
		c.hold.shadow = p.code
		c.w.Header().Set(headerShadow, p.code)
	}
	c.hold.cap = c.completionCap(decision)
	return nil
}

// counterProblem answers a call that the counters could not decide.
func counterProblem(err error) error {
	if errors.Is(err, counter.ErrUnavailable) {
		return unavailable("counters", counterRetry, err)
	}
	return clientClosed(err)
}

// counterRetry is the Retry-After of a call whose counters can't be reached.
const counterRetry = 5 * time.Second

// terms returns a tier's limits and rules in the counters' form.
func terms(t subscription.Tier) counter.Terms {
	return counter.Terms{
		Limits:      t.Counted(),
		OnStoreDown: t.OnStoreDown, MaxWait: time.Duration(t.MaxWait),
	}
}

// release gives back what an ended call still holds. Canceling a settled reservation
// does nothing.
func (g *Gateway) release(c *call) {
	defer c.admission.release()
	c.endBody()
	if c.hold.reservation != nil {
		c.hold.reservation.Cancel()
	}
	g.uncounted.Add(-c.hold.uncounted)
}

const (
	// longPrompt: prompts with a smaller bound, in tokens, are always counted, which
	// takes a few microseconds.
	longPrompt = 512
	// uncountedShare: calls under way may hold at most 1/64 of what their counter has
	// left for prompts that were not counted.
	uncountedShare = 64
)

// takeSizeBound uses an upper bound on the prompt's tokens, about its size in bytes, in
// place of their count, and reports whether it did. It does so only where enough is
// left that the call passes either way and the excess refuses no other call. Counting
// is the most expensive part of a call, and is then done only if upstream's answer
// lacks its usage.
func (g *Gateway) takeSizeBound(c *call, key string) bool {
	size := c.sizeBound()
	if size < longPrompt || c.grant.Tier.Shadow {
		return false
	}
	known, ok := g.config.Counter.Known(key)
	left := remainingTokens(known)
	if !ok || g.uncounted.Load()+size > left/uncountedShare {
		return false
	}
	c.hold.prompt = size
	if c.ask().Amount > left {
		return false
	}
	c.hold.uncounted = size
	g.uncounted.Add(size)
	return true
}

// dropSizeBound undoes takeSizeBound, for a call that was not decided with it.
func (g *Gateway) dropSizeBound(c *call) {
	g.uncounted.Add(-c.hold.uncounted)
	c.hold.uncounted = 0
}

// remainingTokens returns the smaller of what the minute and the quota have left.
func remainingTokens(s limit.Standing) int64 {
	left := int64(math.MaxInt64)
	if s.PerMinute > 0 {
		left = s.Remaining
	}
	if s.Quota > 0 {
		left = min(left, s.QuotaRemaining)
	}
	return left
}

const (
	// sampleEvery: one in 16 prompts that were not counted is counted after its call.
	sampleEvery = 16
	// maxSample is the largest bound of such a prompt, in tokens: longer ones cost more
	// time than the comparison is worth.
	maxSample = 16 << 10
)

// sampleEstimate counts the prompts of some answered calls that had not been counted.
// Compared with upstream's usage, the counts show whether a model's template has
// changed.
func (g *Gateway) sampleEstimate(c *call) {
	if c.hold.uncounted > 0 && c.hold.uncounted <= maxSample && c.charge.fromUpstream && (g.uncountedCalls.Add(1)-1)%sampleEvery == 0 {
		_ = c.estimatePrompt()
	}
}

package gateway

import (
	"errors"
	"math"
	"time"

	"tollgate/handler/counter"
	"tollgate/handler/limit"
)

// reserve reserves what the call needs, by the tier's reserve, in each of its limits.
func (g *Gateway) reserve(c *call) error {
	c.hold.limits = g.limitsOf(c, c.model)
	if err := g.setPrice(c); err != nil {
		return err
	}
	if c.reservesAll() {
		if err := c.boundPrompt(); err != nil {
			return err
		}
	}
	if !g.takeSizeBound(c) {
		if err := c.countPrompt(); err != nil {
			return err
		}
	}
	decisions, err := g.tryReserve(c)
	if err == nil && c.hold.reservations == nil && c.hold.uncounted > 0 { // the bound no longer fits, but the exact count may
		g.dropSizeBound(c)
		if err := c.countPrompt(); err != nil {
			return err
		}
		decisions, err = g.tryReserve(c)
	}
	if err != nil {
		g.dropSizeBound(c)
		return counterProblem(err)
	}
	return g.applyDecisions(c, decisions)
}

// tryReserve reserves what the call needs in all its limits, or in none.
func (g *Gateway) tryReserve(c *call) (decisions []limit.Decision, err error) {
	c.hold.reservations, decisions, err = g.config.Counter.Reserve(c.r.Context(), c.parts(c.hold.limits, c.askOf))
	return decisions, err
}

// applyDecisions records the decisions of the call's limits, and the cap that they allow. It
// returns the refusal if there is one.
func (g *Gateway) applyDecisions(c *call, decisions []limit.Decision) error {
	c.hold.standings = make([]limit.Standing, len(decisions))
	refused := false
	for i, d := range decisions {
		c.hold.standings[i] = d.Standing
		c.hold.degraded = c.hold.degraded || d.Degraded
		refused = refused || d.Verdict != limit.Granted
	}
	if refused || c.streams() { // any other answer gets them when it is complete
		g.setLimitHeaders(c)
	}
	if refused {
		p := c.limitProblem(c.hold.limits, decisions)
		if c.hold.reservations == nil {
			return p
		}
		c.hold.shadowCode, c.hold.shadowLimits = p.code, p.refusedBy
		c.w.Header().Set(headerShadow, p.code)
	}
	if c.hold.cap = c.completionCap(decisions); c.hold.cap > 0 && c.reservesAll() && len(decisions) > 1 {
		c.lowerToCap()
	}
	return nil
}

// lowerToCap gives back what limits granted beyond the cap, which the limit with the least
// left sets.
func (c *call) lowerToCap() {
	amounts := make([]int64, len(c.hold.limits))
	for i := range c.hold.limits {
		amounts[i] = c.maxCharge(&c.hold.limits[i], c.hold.prompt, addSaturating(c.hold.prediction, c.completionTokens(c.hold.cap)))
	}
	c.hold.standings = c.hold.reservations.Lower(amounts)
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

// release gives back what an ended call still holds.
func (g *Gateway) release(c *call) {
	defer c.admission.release()
	c.endBody()
	c.endHold()
	g.uncounted.Add(-c.hold.uncounted)
}

const (
	// longPrompt is the bound, in tokens, below which a prompt is always counted, which
	// takes a few microseconds.
	longPrompt = 512
	// uncountedShare limits what calls under way hold for prompts that were not counted to
	// 1/64 of what their counters have left.
	uncountedShare = 64
)

// takeSizeBound uses an upper bound on the prompt's tokens, about its size in bytes, in
// place of a count, and reports whether it did. It does so only where each limit has
// so much left that the call passes either way and the excess refuses no other call.
// Counting is the most expensive part of a call, and is then done only if upstream's
// answer lacks its usage.
//
// While the vocabulary is still being loaded, just after the start, it reads the counters
// that this instance knows nothing of yet, which takes less time than waiting for the
// vocabulary.
func (g *Gateway) takeSizeBound(c *call) bool {
	size := c.sizeBound()
	if size < longPrompt || c.grant.Tier.Shadow {
		return false
	}
	standings, all := g.knownStandings(c.hold.limits)
	if !all {
		if c.prompt.family.Encoding.Loaded() {
			return false
		}
		var err error
		if standings, err = g.standings(c, c.hold.limits); err != nil {
			return false
		}
	}
	prompt, predicted := c.hold.prompt, c.hold.prediction
	if !c.reservesAll() {
		c.hold.prompt = size
	}
	for i := range c.hold.limits {
		l, left := &c.hold.limits[i], remaining(standings[i])
		uncounted := c.maxCharge(l, addSaturating(g.uncounted.Load(), size), 0)
		if l.Shadow || l.Measure().CountsPrompt() && uncounted > left/uncountedShare || c.askOf(l).Amount > left {
			c.hold.prompt, c.hold.prediction = prompt, predicted
			return false
		}
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

// remaining returns the smaller of what the minute and the quota have left.
func remaining(s limit.Standing) int64 {
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
	// sampleEvery picks one in 16 prompts that were not counted, to count it after its call.
	sampleEvery = 16
	// maxSample is the largest bound of a prompt to pick, in tokens: counting a longer one
	// costs more time than the comparison is worth.
	maxSample = 16 << 10
)

// sampleEstimate counts the prompts of some answered calls that had not been counted.
// Compared with upstream's usage, the counts show whether a model's template has
// changed.
func (g *Gateway) sampleEstimate(c *call) {
	if c.hold.uncounted > 0 && c.hold.uncounted <= maxSample && c.charge.fromUpstream &&
		c.prompt.family.Encoding.Loaded() && // just after the start, loading would delay other calls
		(g.uncountedCalls.Add(1)-1)%sampleEvery == 0 {
		_ = c.estimatePrompt()
	}
}

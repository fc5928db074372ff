package gateway

import (
	"time"

	"tollgate/handler/counter"
	"tollgate/handler/limit"
	"tollgate/handler/subscription"
	"tollgate/handler/telemetry"
)

// A callLimit is a limit that a call is charged to, with the key of its counter.
type callLimit struct {
	*subscription.OwnedLimit
	key string
}

// counter names the limit's counter for telemetry.
func (l *callLimit) counter() telemetry.Counter {
	owner, _ := limit.ParseKey(l.key)
	return telemetry.Counter{Limit: l.FullName(), Unit: l.Unit, Owner: owner}
}

// A hold records what the call has reserved in the counters of its limits.
type hold struct {
	limits       []callLimit
	reservations counter.Reservations // one for each of limits; nil: none
	standings    []limit.Standing     // of limits, after the call's last change; nil: not known

	prompt       int64               // tokens reserved for the prompt
	prediction   int64               // tokens reserved for the predictions of all completions
	uncounted    int64               // of prompt and prediction, those taken by the prompt's size, without a count
	cap          int64               // the gateway's own cap on each completion, in tokens; 0: none
	degraded     bool                // decided without a shared counter
	shadowCode   string              // code of the refusal that shadow mode prevented
	shadowLimits []telemetry.Refusal // limits that would have refused but for shadow mode
}

// limitsOf returns the limits that a call to a model is charged to. With an empty model it
// returns those that every call is charged to, in the same counter for all models.
func (g *Gateway) limitsOf(c *call, model string) []callLimit {
	all := make([]callLimit, 0, len(c.grant.Limits))
	for i := range c.grant.Limits {
		l := &c.grant.Limits[i]
		if model == "" && l.DependsOnModel() || model != "" && !l.AppliesTo(model) {
			continue
		}
		all = append(all, callLimit{l, g.counterKey(c, l, model)})
	}
	return all
}

// parts returns what the call reserves in its limits' counters. ask returns the amount.
func (c *call) parts(limits []callLimit, ask func(l *callLimit) limit.Ask) []counter.Part {
	parts := make([]counter.Part, len(limits))
	for i := range limits {
		parts[i] = counter.Part{Key: limits[i].key, Terms: c.terms(&limits[i]), Ask: ask(&limits[i])}
	}
	return parts
}

// terms returns the rules by which a limit decides the call: the tier's, also for
// limits of groups.
func (c *call) terms(l *callLimit) counter.Terms {
	tier := &c.grant.Tier
	return counter.Terms{Limits: l.Windows(), OnStoreDown: tier.OnStoreDown, MaxWait: time.Duration(tier.MaxWait), AlertAt: l.AlertAt}
}

// charges returns what each limit charges for the call's usage. Calls are counted once an
// endpoint was asked.
func (c *call) charges(usage limit.Usage) []int64 {
	all := make([]int64, len(c.hold.limits))
	for i := range c.hold.limits {
		m := c.hold.limits[i].Measure()
		if m.Unit == limit.Calls && c.upstream.sentAt.IsZero() {
			continue
		}
		all[i] = m.Charge(usage)
	}
	return all
}

// chargeLimits replaces what the call reserved by the charge for its usage.
func (c *call) chargeLimits(usage limit.Usage) {
	c.hold.standings = c.hold.reservations.Settle(c.charges(usage))
}

// endHold gives back all that an ended call still holds, except the call itself if an
// endpoint was asked. It does nothing for a call that was charged.
func (c *call) endHold() {
	if c.upstream.sentAt.IsZero() {
		c.hold.reservations.Cancel()
		return
	}
	c.hold.reservations.Settle(c.charges(limit.Usage{}))
}

// raise charges the call this usage in all, until its final usage is known.
func (c *call) raise(usage limit.Usage) {
	c.hold.standings = c.hold.reservations.Raise(c.charges(usage))
}

// knownStandings returns what this instance knows of limits' counters without reading
// them, and whether it knows all of them.
func (g *Gateway) knownStandings(limits []callLimit) (standings []limit.Standing, all bool) {
	standings, all = make([]limit.Standing, len(limits)), true
	for i := range limits {
		known, ok := g.config.Counter.Known(limits[i].key)
		standings[i], all = known, all && ok
	}
	return standings, all
}

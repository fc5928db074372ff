package manage

import (
	"time"

	"tollgate/handler/counter"
	"tollgate/handler/limit"
	"tollgate/handler/subscription"
)

// standingOf returns the standing of a stored counter at a time, under its owner's
// current limits if they are newer than the counter's.
func standingOf(stored counter.Entry, unreadable error, newest limit.Limits, now time.Time) Standing {
	of := limit.OwnerOf(stored.Key)
	s := Standing{Counter: stored.Key, Subscription: of.Subscription, Tier: of.Tier}
	if unreadable != nil {
		s.Problem = unreadable.Error()
		return s
	}
	state := stored.State
	state.Advance(newest, now) // ignores older limits
	at := state.Standing(now)
	if at.TokensPerMinute > 0 {
		s.Minute = &Window{at.TokensPerMinute, at.Used, at.Owed, at.Remaining, at.ResetAt}
	}
	if at.Quota > 0 {
		s.Quota, s.QuotaPeriod = &Window{at.Quota, at.QuotaUsed, at.QuotaOwed, at.QuotaRemaining, at.QuotaResetAt}, string(at.Period)
	}
	return s
}

// effectiveLimits returns the current limits of every tier and subscription. Counters
// adopt a change only with their next call.
func (c *call) effectiveLimits() (map[limit.Owner]limit.Limits, error) {
	tiers, err := c.api.config.Store.Tiers(c.Context())
	if err != nil {
		return nil, err
	}
	subs, err := c.api.config.Store.Subscriptions(c.Context())
	if err != nil {
		return nil, err
	}
	all := make(map[limit.Owner]limit.Limits, len(tiers)+len(subs))
	byID := make(map[string]subscription.Tier, len(tiers))
	for _, t := range tiers {
		byID[t.ID] = t
		all[limit.Owner{Tier: t.ID}] = t.Counted()
	}
	for _, s := range subs {
		if effective, err := s.Effective(byID[s.Tier]); err == nil { // the checks report invalid subscriptions
			all[limit.Owner{Subscription: s.ID}] = effective.Counted()
		}
	}
	return all, nil
}

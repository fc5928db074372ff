package gateway

import (
	"time"

	"tollgate/handler/counter"
	"tollgate/handler/limit"
	"tollgate/handler/subscription"
)

// terms are a tier's, as the counters take them.
func terms(t subscription.Tier) counter.Terms {
	return counter.Terms{
		Limits: limit.Limits{TokensPerMinute: t.TokensPerMinute, Burst: t.BurstTokens, Quota: t.TokenQuota,
			Period: limit.Period(t.TokenQuotaPeriod), Version: t.Version},
		OnStoreDown: counter.StoreDown(t.OnStoreDown), MaxWait: time.Duration(t.MaxWait),
	}
}

// ask is what the tier's way of reserving takes before the call.
func (c *call) ask() limit.Ask {
	switch c.grant.Tier.Reserve {
	case subscription.ReserveNone:
		return limit.Ask{Tokens: 1}
	case subscription.ReserveFull:
		return c.askFull()
	}
	return limit.Ask{Tokens: c.prompt}
}

// refused answers a decision that did not grant, naming the limit.
func (g *Gateway) refused(c *call, d limit.Decision) error {
	s := d.Standing
	counted := &countedLimit{Tier: c.grant.Tier.ID, CounterKey: c.grant.Tier.CounterKey,
		Window: "minute", Limit: s.TokensPerMinute, Used: s.Used, ResetAt: s.ResetAt}
	if d.Verdict == limit.QuotaExceeded || d.Verdict == limit.NeverFitsQuota {
		counted.Window, counted.Limit, counted.Used, counted.ResetAt = string(s.Period), s.Quota, s.QuotaUsed, s.QuotaResetAt
	}
	return refusal(d, counted)
}

// counterRetry is how long a caller waits where the counters can't be reached.
const counterRetry = 5 * time.Second

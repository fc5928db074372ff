package gateway

import (
	"net/http"
	"time"

	"tollgate/handler/counter"
	"tollgate/handler/limit"
	"tollgate/handler/subscription"
)

// terms are a tier's, as the counters take them.
func terms(t subscription.Tier) counter.Terms {
	return counter.Terms{
		Limits:      t.Counted(),
		OnStoreDown: t.OnStoreDown, MaxWait: time.Duration(t.MaxWait),
	}
}

// ask is what the tier's way of reserving takes before the call.
func (c *call) ask() (ask limit.Ask) {
	switch c.grant.Tier.Reserve {
	case subscription.ReserveNone:
		ask.Tokens = 1
	case subscription.ReserveFull:
		ask = c.askFull()
	default:
		ask.Tokens = c.prompt
	}
	ask.Bytes, ask.Shadow, ask.Bound = c.size, c.grant.Tier.Shadow, c.trusted > 0
	return ask
}

// refused answers a decision that did not grant, naming the limit.
func (g *Gateway) refused(c *call, d limit.Decision) *problem {
	s, tier, limited := d.Standing, c.grant.Tier, "tokensPerMinute"
	counted := &countedLimit{Tier: tier.ID, CounterKey: tier.CounterKey,
		Window: "minute", Limit: s.TokensPerMinute, Used: s.Used, Owed: s.Owed, ResetAt: s.ResetAt}
	if d.Verdict == limit.QuotaExceeded || d.Verdict == limit.NeverFitsQuota {
		counted.Window, counted.Limit, counted.Used, counted.Owed, counted.ResetAt = string(s.Period), s.Quota, s.QuotaUsed, s.QuotaOwed, s.QuotaResetAt
		limited = "tokenQuota"
	}
	if c.grant.Subscription.Overrode(limited) {
		counted.Override = limited
	}
	p := refusal(d, counted)
	if c.request == nil { // whatever it asks for
		return p
	}
	if _, capped := c.request.CompletionTokens(); capped && tier.Reserve == subscription.ReserveFull && p.status == http.StatusRequestEntityTooLarge {
		p.message += " Or ask for fewer tokens with max_tokens and n: they are reserved too."
	}
	return p
}

// headerShadow names, on an answer that a tier in shadow let pass, what it would
// have been refused with.
const headerShadow = "X-Tollgate-Shadow"

// counterRetry is how long a caller waits where the counters can't be reached.
const counterRetry = 5 * time.Second

package gateway

import (
	"net/http"
	"time"

	"tollgate/handler/counter"
	"tollgate/handler/limit"
	"tollgate/handler/subscription"
)

// terms returns a tier's limits and rules in the counters' form.
func terms(t subscription.Tier) counter.Terms {
	return counter.Terms{
		Limits:      t.Counted(),
		OnStoreDown: t.OnStoreDown, MaxWait: time.Duration(t.MaxWait),
	}
}

// ask returns what to reserve before the call, by the tier's way of reserving.
func (c *call) ask() (ask limit.Ask) {
	switch c.grant.Tier.Reserve {
	case subscription.ReserveNone:
		ask.Tokens = 1
	case subscription.ReserveFull:
		ask = c.askFull()
	default:
		ask.Tokens = c.hold.prompt
	}
	ask.Bytes, ask.Shadow, ask.UpperBound = c.prompt.bytes, c.grant.Tier.Shadow, c.hold.uncounted > 0
	return ask
}

// limitProblem answers a call that a limit refused, and describes the limit.
func (c *call) limitProblem(d limit.Decision) *problem {
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
	p := decisionProblem(d, counted)
	if c.request == nil { // refused before its body was read
		return p
	}
	if _, capped := c.request.CompletionTokens(); capped && tier.Reserve == subscription.ReserveFull && p.status == http.StatusRequestEntityTooLarge {
		p.message += " Or ask for fewer tokens with max_tokens and n: they are reserved too."
	}
	return p
}

// headerShadow is set on a call that only its tier's shadow mode let pass: to the code
// that it would have been refused with.
const headerShadow = "X-Tollgate-Shadow"

// counterRetry is the Retry-After of a call whose counters can't be reached.
const counterRetry = 5 * time.Second

// Package limit does the arithmetic of limits: units, windows, credit, debt,
// burst and quotas, and the decision whether a call fits. It is pure: no I/O,
// and the time is always an argument. All amounts are whole numbers of a
// limit's unit, all windows UTC.
//
// Start with Balance, which has what a counter's minute and period may still
// spend, and Balance.Decide. How instances share a balance is package lease.
package limit

import "time"

// Period is the length of a quota's window. Windows are fixed, in UTC; weeks
// start on Monday.
type Period string

// The periods, named as in APIM's token-quota-period.
const (
	Hourly  Period = "Hourly"
	Daily   Period = "Daily"
	Weekly  Period = "Weekly"
	Monthly Period = "Monthly"
	Yearly  Period = "Yearly"
)

// StoreDown says how to decide calls while the counter store is unreachable.
type StoreDown string

// The ways to decide calls without the counter store. An empty StoreDown is FailClosed.
const (
	FailClosed StoreDown = "closed"  // refuse
	Degrade    StoreDown = "degrade" // admit this instance's share of the limits, settle afterwards
	FailOpen   StoreDown = "open"    // admit all, settle afterwards
)

// Limits are the two windows of one limit, as its counters hold them: what may
// be spent in a minute and in a period.
type Limits struct {
	PerMinute int64 // 0: no limit of the minute
	Burst     int64 // unused amount that may be carried into later minutes
	Quota     int64 // amount of a Period; 0: no quota
	Period    Period
	Version   int64 // only a newer version replaces an older one
}

// An Ask is a call's request to reserve an amount of a counter.
type Ask struct {
	Amount int64
	// Least is the smallest amount that the call can do with: where less than
	// Amount is left, it gets what is left, down to this. 0: it needs all of
	// Amount.
	Min int64
	// Bytes is the size of the call's body. It bounds the memory of queued calls.
	Bytes int64
	// UpperBound: Amount is an upper bound. If it is refused, the caller counts
	// the prompt and asks again, so this refusal is neither counted nor queued.
	UpperBound bool
	// Shadow lets a call go on that would be refused, charged to no limit.
	Shadow bool
}

// Needed returns the smallest amount that the call can do with.
func (a Ask) Needed() int64 {
	if a.Min > 0 {
		return min(a.Min, a.Amount)
	}
	return a.Amount
}

// Usage counts the tokens a call used.
type Usage struct {
	PromptTokens, CompletionTokens int64
	// CachedTokens and CacheWriteTokens are the parts of the prompt that came from the
	// endpoint's cache and that it put there. ReasoningTokens is the part of the
	// completion that the model thought. 0 also means that the endpoint didn't say.
	CachedTokens, CacheWriteTokens, ReasoningTokens int64
	// ShortCacheWriteTokens is the part of CacheWriteTokens that the endpoint says it put
	// there for a short time, which costs less than for an hour or longer.
	ShortCacheWriteTokens int64
	// UntoldPromptTokens is the part of the prompt that the gateway counted or bounded:
	// nobody knows what a cache had to do with it, so it costs the dearest price.
	EstimatedPromptTokens int64
	// Cost is the call's price in billionths of the deployment's currency.
	Cost int64
}

// Total returns the tokens that limits are charged.
func (u Usage) Total() int64 { return u.PromptTokens + u.CompletionTokens }

// WithTrueParts returns the usage without parts that can't be true: those that are
// negative or larger than their whole, and both of the prompt's if they are larger than
// it together.
func (u Usage) WithoutImpossibleParts() Usage {
	within := func(part, whole int64) int64 {
		if part < 0 || part > whole {
			return 0
		}
		return part
	}
	u.CachedTokens = within(u.CachedTokens, u.PromptTokens)
	u.CacheWriteTokens = within(u.CacheWriteTokens, u.PromptTokens)
	u.ReasoningTokens = within(u.ReasoningTokens, u.CompletionTokens)
	if u.CachedTokens > u.PromptTokens-u.CacheWriteTokens {
		u.CachedTokens, u.CacheWriteTokens = 0, 0
	}
	u.ShortCacheWriteTokens = within(u.ShortCacheWriteTokens, u.CacheWriteTokens)
	u.EstimatedPromptTokens = min(max(u.EstimatedPromptTokens, 0), u.PromptTokens-u.CachedTokens-u.CacheWriteTokens)
	return u
}

// A Verdict is the outcome of a decision.
type Verdict int

// The verdicts. The last two are final: waiting does not help.
const (
	Granted Verdict = iota
	RateExceeded
	QuotaExceeded
	NeverFitsRate
	NeverFitsQuota
)

// A Decision is the answer to an Ask.
type Decision struct {
	Verdict
	Amount     int64         // reserved, where granted
	Min        int64         // the smallest amount that the call can do with
	Max        int64         // where the call never fits: the most that the limit can ever have
	RetryAfter time.Duration // until this call would fit, debts paid; 0 if granted or if it never fits
	Degraded   bool          // decided without the shared counter, which was unreachable
	Standing   Standing
}

// A Standing says how much of a counter's limits is used and left.
type Standing struct {
	Limits
	Used           int64     // charged to this minute
	Remaining      int64     // of this minute, never below 0
	Owed           int64     // debt: later minutes pay it before anything is left
	Held           int64     // leased to instances, and neither used nor left
	ResetAt        time.Time // when anything is left again, debt paid; at the earliest the minute's end
	QuotaUsed      int64
	QuotaRemaining int64 // never below 0
	QuotaOwed      int64 // used beyond the quota, never below 0
	QuotaHeld      int64 // leased to instances, and neither used nor left
	QuotaStartedAt time.Time
	QuotaResetAt   time.Time
}

// After returns the standing after charging this many tokens more.
func (s Standing) After(tokens int64) Standing {
	s.Used += tokens
	if s.PerMinute > 0 {
		before := s.Remaining - s.Owed
		later := minutesUntil(1, before-tokens, s.PerMinute) - minutesUntil(1, before, s.PerMinute)
		s.ResetAt = s.ResetAt.Add(time.Duration(later) * time.Minute)
		s.Remaining, s.Owed = splitLeft(before - tokens)
	}
	if s.Quota > 0 {
		s.QuotaUsed += tokens
		s.QuotaRemaining, s.QuotaOwed = splitLeft(s.QuotaRemaining - s.QuotaOwed - tokens)
	}
	return s
}

// splitLeft splits an amount into what is left (above zero) and what is owed
// (below).
func splitLeft(amount int64) (left, owed int64) { return max(amount, 0), max(-amount, 0) }

// decide decides whether an Ask fits into what the minute and the period have
// left, and if not, when it will.
func (l Limits) decide(ask Ask, left remaining, window int64, periodStart, now time.Time) Decision {
	least := ask.Needed()
	d := Decision{Min: least, Verdict: l.verdict(least, left)}
	switch d.Verdict {
	case Granted:
		d.Amount = min(ask.Amount, left.minute, left.period)
	case RateExceeded:
		d.RetryAfter = MinuteStart(window + minutesUntil(least, left.minute, l.PerMinute)).Sub(now)
	case QuotaExceeded:
		d.RetryAfter = l.Period.Next(periodStart).Sub(now)
		if least > left.minute { // a debt may last longer than the period
			d.RetryAfter = max(d.RetryAfter, MinuteStart(window+minutesUntil(least, left.minute, l.PerMinute)).Sub(now))
		}
	case NeverFitsRate:
		d.Max = l.PerMinute + l.Burst
	case NeverFitsQuota:
		d.Max = l.Quota
	}
	return d
}

// DecideShare decides an Ask from an instance's own share of the limit while
// the store is down. share is the rest of it for the minute of now: of the
// minute's tokens, or without a minute limit, of the quota. A refused
// call may try again in the next minute: by then there is a new share, or the
// counter is back.
func (l Limits) DecideShare(ask Ask, share int64, now time.Time) Decision {
	rest := remaining{minute: share, period: Unlimited}
	if l.PerMinute == 0 {
		rest = remaining{minute: Unlimited, period: share}
	}
	d := l.decide(ask, rest, Minute(now), l.Period.Start(now), now)
	if d.RetryAfter > 0 {
		d.RetryAfter = MinuteStart(Minute(now) + 1).Sub(now)
	}
	return d
}

// MaxGrant returns the most tokens an Ask could ever get; 0 if it never fits.
func (l Limits) MaxGrant(ask Ask) int64 {
	if l.verdict(ask.Needed(), remaining{Unlimited, Unlimited}) != Granted {
		return 0
	}
	most := ask.Amount
	if l.PerMinute > 0 {
		most = min(most, l.PerMinute+l.Burst)
	}
	if l.Quota > 0 {
		most = min(most, l.Quota)
	}
	return most
}

func (l Limits) verdict(least int64, left remaining) Verdict {
	switch {
	case l.PerMinute > 0 && least > l.PerMinute+l.Burst:
		return NeverFitsRate
	case l.Quota > 0 && least > l.Quota:
		return NeverFitsQuota
	case least > left.period:
		return QuotaExceeded
	case least > left.minute:
		return RateExceeded
	}
	return Granted
}

// minutesUntil returns the number of minutes, at least 1, until this many
// tokens fit.
func minutesUntil(tokens, left, perMinute int64) int64 {
	return max(1, (tokens-left+perMinute-1)/perMinute)
}

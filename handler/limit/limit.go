// Package limit does the arithmetic of limits: units, windows, credit, debt, burst
// and quotas, and the decision whether a call fits. It is pure: it does no I/O, and the
// time is always an argument.
//
// A Measure turns a call's Usage into an amount: a whole number of a limit's unit.
// Limits say how much of it may be spent in a UTC minute and in a period. A Balance is
// what one counter has spent and may still spend; Balance.Decide decides an Ask by it,
// and says when a call that doesn't fit will. An Owner names the counter.
//
// Start with Balance. Package lease lets many instances share one.
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

// StoreDown is a way to decide calls while the counter store is down.
type StoreDown string

// The ways to decide calls while the store is down. An empty StoreDown is FailClosed.
const (
	FailClosed StoreDown = "closed"  // refuse
	Degrade    StoreDown = "degrade" // admit this instance's share of the limits, charge it afterwards
	FailOpen   StoreDown = "open"    // admit all, charge it afterwards
)

// Limits are what one limit allows in its two windows: in a UTC minute and in a
// period.
type Limits struct {
	PerMinute int64  // amount for a minute; 0: no limit
	Burst     int64  // most unused amount that is carried into later minutes
	Quota     int64  // amount for a Period; 0: no limit
	Period    Period // of Quota
	Version   int64  // only limits of a higher version replace a counter's
}

// An Ask is a call's request to reserve an amount of a counter.
type Ask struct {
	Amount int64
	// Min is the smallest amount that the call can do with: if less than Amount is
	// left, it gets what is left, but at least this. 0: it needs all of Amount.
	Min int64
	// Bytes is the size of the call's body. It bounds the memory of queued calls.
	Bytes int64
	// UpperBound says that Amount is an upper bound. If it doesn't fit, the caller
	// counts the prompt and asks again, so the call doesn't queue, and in shadow isn't
	// let through.
	UpperBound bool
	// Shadow lets a call that is refused go on, charged to no limit.
	Shadow bool
}

// Needed returns the smallest amount that the call can do with.
func (a Ask) Needed() int64 {
	if a.Min > 0 {
		return min(a.Min, a.Amount)
	}
	return a.Amount
}

// Usage is what a call used: its tokens and its cost.
type Usage struct {
	PromptTokens, CompletionTokens int64
	// CachedTokens is the part of the prompt that the endpoint read from its cache,
	// CacheWriteTokens the part that it wrote there, and ReasoningTokens the part of
	// the completion that was reasoning. 0 also means that the endpoint didn't report it.
	CachedTokens, CacheWriteTokens, ReasoningTokens int64
	// ShortCacheWriteTokens is the part of CacheWriteTokens that the endpoint reports
	// as cached for a short time, which costs less than for an hour or longer.
	ShortCacheWriteTokens int64
	// EstimatedPromptTokens is the part of the prompt that the gateway counted or
	// bounded itself. Nobody knows whether it was cached, so it costs the dearest price.
	EstimatedPromptTokens int64
	// Cost is the call's price in billionths of the deployment's currency.
	Cost int64
}

// Total returns the tokens of prompt and completion.
func (u Usage) Total() int64 { return u.PromptTokens + u.CompletionTokens }

// WithoutImpossibleParts returns the usage without the parts that can't be right: it
// sets those to 0 that are negative or larger than their whole, and both CachedTokens
// and CacheWriteTokens if together they are larger than the prompt.
// EstimatedPromptTokens is cut to what these leave of the prompt.
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

// The verdicts.
const (
	Granted        Verdict = iota
	RateExceeded           // it doesn't fit into the minute
	QuotaExceeded          // it doesn't fit into the period
	NeverFitsRate          // it is larger than any minute's amount: waiting doesn't help
	NeverFitsQuota         // it is larger than the quota: waiting doesn't help
)

// A Decision is the answer to an Ask.
type Decision struct {
	Verdict
	Amount     int64         // reserved, if granted
	Min        int64         // the smallest amount that the call can do with
	Max        int64         // the most that the limit can ever have, if the call never fits
	RetryAfter time.Duration // until this call would fit, with debts paid; 0 if granted or if it never fits
	Degraded   bool          // decided without the shared counter, as the store was down
	Standing   Standing
}

// A Standing says how much of a counter's limits is used and left.
type Standing struct {
	Limits
	Used           int64     // charged to this minute
	Remaining      int64     // left of this minute, never below 0
	Owed           int64     // debt, which later minutes pay before anything is left
	Held           int64     // leased to instances, and neither used nor left
	ResetAt        time.Time // when something is left again, with debts paid; not before the minute's end
	QuotaUsed      int64     // charged to this period
	QuotaRemaining int64     // left of this period, never below 0
	QuotaOwed      int64     // used beyond the quota, never below 0
	QuotaHeld      int64     // leased to instances, and neither used nor left
	QuotaStartedAt time.Time // start of this period
	QuotaResetAt   time.Time // start of the next period
}

// After returns the standing after this amount more is charged.
func (s Standing) After(amount int64) Standing {
	s.Used += amount
	if s.PerMinute > 0 {
		before := s.Remaining - s.Owed
		later := minutesUntil(1, before-amount, s.PerMinute) - minutesUntil(1, before, s.PerMinute)
		s.ResetAt = s.ResetAt.Add(time.Duration(later) * time.Minute)
		s.Remaining, s.Owed = splitLeft(before - amount)
	}
	if s.Quota > 0 {
		s.QuotaUsed += amount
		s.QuotaRemaining, s.QuotaOwed = splitLeft(s.QuotaRemaining - s.QuotaOwed - amount)
	}
	return s
}

// splitLeft splits an amount into what is left (if positive) and what is owed (if
// negative).
func splitLeft(amount int64) (left, owed int64) { return max(amount, 0), max(-amount, 0) }

// decide decides whether an Ask fits into what the minute and the period have left
// and, if it doesn't, when it will.
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

// DecideShare decides an Ask from one instance's share of the limits while the store
// is down. share is what is left of that share in the minute of now: of PerMinute or, if
// that is 0, of the quota. A refused call may try again in the next minute: by then there
// is a new share, or the store is back.
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

// MaxGrant returns the most that an Ask could ever get; 0 if it never fits.
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

// verdict decides whether the smallest amount that a call can do with fits.
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

// minutesUntil returns the number of minutes, at least 1, until an amount fits.
func minutesUntil(amount, left, perMinute int64) int64 {
	return max(1, (amount-left+perMinute-1)/perMinute)
}

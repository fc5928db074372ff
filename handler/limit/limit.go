// Package limit is the arithmetic of token limits: windows, credit, debt and
// burst on the side that all instances share (State), leases, reservations and
// what they settle to on the side of one instance (Holder). It is pure: no I/O,
// and the time is always an argument. All amounts are whole tokens, all windows
// UTC.
package limit

import "time"

// Period is the length of a quota's window. Windows are fixed, in UTC; weeks
// start on Monday.
type Period string

// The periods that APIM's token-quota-period knows.
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

// Limits are what a counter may spend.
type Limits struct {
	TokensPerMinute int64 // 0: no limit of the minute
	Burst           int64 // unused tokens that may be carried into later minutes
	Quota           int64 // tokens of a Period; 0: no quota
	Period          Period
	Version         int64 // of the tier they came from: only newer ones replace older
}

// Ask is what a call wants to reserve.
type Ask struct {
	Tokens int64
	// AtLeast lets a call that can do with less have what is left, where that is
	// no less than this; 0: it can't do with less.
	MinTokens int64
	// Bytes is the size of the call's body, which bounds what may wait in memory.
	Bytes int64
	// Bound says that the call takes no more than Tokens, and asks again for what it
	// does take where they are refused: so that isn't counted, and nothing queues.
	UpperBound bool
	// Shadow has a call that would be refused go on, charged to no limit.
	Shadow bool
}

// Least is what the call can do with, tokens.
func (a Ask) Needed() int64 {
	if a.MinTokens > 0 {
		return min(a.MinTokens, a.Tokens)
	}
	return a.Tokens
}

// Usage is what a call took. CompletionTokens includes reasoning.
type Usage struct{ PromptTokens, CompletionTokens int64 }

// Total is what limits are charged.
func (u Usage) Total() int64 { return u.PromptTokens + u.CompletionTokens }

// Verdict is how a decision came out.
type Verdict int

// The verdicts. The last two will never be different, however long the call waits.
const (
	Granted Verdict = iota
	RateExceeded
	QuotaExceeded
	NeverFitsRate
	NeverFitsQuota
)

// Decision is the answer to an Ask.
type Decision struct {
	Verdict
	Tokens     int64         // reserved, where granted
	MinTokens  int64         // what the call needs at least
	MaxTokens  int64         // where it never fits: the most that the limit can ever have
	RetryAfter time.Duration // until this very call would fit, debts paid; 0 where granted or never
	Degraded   bool          // decided without the shared counter, which couldn't be reached
	Standing   Standing
}

// Standing is where a counter stands.
type Standing struct {
	Limits
	Used           int64     // charged to this minute
	Remaining      int64     // of this minute, never below 0
	Owed           int64     // what later minutes pay before anything is left again
	ResetAt        time.Time // when the minute has something left again, debt paid; not before its end
	QuotaUsed      int64
	QuotaRemaining int64 // never below 0
	QuotaOwed      int64 // what was used beyond the quota, never below 0
	QuotaResetAt   time.Time
}

// After is the standing once so many tokens more are charged.
func (s Standing) After(tokens int64) Standing {
	s.Used += tokens
	if s.TokensPerMinute > 0 {
		before := s.Remaining - s.Owed
		later := minutesUntil(1, before-tokens, s.TokensPerMinute) - minutesUntil(1, before, s.TokensPerMinute)
		s.ResetAt = s.ResetAt.Add(time.Duration(later) * time.Minute)
		s.Remaining, s.Owed = splitLeft(before - tokens)
	}
	if s.Quota > 0 {
		s.QuotaUsed += tokens
		s.QuotaRemaining, s.QuotaOwed = splitLeft(s.QuotaRemaining - s.QuotaOwed - tokens)
	}
	return s
}

// leftAndOwed are an amount above zero and one below.
func splitLeft(amount int64) (left, owed int64) { return max(amount, 0), max(-amount, 0) }

// decide tells whether so many tokens fit into what the minute and the period
// have left, and where they don't, when they will.
func (l Limits) decide(ask Ask, minute, period int64, window int64, periodStart, now time.Time) Decision {
	least := ask.Needed()
	d := Decision{MinTokens: least, Verdict: l.verdict(least, minute, period)}
	switch d.Verdict {
	case Granted:
		d.Tokens = min(ask.Tokens, minute, period)
	case RateExceeded:
		d.RetryAfter = MinuteStart(window + minutesUntil(least, minute, l.TokensPerMinute)).Sub(now)
	case QuotaExceeded:
		d.RetryAfter = l.Period.Next(periodStart).Sub(now)
		if least > minute { // a debt may last longer than the period
			d.RetryAfter = max(d.RetryAfter, MinuteStart(window+minutesUntil(least, minute, l.TokensPerMinute)).Sub(now))
		}
	case NeverFitsRate:
		d.MaxTokens = l.TokensPerMinute + l.Burst
	case NeverFitsQuota:
		d.MaxTokens = l.Quota
	}
	return d
}

// Alone decides an Ask by a part of the limit that one instance goes on with by
// itself for the minute of now: of the minute's, or where there is none, of the
// quota. In the next minute there may be another part, or the counter again.
func (l Limits) DecideShare(ask Ask, left int64, now time.Time) Decision {
	minute, period := left, int64(Unlimited)
	if l.TokensPerMinute == 0 {
		minute, period = Unlimited, left
	}
	d := l.decide(ask, minute, period, Minute(now), l.Period.Start(now), now)
	if d.RetryAfter > 0 {
		d.RetryAfter = MinuteStart(Minute(now) + 1).Sub(now)
	}
	return d
}

// Most is what a call could have at most of an Ask, whatever time it had; 0: it
// never fits.
func (l Limits) MaxGrant(ask Ask) int64 {
	if l.verdict(ask.Needed(), Unlimited, Unlimited) != Granted {
		return 0
	}
	most := ask.Tokens
	if l.TokensPerMinute > 0 {
		most = min(most, l.TokensPerMinute+l.Burst)
	}
	if l.Quota > 0 {
		most = min(most, l.Quota)
	}
	return most
}

func (l Limits) verdict(least, minute, period int64) Verdict {
	switch {
	case l.TokensPerMinute > 0 && least > l.TokensPerMinute+l.Burst:
		return NeverFitsRate
	case l.Quota > 0 && least > l.Quota:
		return NeverFitsQuota
	case least > period:
		return QuotaExceeded
	case least > minute:
		return RateExceeded
	}
	return Granted
}

// minutesUntil is after how many minutes so many tokens fit, at least the next.
func minutesUntil(tokens, left, perMinute int64) int64 {
	return max(1, (tokens-left+perMinute-1)/perMinute)
}

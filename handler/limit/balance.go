package limit

import (
	"math"
	"time"
)

// Unlimited is the tokens left where there is no limit: no sum of it with
// real amounts overflows.
const Unlimited = math.MaxInt64 / 8

// A Balance is what a counter's minute and period may still spend: their
// credit, what was charged to them, and what instances hold leased. A
// counter's row and an instance's view of it compute with the same one, so no
// instance hands out what the counter wouldn't.
type Balance struct {
	Window int64 // the minute of Credit, Spent and Leased
	Credit int64 // tokens that the minute began with; below zero after overspending
	Spent  int64 // charged to the minute
	Leased int64 // of the minute, in the hands of instances

	PeriodStart  time.Time // zero without a quota
	PeriodSpent  int64     // charged to the quota
	PeriodLeased int64     // of the period, from any of its minutes

	Given Spans // minutes from Window on whose credit a fast clock has given out already
}

// NewBalance returns the balance of a counter to which nothing was charged.
func NewBalance(l Limits, now time.Time) Balance {
	b := Balance{Window: Minute(now), Credit: l.PerMinute}
	if l.Quota > 0 {
		b.PeriodStart = l.Period.Start(now)
	}
	return b
}

// left is what a minute and a period have left, in tokens; below zero it is
// owed. It is Unlimited where there is no limit.
type remaining struct{ minute, period int64 }

// left returns what is left for a holder of this many tokens more.
func (b *Balance) remaining(l Limits, own int64) remaining {
	rest := remaining{Unlimited, Unlimited}
	if l.PerMinute > 0 {
		rest.minute = b.Credit - b.Spent - b.Leased + own
	}
	if l.Quota > 0 {
		rest.period = l.Quota - b.PeriodSpent - b.PeriodLeased + own
	}
	return rest
}

// Left returns the tokens left of the minute and of the period, of whichever
// there are fewer, for a holder of this many tokens more. Below zero they are
// owed. It is at least Unlimited where there is no limit.
func (b *Balance) Left(l Limits, own int64) int64 {
	rest := b.remaining(l, own)
	return min(rest.minute, rest.period)
}

// Decide decides an Ask for a holder of this many tokens more than the
// balance has left. It charges nothing.
func (b *Balance) Decide(l Limits, ask Ask, own int64, now time.Time) Decision {
	return l.decide(ask, b.remaining(l, own), b.Window, b.PeriodStart, now)
}

// FitsAfter returns the time until this many tokens fit that don't fit now,
// if one of so many instances gets its share of each minute's tokens. Without
// a minute limit, that is the end of the period. exceeded names the limit that
// they wait for.
func (b *Balance) FitsAfter(l Limits, tokens, own, instances int64, now time.Time) (after time.Duration, exceeded Verdict) {
	if l.PerMinute == 0 {
		return l.Period.Next(b.PeriodStart).Sub(now), QuotaExceeded
	}
	minute := b.remaining(l, own).minute
	if tokens > l.PerMinute+l.Burst { // more than the next minute has: of what is left, it has the burst
		minute = min(minute, l.Burst)
	}
	perMinute := max(1, l.PerMinute/max(instances, 1))
	return MinuteStart(b.Window + minutesUntil(tokens, minute, perMinute)).Sub(now), RateExceeded
}

// Standing returns the standing for a holder of this many tokens more than the
// balance has left, who has yet to charge this much to the minute and to the
// period.
func (b *Balance) Standing(l Limits, own, minute, period int64) Standing {
	rest := b.remaining(l, own)
	st := Standing{Limits: l, Used: max(0, b.Spent+minute), ResetAt: MinuteStart(b.Window + 1)}
	st.Remaining, st.Owed = splitLeft(rest.minute)
	if l.PerMinute > 0 {
		st.ResetAt = MinuteStart(b.Window + minutesUntil(1, rest.minute, l.PerMinute))
		st.Held = max(0, b.Credit-st.Used-rest.minute)
	}
	if l.Quota > 0 {
		st.QuotaUsed = max(0, b.PeriodSpent+period)
		st.QuotaRemaining, st.QuotaOwed = splitLeft(rest.period)
		st.QuotaHeld = max(0, l.Quota-st.QuotaUsed-rest.period)
		st.QuotaStartedAt, st.QuotaResetAt = b.PeriodStart, l.Period.Next(b.PeriodStart)
	}
	return st
}

// OpenMinute opens a later minute. A lease outstanding when a minute closes
// counts as spent in it; otherwise the same tokens could be had again from the
// new minute's credit.
func (b *Balance) OpenMinute(l Limits, minute int64) {
	b.Credit = b.Given.credit(l, b.Credit-b.Spent-b.Leased, b.Window, minute)
	b.Window, b.Spent, b.Leased = minute, 0, 0
	b.Given = b.Given.Since(minute)
}

// OpenPeriod opens a period to which this much was charged already. Leases
// count as charged to the one before.
func (b *Balance) OpenPeriod(start time.Time, spent int64) {
	b.PeriodStart, b.PeriodSpent, b.PeriodLeased = start, spent, 0
}

// PeriodSince returns the start of the period that the balance's minute is in,
// and whether that is a later one than the balance's period.
func (b *Balance) PeriodSince(l Limits) (start time.Time, later bool) {
	if l.Quota == 0 {
		return time.Time{}, false
	}
	start = l.Period.Start(MinuteStart(b.Window))
	return start, start.After(b.PeriodStart)
}

// At returns the balance as it will be at a time if nothing is charged until
// then. Windows never go back.
func (b Balance) At(l Limits, now time.Time) Balance {
	minute := Minute(now)
	if minute <= b.Window {
		return b
	}
	b.OpenMinute(l, minute)
	if start, later := b.PeriodSince(l); later {
		b.OpenPeriod(start, 0)
	}
	return b
}

// Charge charges tokens to the minute and to the period.
func (b *Balance) Charge(l Limits, tokens int64) {
	b.Spent += tokens
	if l.Quota > 0 {
		b.PeriodSpent += tokens
	}
}

// ChargePeriod charges tokens to the quota, or refunds them if negative. It
// stops at zero: lifting a quota drops what was charged before.
func (b *Balance) ChargePeriod(tokens int64) { b.PeriodSpent = max(0, b.PeriodSpent+tokens) }

// Refund returns tokens to the minute and the period they were charged to.
func (b *Balance) Refund(l Limits, window int64, period time.Time, tokens int64) {
	b.RefundMinute(l, window, tokens)
	if l.Quota > 0 && period.Equal(b.PeriodStart) {
		b.ChargePeriod(-tokens)
	}
}

// RefundMinute returns tokens to a minute. Tokens of the previous minute are
// added to this one's credit, as if they had been known at the turn. Older
// ones vanish: otherwise k minutes could exceed k limits.
func (b *Balance) RefundMinute(l Limits, window, tokens int64) {
	switch window {
	case b.Window:
		b.Spent -= tokens
	case b.Window - 1:
		if l.PerMinute > 0 {
			b.Credit = max(b.Credit, min(b.Credit+tokens, l.PerMinute+l.Burst))
		}
	}
}

// ChangeLimits replaces limits of the minute by newer ones, without touching
// what was charged. A raise applies at once; a cut makes no debt.
func (b *Balance) ChangeLimits(old, newer Limits) {
	charged := b.Spent + b.Leased
	switch change := newer.PerMinute - old.PerMinute; {
	case newer.PerMinute == 0:
		b.Credit = 0
	case old.PerMinute == 0: // until now there was no limit to charge
		b.Credit = max(newer.PerMinute, charged)
	case change < 0:
		b.Credit = max(b.Credit+change, min(b.Credit, charged))
	default: // what a cut could not take back is no credit for a raise
		b.Credit = max(b.Credit, min(b.Credit+change, newer.PerMinute+newer.Burst))
	}
}

// Trim takes away credit beyond newly cut limits that was leased at the cut,
// once it has come back unspent.
func (b *Balance) Trim(l Limits) {
	if l.PerMinute > 0 {
		b.Credit = min(b.Credit, max(l.PerMinute+l.Burst, b.Spent+b.Leased))
	}
}

// creditAfter returns a minute's credit: what was left or owed plus the new
// minutes' tokens, at most perMinute + burst.
func creditAfter(perMinute, burst, left, minutes int64) int64 {
	if perMinute == 0 {
		return 0
	}
	full := perMinute + burst
	if minutes > (full-min(left, 0))/perMinute { // enough to fill it up, and the product can't overflow
		return full
	}
	return min(full, left+minutes*perMinute)
}

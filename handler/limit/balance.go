package limit

import (
	"math"
	"time"
)

// Unlimited is the amount left if there is no limit. It is so small that no sum of it
// and real amounts overflows.
const Unlimited = math.MaxInt64 / 8

// A Balance is the account of a counter's minute and period: what they may spend, what
// was charged to them, and what instances have leased. A counter's row and an
// instance's view of it compute with the same Balance, so no instance hands out what
// the counter wouldn't.
type Balance struct {
	Window int64 // the minute of Credit, Spent and Leased, counted as by Minute
	Credit int64 // amount that the minute began with; below zero after overspending
	Spent  int64 // charged to the minute
	Leased int64 // leased to instances in the minute

	PeriodStart  time.Time // zero without a quota
	PeriodSpent  int64     // charged to the quota
	PeriodLeased int64     // leased to instances in any minute of the period

	Given Spans // minutes from Window on of which a fast clock has already given out the credit
}

// NewBalance returns the balance of a new counter: nothing is charged to it, and it has
// the minute's amount without the burst.
func NewBalance(l Limits, now time.Time) Balance {
	b := Balance{Window: Minute(now), Credit: l.PerMinute}
	if l.Quota > 0 {
		b.PeriodStart = l.Period.Start(now)
	}
	return b
}

// remaining is what a minute and a period have left. Below zero, it is owed. It is
// Unlimited if there is no limit.
type remaining struct{ minute, period int64 }

// remaining returns what is left for an instance that may spend own in addition.
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

// Left returns what is left of the minute or of the period, whichever is less, for an
// instance that may spend own in addition to the balance. Below zero, it is owed. It is
// at least Unlimited if there is no limit.
func (b *Balance) Left(l Limits, own int64) int64 {
	rest := b.remaining(l, own)
	return min(rest.minute, rest.period)
}

// Decide decides an Ask for an instance that may spend own in addition to the balance.
// It charges nothing.
func (b *Balance) Decide(l Limits, ask Ask, own int64, now time.Time) Decision {
	return l.decide(ask, b.remaining(l, own), b.Window, b.PeriodStart, now)
}

// FitsAfter returns the time until an amount fits that doesn't fit now, if the asking
// instance gets its share of each minute's amount as one of so many instances. If there
// is no limit for the minute, it fits at the end of the period. exceeded says which of
// the two it waits for.
func (b *Balance) FitsAfter(l Limits, amount, own, instances int64, now time.Time) (after time.Duration, exceeded Verdict) {
	if l.PerMinute == 0 {
		return l.Period.Next(b.PeriodStart).Sub(now), QuotaExceeded
	}
	minute := b.remaining(l, own).minute
	if amount > l.PerMinute+l.Burst { // later minutes must add it up, and carry at most the burst of what is left
		minute = min(minute, l.Burst)
	}
	perMinute := max(1, l.PerMinute/max(instances, 1))
	return MinuteStart(b.Window + minutesUntil(amount, minute, perMinute)).Sub(now), RateExceeded
}

// Standing returns the standing for an instance that may spend own in addition to the
// balance, and has yet to charge these amounts to the minute and to the period.
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

// OpenMinute opens a later minute. A lease that is outstanding when a minute closes
// counts as spent in it; otherwise the new minute's credit would give out the same
// amount again.
func (b *Balance) OpenMinute(l Limits, minute int64) {
	b.Credit = b.Given.credit(l, b.Credit-b.Spent-b.Leased, b.Window, minute)
	b.Window, b.Spent, b.Leased = minute, 0, 0
	b.Given = b.Given.Since(minute)
}

// OpenPeriod opens a period to which an amount was charged already. Outstanding leases
// count as charged to the period before.
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

// At returns the balance that there will be at a time if nothing is charged until then.
// Windows never go back.
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

// Charge charges an amount to the minute and to the period.
func (b *Balance) Charge(l Limits, amount int64) {
	b.Spent += amount
	if l.Quota > 0 {
		b.PeriodSpent += amount
	}
}

// ChargePeriod charges an amount to the quota, or refunds it if negative. It stops at
// zero, as a refund may be for a charge that was dropped when the quota was lifted.
func (b *Balance) ChargePeriod(amount int64) { b.PeriodSpent = max(0, b.PeriodSpent+amount) }

// Refund returns an amount to the minute and the period that it was charged to.
func (b *Balance) Refund(l Limits, window int64, period time.Time, amount int64) {
	b.RefundMinute(l, window, amount)
	if l.Quota > 0 && period.Equal(b.PeriodStart) {
		b.ChargePeriod(-amount)
	}
}

// RefundMinute returns an amount to a minute. An amount of the previous minute is added
// to this one's credit, as if it had been known when this minute opened. An older one
// vanishes: otherwise k minutes could exceed k limits.
func (b *Balance) RefundMinute(l Limits, window, amount int64) {
	switch window {
	case b.Window:
		b.Spent -= amount
	case b.Window - 1:
		if l.PerMinute > 0 {
			b.Credit = max(b.Credit, min(b.Credit+amount, l.PerMinute+l.Burst))
		}
	}
}

// ChangeLimits changes the minute's credit from old to newer limits, without changing
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

// Trim takes away the credit that a cut left because it was leased, once the lease has
// come back unspent.
func (b *Balance) Trim(l Limits) {
	if l.PerMinute > 0 {
		b.Credit = min(b.Credit, max(l.PerMinute+l.Burst, b.Spent+b.Leased))
	}
}

// creditAfter returns the credit of a minute that is this many minutes later: what was
// left or owed, plus these minutes' amounts, at most perMinute + burst.
func creditAfter(perMinute, burst, left, minutes int64) int64 {
	if perMinute == 0 {
		return 0
	}
	full := perMinute + burst
	if minutes > (full-min(left, 0))/perMinute { // they fill it up; checked first, as the product below could overflow
		return full
	}
	return min(full, left+minutes*perMinute)
}

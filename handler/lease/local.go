package lease

import (
	"time"

	"tollgate/handler/limit"
)

// localState is what one instance holds and knows of a counter.
type localState struct {
	limits    limit.Limits // newest of any call
	alertAt   []int        // of the last call
	holder    Holder
	known     knownRow
	size      sizing
	share     share // admitted without the store
	openCalls int   // calls that have a hold
}

// standing returns the standing as far as this instance knows. Until it has read
// the counter, it assumes that there are no calls but its own.
func (a *localState) standing(now time.Time) limit.Standing {
	if a.known.everRead() {
		return a.known.view.Standing(&a.holder, now)
	}
	r := New(a.limits, now, "")
	if a.share.current(now) {
		r.Spent = a.share.spent
	}
	if r.Quota > 0 {
		r.PeriodSpent = a.unwrittenExcess()
	}
	return r.Standing(now)
}

// unwrittenExcess returns the amount used or reserved beyond the lease that the
// row doesn't show yet.
func (a *localState) unwrittenExcess() int64 { return a.holder.Excess() + a.share.owed }

// unwrittenExcessBefore returns the part of unwrittenExcess from before the minute
// of a share that has this much spent.
func (a *localState) unwrittenExcessBefore(spent int64) int64 {
	return max(0, a.unwrittenExcess()-spent)
}

// shareAt returns the share of now's minute: the current one, or a new one.
func (a *localState) shareAt(now time.Time) share {
	if a.share.current(now) {
		return a.share
	}
	begun := share{minute: limit.Minute(now), owed: a.share.owed}
	begun.allowed = a.allowance(&begun, now)
	return begun
}

// allowance returns what this instance may admit without the store in a share's
// minute, including what it has admitted already. In the minute when contact was
// lost, that is its share of what was known to be left; in later minutes, its share
// of the limit, less its lease. A quota's share is for the whole outage, so what was
// admitted in earlier minutes is subtracted.
func (a *localState) allowance(s *share, now time.Time) int64 {
	if !a.known.everRead() {
		return max(0, a.allowanceIfNeverRead(s))
	}
	view, live, before := a.known.view, a.known.live(), a.unwrittenExcessBefore(s.spent)
	if view.PerMinute == 0 || view.Balance.Window == limit.Minute(now) {
		return max(0, view.Left(now)/live-before)
	}
	minute := view.PerMinute/live - a.holder.LeasedAmount()
	view.PerMinute = 0 // then Left is what the quota has left
	return max(0, min(minute, view.Left(now)/live-before))
}

// allowanceIfNeverRead is the allowance of an instance that has never read the counter,
// and may be below zero.
func (a *localState) allowanceIfNeverRead(s *share) int64 {
	minute, period := int64(limit.Unlimited), int64(limit.Unlimited)
	if a.limits.PerMinute > 0 {
		minute = a.limits.PerMinute * unknownShare / 100
	}
	if a.limits.Quota > 0 {
		period = a.limits.Quota*unknownShare/100 - a.unwrittenExcessBefore(s.spent)
	}
	return min(minute, period)
}

// decideByShare decides a call by this instance's share, without the store.
func (a *localState) decideByShare(ask limit.Ask, now time.Time) limit.Decision {
	limits := a.limits
	if a.known.view.Version > limits.Version {
		limits = a.known.view.Limits
	}
	s := a.shareAt(now)
	d := limits.DecideShare(ask, s.left(), now)
	d.Standing, d.Degraded = a.standing(now), true
	return d
}

// decideBehind decides a call from what is known, behind queued calls: those that fit take
// an amount first, and it must wait for the line of those that don't, however little it asks
// for.
func (a *localState) decideBehind(ask limit.Ask, taken int64, ahead *line, now time.Time) limit.Decision {
	d := a.known.view.decideBeside(&a.holder, ask, taken, now)
	if ahead.calls > 0 && (d.Verdict == limit.Granted || d.Verdict == limit.RateExceeded) {
		after, exceeded := a.fitsAfter(ahead.amount+d.Min, now)
		d.Verdict, d.Amount, d.RetryAfter = exceeded, 0, max(d.RetryAfter, after)
	}
	return d
}

// fitsAfter returns the time until an amount fits that doesn't fit now, as far as
// is known, if this instance gets its share of each minute's amount. exceeded says
// which limit the call waits for.
func (a *localState) fitsAfter(amount int64, now time.Time) (after time.Duration, exceeded limit.Verdict) {
	v := &a.known.view
	b := v.At(now)
	return b.FitsAfter(v.Limits, amount, a.holder.own(now), a.known.live(), now)
}

// excessUrgent reports whether so much excess is unreported that other instances
// must learn of it at once: more than the lease was, or a quarter of this instance's
// share. If nothing is left anyway, it isn't urgent.
func (a *localState) excessUrgent(now time.Time) bool {
	excess := a.holder.Excess()
	if excess == 0 {
		return false
	}
	left := a.known.view.Left(now)
	return left > 0 && (excess > a.size.leased || excess > left/(4*a.known.live()))
}

// Unwritten returns what calls reserved or used, less refunds, that no write is
// known to have delivered.
func (a *localState) Unwritten() int64 { return a.holder.Unwritten() }

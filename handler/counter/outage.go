package counter

import (
	"fmt"
	"time"

	"tollgate/handler/limit"
)

// outage counts what an instance admits by itself while the store is down.
type outage struct {
	minute  int64 // minute of allowed and spent
	allowed int64 // tokens
	spent   int64 // of this minute
}

// unknownShare is an instance's share of the limits, in percent, if it doesn't know how
// many others there are.
const unknownShare = 25

// maxOwed bounds the tokens that a call counts for while it is under way: a
// call that isn't refused may have any cap, and the sum of a few would
// overflow.
const maxOwed = 1 << 40

// probeEvery is the shortest pause between probes of a store that is down.
const probeEvery = 500 * time.Millisecond

// down reports whether the store can't be used, as far as is known.
func (a *replica) down(now time.Time) bool {
	return a.counter.health.down() || now.Before(a.unusableUntil)
}

// bypassStore reports whether calls must be decided without the store, rather
// than by trying whether it is back.
func (a *replica) bypassStore(now time.Time) bool {
	return now.Before(a.unusableUntil) || a.counter.health.down() && !a.counter.health.stale()
}

// probe reads from the store when nothing needs writing, to find out whether
// it is back.
func (a *replica) probe(now time.Time) {
	if a.running || now.Sub(a.probedAt) < probeEvery {
		return
	}
	a.probedAt, a.probing = now, true
	a.kick()
}

// failWaiters answers all that wait, because the store is down.
func (a *replica) failWaiters(now time.Time, cause error) {
	for _, w := range a.waiters {
		out := a.withoutStore(w.ask, w.onDown, now)
		if out.err != nil {
			out.err = fmt.Errorf("%w: %w", out.err, cause)
		}
		w.answer(out)
	}
	for _, w := range a.statusWaiters {
		if !a.everRead() {
			w.answer(outcome{err: fmt.Errorf("%w: %w", ErrUnavailable, cause)})
			continue
		}
		w.answer(a.statusOutcome(now))
	}
	a.waiters, a.statusWaiters = nil, nil
}

// everRead reports whether this instance has ever read the counter.
func (a *replica) everRead() bool { return a.view.Live > 0 }

// lastStanding returns the standing as far as this instance knows. For a
// counter that it never read, it assumes that nobody else has called.
func (a *replica) lastStanding(now time.Time) limit.Standing {
	if a.everRead() {
		return a.holder.Standing(&a.view, now)
	}
	s := limit.New(a.limits, now, "")
	if a.outage.minute == s.Window {
		s.Spent = a.outage.spent
	}
	if s.Quota > 0 {
		s.PeriodSpent = a.unwrittenTokens()
	}
	return s.Standing(now)
}

// unwrittenTokens returns the tokens used or reserved that the row doesn't
// show yet.
func (a *replica) unwrittenTokens() int64 { return a.holder.Excess() + a.owed }

// unwrittenBefore returns those of earlier minutes.
func (a *replica) unwrittenBefore() int64 { return max(0, a.unwrittenTokens()-a.outage.spent) }

// withoutStore decides a call by its terms for a store that is down. An
// admitted call is owed: it is charged when it is settled and the store is
// back.
func (a *replica) withoutStore(ask limit.Ask, onDown limit.StoreDown, now time.Time) outcome {
	if minute := limit.Minute(now); a.outage.minute != minute {
		a.outage = outage{minute: minute}
		a.outage.allowed = a.allowance(now)
	}
	tokens := ask.Tokens
	switch {
	case onDown == limit.FailOpen || ask.Shadow:
	case onDown == limit.Degrade:
		d := a.decideByShare(ask, now)
		if d.Verdict != limit.Granted {
			d.Degraded = true
			return a.refuseOutcome(ask, d)
		}
		tokens = d.Tokens
	default:
		return outcome{err: ErrUnavailable}
	}
	owed := min(tokens, maxOwed)
	a.openCalls++
	a.outage.spent += owed
	a.owed += owed
	return outcome{
		reservation: &Reservation{replica: a, charge: limit.OwedCharge(), owed: owed, minute: a.outage.minute},
		decision:    limit.Decision{Tokens: tokens, MinTokens: ask.Needed(), Degraded: true, Standing: a.lastStanding(now)},
	}
}

// decideByShare decides a call by this instance's share.
func (a *replica) decideByShare(ask limit.Ask, now time.Time) limit.Decision {
	limits := a.limits
	if a.view.Version > limits.Version {
		limits = a.view.Limits
	}
	d := limits.DecideShare(ask, a.outage.allowed-a.outage.spent, now)
	d.Standing = a.lastStanding(now)
	return d
}

// allowance returns the tokens that this instance may admit this minute,
// including those already admitted. In the minute when contact was lost, that
// is its share of what was known to be left; in later ones its share of the
// limit, less its lease. A quota's share is for the whole outage: tokens
// admitted in earlier minutes are gone.
func (a *replica) allowance(now time.Time) int64 {
	if !a.everRead() {
		return max(0, a.allowanceUnseen())
	}
	live, minute := int64(a.view.Live), int64(limit.Unlimited)
	view := a.view
	switch {
	case view.TokensPerMinute == 0:
	case a.stored.Window == limit.Minute(now): // not the view's window, which advances with time
		minute = view.Left(now)/live - a.unwrittenBefore()
	default:
		minute = view.TokensPerMinute/live - a.holder.LeasedTokens()
	}
	view.TokensPerMinute = 0
	return max(0, min(minute, view.Left(now)/live-a.unwrittenBefore()))
}

func (a *replica) allowanceUnseen() int64 {
	minute, period := int64(limit.Unlimited), int64(limit.Unlimited)
	if a.limits.TokensPerMinute > 0 {
		minute = a.limits.TokensPerMinute * unknownShare / 100
	}
	if a.limits.Quota > 0 {
		period = a.limits.Quota*unknownShare/100 - a.unwrittenBefore()
	}
	return min(minute, period)
}

// adjust changes what a call counts for by more or fewer tokens. More count
// in the running minute, as any debt does; fewer only in the minute when the
// call was admitted.
func (o *outage) adjust(r *Reservation, change int64, now time.Time) {
	if r.minute > 0 && o.minute == limit.Minute(now) && (change > 0 || r.minute == o.minute) {
		o.spent = max(0, o.spent+change)
	}
}

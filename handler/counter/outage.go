package counter

import (
	"fmt"
	"time"

	"tollgate/handler/limit"
)

// outage is what an instance lets pass by itself while the store is down.
type outage struct {
	minute  int64 // that allowed and spent are of
	allowed int64 // tokens
	spent   int64
}

// unknownShare is one instance's share of the limits where it doesn't know how
// many others there are, in percent.
const unknownShare = 25

// probeEvery is how often calls have a store tried that is down.
const probeEvery = 500 * time.Millisecond

// down says whether calls must be decided without the store.
func (a *account) down(now time.Time) bool {
	return a.counter.health.down() || now.Before(a.unusable)
}

// probe tries the store for its own sake, for a key that has nothing to write.
func (a *account) probe(now time.Time) {
	if a.writing || now.Sub(a.probed) < probeEvery {
		return
	}
	a.probed, a.probing = now, true
	a.work()
}

// giveUp answers all that wait, for a store that is down.
func (a *account) giveUp(now time.Time, cause error) {
	for _, w := range a.waiters {
		out := a.withoutStore(w.ask, now)
		if out.err != nil {
			out.err = fmt.Errorf("%w: %w", out.err, cause)
		}
		w.answer(out)
	}
	for _, w := range a.looks {
		if a.read.IsZero() && a.view == (limit.View{}) {
			w.answer(outcome{err: fmt.Errorf("%w: %w", ErrUnavailable, cause)})
			continue
		}
		w.answer(a.told(now))
	}
	a.waiters, a.looks = nil, nil
}

// withoutStore decides a call by the terms for a store that is down. What it
// lets pass is owed: it is charged when it is settled and the store is back.
func (a *account) withoutStore(ask limit.Ask, now time.Time) outcome {
	tokens := ask.Tokens
	switch {
	case a.terms.OnStoreDown == Open || ask.Shadow:
	case a.terms.OnStoreDown == Degrade:
		d := a.allow(ask, now)
		if d.Verdict != limit.Granted {
			d.Degraded = true
			return a.refuse(ask, d)
		}
		tokens = d.Tokens
	default:
		return outcome{err: ErrUnavailable}
	}
	a.counter.stats.degraded.Add(1)
	a.calls++
	a.outage.spent += tokens
	return outcome{
		reservation: &Reservation{account: a, charge: limit.Owed(), owed: tokens},
		decision:    limit.Decision{Tokens: tokens, Least: ask.Least(), Degraded: true, Standing: a.holder.Standing(&a.view, now)},
	}
}

// allow decides a call by this instance's share: in the minute that contact was
// lost, of what was known to be left; in later ones of the limit, less what the
// instance still leases.
func (a *account) allow(ask limit.Ask, now time.Time) limit.Decision {
	if minute := limit.Minute(now); a.outage.minute != minute {
		a.outage = outage{minute: minute, allowed: a.allowance(now)}
	}
	limits := a.terms.Limits
	if a.view.Version > limits.Version {
		limits = a.view.Limits
	}
	left := a.outage.allowed - a.outage.spent
	d := limits.Alone(ask, left, now)
	d.Standing = a.holder.Standing(&a.view, now)
	return d
}

// allowance is what this instance may let pass this minute, tokens.
func (a *account) allowance(now time.Time) int64 {
	limits := a.terms.Limits
	minute, period := int64(limit.Unlimited), int64(limit.Unlimited)
	if a.read.IsZero() && a.view == (limit.View{}) {
		if limits.TokensPerMinute > 0 {
			minute = limits.TokensPerMinute * unknownShare / 100
		}
		if limits.Quota > 0 {
			period = limits.Quota * unknownShare / 100
		}
		return min(minute, period)
	}
	live := int64(max(a.view.Live, 1))
	if a.view.Window == limit.Minute(now) { // as last known
		return max(0, a.view.Left(now)/live)
	}
	if a.view.TokensPerMinute > 0 {
		minute = a.view.TokensPerMinute/live - a.holder.Holds()
	}
	view := a.view
	view.TokensPerMinute = 0
	period = view.Left(now) / live
	return max(0, min(minute, period))
}

// correct replaces what was owed for a call by more or less of it.
func (o *outage) correct(change, owed int64, now time.Time) {
	if owed > 0 && o.minute == limit.Minute(now) {
		o.spent = max(0, o.spent+change)
	}
}

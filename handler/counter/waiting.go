package counter

import (
	"slices"
	"time"

	"tollgate/handler/limit"
)

const (
	// maxQueue and maxQueueBytes bound the calls that queue for a key's tokens.
	maxQueue      = 100
	maxQueueBytes = 8 << 20
	// minReportShare and maxReportShare bound the share of a horizon after which
	// usage is reported and an idle lease returned. The rest is for the write
	// itself. Each instance has a share of its own: otherwise instances that the
	// start of a minute sets off together would write at the same times, and
	// conflict, for ever.
	minReportShare, maxReportShare = 0.6, 0.9
)

// answerStatus answers callers that wait for the standing, once the row has
// been re-read after they asked. It compares refresh counts, not times: the
// clock may step back.
func (a *replica) answerStatus(now time.Time) {
	a.statusWaiters = slices.DeleteFunc(a.statusWaiters, func(w *waiter) bool {
		if a.refreshes == w.refreshesBefore {
			return false
		}
		w.answer(a.statusOutcome(now))
		return true
	})
	if len(a.statusWaiters) > 0 {
		a.readAt = time.Time{}
	}
}

// grantWaiters grants waiting calls tokens of the lease, in order, until one
// doesn't fit.
func (a *replica) grantWaiters(now time.Time) {
	served := 0
	for _, w := range a.waiters {
		charge, ok := a.holder.Reserve(w.ask.Tokens, now)
		if !ok && w.granted > 0 {
			charge, ok = a.holder.Reserve(w.granted, now)
		}
		if !ok {
			break
		}
		w.answer(a.grantOutcome(charge, w.ask, now))
		served++
	}
	a.waiters = slices.Delete(a.waiters, 0, served)
}

// decideWaiters decides the waiting calls in order. Those that are granted
// tokens wait for the write; refused ones are answered, or queue. If the
// known state is too old for a refusal, known is false, and the rest stays
// undecided.
func (a *replica) decideWaiters(draft *limit.Draft, now time.Time) (granted, known bool) {
	fresh := !a.view.Shared || now.Sub(a.readAt) <= maxRefusalAge
	var queue queue
	kept := a.waiters[:0:0]
	for i, w := range a.waiters {
		w.granted = 0
		var d limit.Decision
		if queue.calls == 0 {
			d = draft.Decide(w.ask)
			if d.Verdict == limit.Granted {
				w.granted, granted = d.Tokens, true
				kept = append(kept, w)
				continue
			}
			if !fresh {
				a.waiters = append(kept, a.waiters[i:]...)
				return granted, false
			}
			a.rememberRefusal(now)
		} else {
			d = a.decideBehind(w.ask, &queue, now)
		}
		if a.park(w, d, &queue, now) {
			kept = append(kept, w)
			continue
		}
		d.Standing = a.holder.Standing(&a.view, now).After(draft.Asked())
		w.answer(a.refuseOutcome(w.ask, d))
	}
	a.waiters = kept
	return granted, true
}

// rememberRefusal makes the refusal hold until the next minute, or where
// others may give tokens back, for refusalHold.
func (a *replica) rememberRefusal(now time.Time) {
	a.refusedUntil = limit.MinuteStart(max(limit.Minute(now), a.view.Window) + 1)
	if hold := now.Add(a.refusalHold()); a.view.Shared && hold.Before(a.refusedUntil) {
		a.refusedUntil = hold
	}
}

// refusalHold returns the time that a refusal holds where other instances
// share the counter: together they re-read it at most 20 times a second.
func (a *replica) refusalHold() time.Duration {
	return max(maxRefusalAge, time.Duration(a.view.Live)*time.Second/20)
}

// A queue sums up the calls that queue ahead of another.
type queue struct {
	calls  int
	tokens int64
	bytes  int64
}

// park queues a refused call if it will fit in time. It estimates that when
// the call arrives; if it would be too late, the call is refused at once.
func (a *replica) park(w *waiter, d limit.Decision, q *queue, now time.Time) bool {
	if w.ask.Shadow || w.ask.UpperBound || d.Verdict == limit.NeverFitsRate || d.Verdict == limit.NeverFitsQuota || a.closing || a.counter.draining.Load() {
		return false
	}
	if now.Before(w.begun) { // the first answer set the clock back
		w.begun = now
	}
	after, _ := a.holder.FitsAfter(&a.view, q.tokens+d.MinTokens, now)
	room := q.calls < maxQueue && q.bytes+w.ask.Bytes <= maxQueueBytes
	inTime := !now.Add(max(after, d.RetryAfter)).After(w.deadline())
	if w.parked { // it was accepted once: refuse it only at its deadline
		room, inTime = true, now.Before(w.deadline())
	}
	if !room || !inTime {
		return false
	}
	w.parked = true
	q.add(w, d.MinTokens)
	return true
}

func (q *queue) add(w *waiter, tokens int64) {
	q.calls++
	q.tokens += tokens
	q.bytes += w.ask.Bytes
}

// decideBehind decides a call from the known state, behind those that queue:
// it has to wait for them however little it asks for.
func (a *replica) decideBehind(ask limit.Ask, q *queue, now time.Time) limit.Decision {
	d := a.holder.Decide(&a.view, ask, now)
	if q.calls > 0 && (d.Verdict == limit.Granted || d.Verdict == limit.RateExceeded) {
		after, exceeded := a.holder.FitsAfter(&a.view, q.tokens+d.MinTokens, now)
		d.Verdict, d.Tokens, d.RetryAfter = exceeded, 0, max(d.RetryAfter, after)
	}
	return d
}

// worthAsking reports whether a call must wait although a refusal holds: it
// is small enough for what is left, or it may queue.
func (a *replica) worthAsking(w *waiter, now time.Time) (refusal limit.Decision, worth bool) {
	var queue queue
	for _, other := range a.waiters {
		if !other.parked {
			return refusal, true // not decided yet, nor can this one be
		}
		queue.add(other, other.ask.Needed())
	}
	d := a.decideBehind(w.ask, &queue, now)
	return d, d.Verdict == limit.Granted || a.park(w, d, &queue, now)
}

// retryWaiters decides queued calls again after tokens came back or limits
// grew: at once if the first of them would fit.
func (a *replica) retryWaiters(now time.Time) {
	if len(a.waiters) == 0 {
		return
	}
	if a.holder.Decide(&a.view, a.waiters[0].ask, now).Verdict == limit.Granted {
		a.refusedUntil = time.Time{}
	}
	a.kick()
}

// retryAt returns the time to decide parked calls again: the next minute, the
// end of a refusal, or the first deadline.
func (a *replica) retryAt() time.Time {
	at := farAway
	for _, w := range a.waiters {
		if w.parked && w.deadline().Before(at) {
			at = w.deadline()
		}
	}
	if len(a.waiters) > 0 && a.refusedUntil.Before(at) {
		at = a.refusedUntil
	}
	return at
}

var farAway = time.Unix(1<<40, 0)

// reportAt returns the time of the next report: most of a horizon after the
// first unreported change, or after the last call if a lease is held. Zero:
// none is needed.
func (a *replica) reportAt() time.Time {
	switch {
	case !a.since.IsZero() && a.holder.MustReport():
		return a.since.Add(a.reportAfter())
	case a.holder.LeasedTokens() > 0:
		return a.lastCall.Add(a.reportAfter())
	}
	return time.Time{}
}

// reportAfter returns the time within which changes are reported.
func (a *replica) reportAfter() time.Duration {
	return time.Duration(a.reportShare * float64(limit.Horizon(a.view.Live)))
}

// idle reports whether no call has begun or ended for so long that the lease
// is returned, whatever the demand was.
func (a *replica) idle(now time.Time) bool { return !now.Before(a.lastCall.Add(a.reportAfter())) }

// schedule sets the timer for the next task, unless it fires earlier. The
// lock is held.
func (a *replica) schedule(now time.Time) {
	at := a.retryAt()
	if due := a.reportAt(); !due.IsZero() && due.Before(at) {
		at = due
	}
	if at.Equal(farAway) {
		return
	}
	if a.timerAt.IsZero() || at.Before(a.timerAt) {
		a.timerAt = at
		a.timer.Reset(max(at.Sub(now), time.Millisecond))
	}
}

// wake runs when the timer fires.
func (a *replica) wake() {
	now := a.counter.clock.now()
	a.mu.Lock()
	defer a.mu.Unlock()
	a.timerAt = time.Time{}
	if a.hasWork(now) {
		a.kick()
	} else if !a.running {
		a.schedule(now)
	}
}

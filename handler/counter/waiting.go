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
	// earliestReport and latestReport bound the share of a horizon after which what
	// happened is reported and an idle lease returned. What is left of it is for the
	// write itself. Each instance has its own share, or those that the start of a
	// minute sets off together would write together, and conflict, for ever.
	minReportShare, maxReportShare = 0.6, 0.9
)

// tell answers those who ask where the counter stands, upon what became known
// since. Its time does not tell: the first answer may set the clock back.
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

// serve grants waiting calls tokens of the lease, in their order, until one
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

// decide goes through the waiting calls in their order. Those that are granted
// tokens wait for the write; refusals, which need none, are answered, or queue.
// Where what is known is too old to refuse by, nothing is decided.
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

// remember has the refusal hold: until the next minute, or, where others may
// give something back, for a while.
func (a *replica) rememberRefusal(now time.Time) {
	a.refusedUntil = limit.MinuteStart(max(limit.Minute(now), a.view.Window) + 1)
	if hold := now.Add(a.refusalHold()); a.view.Shared && hold.Before(a.refusedUntil) {
		a.refusedUntil = hold
	}
}

// hold is how long a refusal holds where others have a part in the counter: all
// of them together look 20 times a second at most.
func (a *replica) refusalHold() time.Duration {
	return max(maxRefusalAge, time.Duration(a.view.Live)*time.Second/20)
}

// queue sums up the calls that queue, up to one.
type queue struct {
	calls  int
	tokens int64
	bytes  int64
}

// park has a refused call queue where it will fit in time. It tells, at entry,
// by when that would be; where that is too late, the call is refused at once.
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
	if w.parked { // it was told that it fits, and is refused only when its time is over
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

// judge decides a call by what is known, behind those that queue: however little
// it asks for, it has to wait for them.
func (a *replica) decideBehind(ask limit.Ask, q *queue, now time.Time) limit.Decision {
	d := a.holder.Decide(&a.view, ask, now)
	if q.calls > 0 && (d.Verdict == limit.Granted || d.Verdict == limit.RateExceeded) {
		after, exceeded := a.holder.FitsAfter(&a.view, q.tokens+d.MinTokens, now)
		d.Verdict, d.Tokens, d.RetryAfter = exceeded, 0, max(d.RetryAfter, after)
	}
	return d
}

// worthAsking says, while a refusal holds, whether a call has to wait all the
// same: it is small enough for what is left, or may queue.
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

// retry has those that queue tried again, with what a call gave back or left to
// others, or newer limits allow: at once, where the first of them would fit.
func (a *replica) retryWaiters(now time.Time) {
	if len(a.waiters) == 0 {
		return
	}
	if a.holder.Decide(&a.view, a.waiters[0].ask, now).Verdict == limit.Granted {
		a.refusedUntil = time.Time{}
	}
	a.kick()
}

// retryAt is when parked calls are tried again: the next minute, when a refusal
// holds no longer, or when the first of them has waited its time.
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

// reportAt is when there must be a write: most of a horizon after the first
// thing that isn't reported, or after the last call where a lease is still held.
// Zero: there is no need.
func (a *replica) reportAt() time.Time {
	switch {
	case !a.since.IsZero() && a.holder.MustReport():
		return a.since.Add(a.reportAfter())
	case a.holder.LeasedTokens() > 0:
		return a.lastCall.Add(a.reportAfter())
	}
	return time.Time{}
}

// within is the time within which things are reported.
func (a *replica) reportAfter() time.Duration {
	return time.Duration(a.reportShare * float64(limit.Horizon(a.view.Live)))
}

// idle says that no call has begun or ended for so long that the lease goes
// back, whatever demand was before.
func (a *replica) idle(now time.Time) bool { return !now.Before(a.lastCall.Add(a.reportAfter())) }

// schedule sets the timer for what is next, unless it fires before. The lock is held.
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

// wake is what the timer does.
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

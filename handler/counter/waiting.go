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
	earliestReport, latestReport = 0.6, 0.9
)

// tell answers those who ask where the counter stands, upon what became known
// since. Its time does not tell: the first answer may set the clock back.
func (a *account) tell(now time.Time) {
	a.looks = slices.DeleteFunc(a.looks, func(w *waiter) bool {
		if a.kept == w.kept {
			return false
		}
		w.answer(a.told(now))
		return true
	})
	if len(a.looks) > 0 {
		a.read = time.Time{}
	}
}

// serve grants waiting calls tokens of the lease, in their order, until one
// doesn't fit.
func (a *account) serve(now time.Time) {
	served := 0
	for _, w := range a.waiters {
		charge, ok := a.holder.Take(w.ask.Tokens, now)
		if !ok && w.granted > 0 {
			charge, ok = a.holder.Take(w.granted, now)
		}
		if !ok {
			break
		}
		w.answer(a.granted(charge, w.ask, now))
		served++
	}
	a.waiters = slices.Delete(a.waiters, 0, served)
}

// decide goes through the waiting calls in their order. Those that are granted
// tokens wait for the write; refusals, which need none, are answered, or queue.
// Where what is known is too old to refuse by, nothing is decided.
func (a *account) decide(draft *limit.Draft, now time.Time) (granted, known bool) {
	fresh := !a.view.Shared || now.Sub(a.read) <= refusalKept
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
			a.remember(now)
		} else {
			d = a.judge(w.ask, &queue, now)
		}
		if a.park(w, d, &queue, now) {
			kept = append(kept, w)
			continue
		}
		d.Standing = a.holder.Standing(&a.view, now).After(draft.Asked())
		w.answer(a.refuse(w.ask, d))
	}
	a.waiters = kept
	return granted, true
}

// remember has the refusal hold: until the next minute, or, where others may
// give something back, for a while.
func (a *account) remember(now time.Time) {
	a.refused = limit.MinuteStart(max(limit.Minute(now), a.view.Window) + 1)
	if hold := now.Add(a.hold()); a.view.Shared && hold.Before(a.refused) {
		a.refused = hold
	}
}

// hold is how long a refusal holds where others have a part in the counter: all
// of them together look 20 times a second at most.
func (a *account) hold() time.Duration {
	return max(refusalKept, time.Duration(a.view.Live)*time.Second/20)
}

// queue sums up the calls that queue, up to one.
type queue struct {
	calls  int
	tokens int64
	bytes  int64
}

// park has a refused call queue where it will fit in time. It tells, at entry,
// by when that would be; where that is too late, the call is refused at once.
func (a *account) park(w *waiter, d limit.Decision, q *queue, now time.Time) bool {
	if w.ask.Shadow || w.ask.Bound || d.Verdict == limit.NeverFitsRate || d.Verdict == limit.NeverFitsQuota || a.going || a.counter.draining.Load() {
		return false
	}
	if now.Before(w.begun) { // the first answer set the clock back
		w.begun = now
	}
	after, _ := a.holder.FitsAfter(&a.view, q.tokens+d.Least, now)
	room := q.calls < maxQueue && q.bytes+w.ask.Bytes <= maxQueueBytes
	inTime := !now.Add(max(after, d.RetryAfter)).After(w.deadline())
	if w.parked { // it was told that it fits, and is refused only when its time is over
		room, inTime = true, now.Before(w.deadline())
	}
	if !room || !inTime {
		return false
	}
	w.parked = true
	q.add(w, d.Least)
	return true
}

func (q *queue) add(w *waiter, tokens int64) {
	q.calls++
	q.tokens += tokens
	q.bytes += w.ask.Bytes
}

// judge decides a call by what is known, behind those that queue: however little
// it asks for, it has to wait for them.
func (a *account) judge(ask limit.Ask, q *queue, now time.Time) limit.Decision {
	d := a.holder.Judge(&a.view, ask, now)
	if q.calls > 0 && (d.Verdict == limit.Granted || d.Verdict == limit.RateExceeded) {
		after, exceeded := a.holder.FitsAfter(&a.view, q.tokens+d.Least, now)
		d.Verdict, d.Tokens, d.RetryAfter = exceeded, 0, max(d.RetryAfter, after)
	}
	return d
}

// worthAsking says, while a refusal holds, whether a call has to wait all the
// same: it is small enough for what is left, or may queue.
func (a *account) worthAsking(w *waiter, now time.Time) (refusal limit.Decision, worth bool) {
	var queue queue
	for _, other := range a.waiters {
		if !other.parked {
			return refusal, true // not decided yet, nor can this one be
		}
		queue.add(other, other.ask.Least())
	}
	d := a.judge(w.ask, &queue, now)
	return d, d.Verdict == limit.Granted || a.park(w, d, &queue, now)
}

// retry has those that queue tried again, with what a call gave back or left to
// others, or newer limits allow: at once, where the first of them would fit.
func (a *account) retry(now time.Time) {
	if len(a.waiters) == 0 {
		return
	}
	if a.holder.Judge(&a.view, a.waiters[0].ask, now).Verdict == limit.Granted {
		a.refused = time.Time{}
	}
	a.work()
}

// retryAt is when parked calls are tried again: the next minute, when a refusal
// holds no longer, or when the first of them has waited its time.
func (a *account) retryAt() time.Time {
	at := farAway
	for _, w := range a.waiters {
		if w.parked && w.deadline().Before(at) {
			at = w.deadline()
		}
	}
	if len(a.waiters) > 0 && a.refused.Before(at) {
		at = a.refused
	}
	return at
}

var farAway = time.Unix(1<<40, 0)

// reportAt is when there must be a write: most of a horizon after the first
// thing that isn't reported, or after the last call where a lease is still held.
// Zero: there is no need.
func (a *account) reportAt() time.Time {
	switch {
	case !a.since.IsZero() && a.holder.Unreported():
		return a.since.Add(a.within())
	case a.holder.Holds() > 0:
		return a.busy.Add(a.within())
	}
	return time.Time{}
}

// within is the time within which things are reported.
func (a *account) within() time.Duration {
	return time.Duration(a.share * float64(limit.Horizon(a.view.Live)))
}

// idle says that no call has begun or ended for so long that the lease goes
// back, whatever demand was before.
func (a *account) idle(now time.Time) bool { return !now.Before(a.busy.Add(a.within())) }

// schedule sets the timer for what is next, unless it fires before. The lock is held.
func (a *account) schedule(now time.Time) {
	at := a.retryAt()
	if due := a.reportAt(); !due.IsZero() && due.Before(at) {
		at = due
	}
	if at.Equal(farAway) {
		return
	}
	if a.due.IsZero() || at.Before(a.due) {
		a.due = at
		a.timer.Reset(max(at.Sub(now), time.Millisecond))
	}
}

// wake is what the timer does.
func (a *account) wake() {
	now := a.counter.clock.now()
	a.mu.Lock()
	defer a.mu.Unlock()
	a.due = time.Time{}
	if a.pending(now) {
		a.work()
	} else if !a.writing {
		a.schedule(now)
	}
}

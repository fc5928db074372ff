package lease

import (
	"time"

	"tollgate/handler/limit"
)

// An outlook says whether a call fits a counter, as far as this instance knows.
type outlook int

const (
	unknown     outlook = iota // the store must be asked, or the call has no decision due now
	fitsNow                    // it may take what it asks now
	fitsLater                  // it will fit within the time it may wait
	blocked                    // it will fit if a claim ahead of it ends
	doesNotFit                 // it doesn't fit within the time it may wait
	undecidable                // the store is down, and the call's terms allow no decision without it
)

// A prospect is an outlook with the decision behind it. If the call fits, the
// decision may have nothing but the amount.
type prospect struct {
	outlook
	decision     limit.Decision
	withoutStore bool // decided by the call's terms for when the store is down
}

// A decider decides calls: from the lease, from what is known of the row, by this
// instance's share while the store is down, or together with a write that is being
// built. It changes nothing; the admitter carries its decisions out.
type decider struct {
	localState
	queue    queue
	refusal  refusal
	health   storeHealth
	draining bool // no call may park any more
	closing  bool // this instance is stopping
}

// decideNew decides a call that is not in the queue.
func (dec *decider) decideNew(at Moment, c *call) prospect {
	switch {
	case dec.leaseCovers(c.ask.Amount, at.Time):
		return prospect{outlook: fitsNow, decision: limit.Decision{Amount: c.ask.Amount}}
	case dec.health.bypass(at):
		return dec.decideWithoutStore(c, at.Time)
	case !dec.refusal.holds(at.Time) || dec.mustWait():
		return prospect{}
	}
	switch d, mayQueue := dec.decideFromKnown(c, at.Time); {
	case d.Verdict == limit.Granted: // a write must lease it
		return prospect{}
	case mayQueue:
		return prospect{outlook: fitsLater, decision: d}
	default:
		return prospect{outlook: doesNotFit, decision: d}
	}
}

// decideWithoutStore decides a call by its terms for when the store is down.
func (dec *decider) decideWithoutStore(c *call, now time.Time) prospect {
	switch {
	case c.onDown == limit.FailOpen || c.ask.Shadow:
		return prospect{outlook: fitsNow, decision: limit.Decision{Amount: c.ask.Amount}, withoutStore: true}
	case c.onDown != limit.Degrade:
		return prospect{outlook: undecidable, withoutStore: true}
	}
	d := dec.decideByShare(c.ask, now)
	if d.Verdict != limit.Granted {
		return prospect{outlook: doesNotFit, decision: d, withoutStore: true}
	}
	return prospect{outlook: fitsNow, decision: d, withoutStore: true}
}

// leaseCovers reports whether the lease has this much that no call has claimed, and
// no call queues for it.
func (dec *decider) leaseCovers(amount int64, now time.Time) bool {
	claims, all := dec.queue.claims()
	return all && dec.holder.lease.usable(now) && amount <= dec.holder.Left(now)-claims
}

// divideLease divides the lease among the queued calls, in their order, until one doesn't
// fit. It returns the amounts of the calls that fit: those at the head of the queue.
func (dec *decider) divideLease(now time.Time) (amounts []int64) {
	if !dec.holder.lease.usable(now) {
		return nil
	}
	left := dec.holder.lease.left
	for i := range dec.queue.calls {
		amount, fits := dec.queue.calls[i].amountFrom(left)
		if !fits {
			break
		}
		left -= amount
		amounts = append(amounts, amount)
	}
	return amounts
}

// mustWait reports whether a call must wait for its decision even while a refusal
// holds: other calls are undecided, or a write in flight gives something back.
func (dec *decider) mustWait() bool {
	return dec.queue.hasUndecided() || dec.holder.inFlight.givesBack()
}

// decideFromKnown decides a call from what is known, behind the calls parked before
// it, and as if all claims were given back. mayQueue reports that the call doesn't fit,
// but may queue.
func (dec *decider) decideFromKnown(c *call, now time.Time) (d limit.Decision, mayQueue bool) {
	ahead := dec.queue.lineBefore(c.id)
	d = dec.decideBehind(c.ask, 0, &ahead, now)
	return d, d.Verdict != limit.Granted && dec.mayQueue(c, d, &ahead, now)
}

// mayQueue reports whether a call that doesn't fit may queue, because it will fit in
// time.
func (dec *decider) mayQueue(c *call, d limit.Decision, ahead *line, now time.Time) bool {
	never := d.Verdict == limit.NeverFitsRate || d.Verdict == limit.NeverFitsQuota
	if c.ask.Shadow || c.ask.UpperBound || never || dec.closing || dec.draining {
		return false
	}
	after, _ := dec.fitsAfter(ahead.amount+d.Min, now)
	return ahead.hasRoomFor(c, max(after, d.RetryAfter), now)
}

// firstFits reports whether the first queued call without a claim fits, as far as is
// known.
func (dec *decider) firstFits(now time.Time) bool {
	for i := range dec.queue.calls {
		if c := &dec.queue.calls[i]; !c.claimed {
			return dec.known.view.Decide(&dec.holder, c.ask, now).Verdict == limit.Granted
		}
	}
	return false
}

// answerTo answers a question from what is known.
func (dec *decider) answerTo(q question, now time.Time) Answer {
	if q.call == nil {
		return Answer{ID: q.id, Decision: limit.Decision{Standing: dec.standing(now)}}
	}
	d, mayQueue := dec.decideFromKnown(q.call, now)
	if d.Verdict != limit.Granted && (dec.holder.inFlight.givesBack() || len(dec.holder.reports.pending.refunds) > 0) {
		return Answer{ID: q.id, Decision: limit.Decision{Min: d.Min, Standing: d.Standing}} // it may fit once that is applied
	}
	return Answer{ID: q.id, Decision: d, MayQueue: mayQueue}
}

// overdueCalls finds the queued calls whose time is over and which don't fit, as far
// as is known: their outlook is doesNotFit. It returns nil if no call's time is over.
func (dec *decider) overdueCalls(sending bool, now time.Time) []prospect {
	if !dec.queue.hasOverdue(sending, now) {
		return nil
	}
	var ahead line  // of calls that don't fit
	var taken int64 // by calls that fit
	all := make([]prospect, len(dec.queue.calls))
	for i := range dec.queue.calls {
		c := &dec.queue.calls[i]
		d := dec.decideBehind(c.ask, taken, &ahead, now)
		switch fits := d.Verdict == limit.Granted; {
		case !fits && c.overdue(sending, now):
			all[i] = prospect{outlook: doesNotFit, decision: d}
		case c.claimedOrBlocked():
		case fits:
			taken += d.Amount
		default:
			ahead.add(c, d.Min)
		}
	}
	return all
}

// parkedCalls finds the parked calls that still don't fit: their outlook is
// doesNotFit.
func (dec *decider) parkedCalls(now time.Time) []prospect {
	var ahead line  // of calls that don't fit
	var taken int64 // by calls that fit
	all := make([]prospect, len(dec.queue.calls))
	for i := range dec.queue.calls {
		c := &dec.queue.calls[i]
		if c.claimed {
			continue
		}
		d := dec.decideBehind(c.ask, taken, &ahead, now)
		if d.Verdict == limit.Granted {
			taken += d.Amount
			continue
		}
		ahead.add(c, d.Min)
		if c.parked {
			all[i] = prospect{outlook: doesNotFit, decision: d}
		}
	}
	return all
}

// A ruling is the decision of all queued calls together, for a write that is being
// built.
type ruling struct {
	prospects  []prospect
	granted    int64 // by calls that fit, in all
	needsWrite bool  // one of them has no claim yet, so the write is needed
}

// decideQueue decides the queued calls in order, by a draft. Once a call doesn't fit, the
// calls behind it have to wait for it. known is false if a call doesn't fit and the row is
// too old to refuse it.
func (dec *decider) decideQueue(draft *Draft, now time.Time) (r ruling, known bool) {
	var ahead line
	var claims int64       // of joint calls ahead
	behindBlocked := false // a call ahead is blocked
	r.prospects = make([]prospect, len(dec.queue.calls))
	for i := range dec.queue.calls {
		c, p := &dec.queue.calls[i], &r.prospects[i]
		if ahead.calls == 0 {
			*p = draft.decideUnlessBlocked(c.ask, r.granted, claims, behindBlocked)
		} else {
			*p = prospect{outlook: doesNotFit, decision: dec.decideBehind(c.ask, 0, &ahead, now)}
		}
		switch {
		case p.outlook == blocked:
			behindBlocked = true
		case p.outlook == fitsNow:
			r.needsWrite, r.granted = r.needsWrite || !c.claimed, r.granted+p.decision.Amount
			if c.joint {
				claims += p.decision.Amount
			}
		case !dec.known.servesRefusals(now):
			return ruling{}, false
		case dec.mayQueue(c, p.decision, &ahead, now):
			p.outlook = fitsLater
			ahead.add(c, p.decision.Min)
		}
	}
	return r, true
}

// decideUnlessBlocked decides a queued call by the draft, if the calls ahead of it are
// granted an amount, of which joint calls claim a part. These may give their claims back,
// so a call that fits without the claims is blocked instead of refused. No call overtakes
// a blocked one: behind it, a call that fits is blocked too.
func (d *Draft) decideUnlessBlocked(ask limit.Ask, granted, claims int64, behindBlocked bool) prospect {
	if behindBlocked {
		granted -= claims
		claims = 0
	}
	decision := d.decideBeside(ask, granted)
	switch fits := decision.Verdict == limit.Granted; {
	case fits && !behindBlocked:
		return prospect{outlook: fitsNow, decision: decision}
	case fits || d.decideBeside(ask, granted-claims).Verdict == limit.Granted:
		return prospect{outlook: blocked, decision: decision}
	}
	return prospect{outlook: doesNotFit, decision: decision}
}

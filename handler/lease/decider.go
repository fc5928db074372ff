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
func (j *decider) decideNew(at Moment, c *call) prospect {
	switch {
	case j.leaseCovers(c.ask.Amount, at.Time):
		return prospect{outlook: fitsNow, decision: limit.Decision{Amount: c.ask.Amount}}
	case j.health.bypass(at):
		return j.decideWithoutStore(c, at.Time)
	case !j.refusal.holds(at.Time) || j.mustWait():
		return prospect{}
	}
	switch d, parks := j.decideFromKnown(c, at.Time); {
	case d.Verdict == limit.Granted: // a write must lease it
		return prospect{}
	case parks:
		return prospect{outlook: fitsLater, decision: d}
	default:
		return prospect{outlook: doesNotFit, decision: d}
	}
}

// decideWithoutStore decides a call by its terms for when the store is down.
func (j *decider) decideWithoutStore(c *call, now time.Time) prospect {
	switch {
	case c.onDown == limit.FailOpen || c.ask.Shadow:
		return prospect{outlook: fitsNow, decision: limit.Decision{Amount: c.ask.Amount}, withoutStore: true}
	case c.onDown != limit.Degrade:
		return prospect{outlook: undecidable, withoutStore: true}
	}
	d := j.decideByShare(c.ask, now)
	if d.Verdict != limit.Granted {
		return prospect{outlook: doesNotFit, decision: d, withoutStore: true}
	}
	return prospect{outlook: fitsNow, decision: d, withoutStore: true}
}

// leaseCovers reports whether the lease has this much that no call has claimed, and
// no call queues for it.
func (j *decider) leaseCovers(amount int64, now time.Time) bool {
	claims, all := j.queue.claims()
	return all && j.holder.lease.usable(now) && amount <= j.holder.Left(now)-claims
}

// mustWait reports whether a call must wait for its decision even while a refusal
// holds: other calls are undecided, or a write in flight gives something back.
func (j *decider) mustWait() bool { return j.queue.hasUndecided() || j.holder.inFlight.givesBack() }

// decideFromKnown decides a call from what is known, behind the calls parked before
// it, and as if all claims were given back. parks reports that the call doesn't fit,
// but may queue.
func (j *decider) decideFromKnown(c *call, now time.Time) (d limit.Decision, parks bool) {
	ahead := j.queue.lineBefore(c.id)
	d = j.decideBehind(c.ask, &ahead, now)
	return d, d.Verdict != limit.Granted && j.mayQueue(c, d, &ahead, now)
}

// mayQueue reports whether a call that doesn't fit may queue, because it will fit in
// time.
func (j *decider) mayQueue(c *call, d limit.Decision, ahead *line, now time.Time) bool {
	never := d.Verdict == limit.NeverFitsRate || d.Verdict == limit.NeverFitsQuota
	if c.ask.Shadow || c.ask.UpperBound || never || j.closing || j.draining {
		return false
	}
	after, _ := j.fitsAfter(ahead.amount+d.Min, now)
	return ahead.hasRoomFor(c, max(after, d.RetryAfter), now)
}

// firstFits reports whether the first queued call without a claim fits, as far as is
// known.
func (j *decider) firstFits(now time.Time) bool {
	for i := range j.queue.calls {
		if c := &j.queue.calls[i]; !c.claimed {
			return j.known.view.Decide(&j.holder, c.ask, now).Verdict == limit.Granted
		}
	}
	return false
}

// answerTo answers a question from what is known.
func (j *decider) answerTo(q question, now time.Time) Answer {
	if q.call == nil {
		return Answer{ID: q.id, Decision: limit.Decision{Standing: j.standing(now)}}
	}
	d, parks := j.decideFromKnown(q.call, now)
	if d.Verdict != limit.Granted && (j.holder.inFlight.givesBack() || len(j.holder.reports.pending.refunds) > 0) {
		return Answer{ID: q.id, Decision: limit.Decision{Min: d.Min, Standing: d.Standing}} // it may fit once that is applied
	}
	return Answer{ID: q.id, Decision: d, MayQueue: parks}
}

// overdueCalls finds the queued calls whose time is over and which don't fit, as far
// as is known: their outlook is doesNotFit. It returns nil if no call's time is over.
func (j *decider) overdueCalls(sending bool, now time.Time) []prospect {
	if !j.queue.hasOverdue(sending, now) {
		return nil
	}
	var ahead line
	all := make([]prospect, len(j.queue.calls))
	for i := range j.queue.calls {
		c := &j.queue.calls[i]
		d := j.decideBehind(c.ask, &ahead, now)
		if c.overdue(sending, now) && d.Verdict != limit.Granted {
			all[i] = prospect{outlook: doesNotFit, decision: d}
		} else if !c.claimedOrBlocked() {
			ahead.add(c, d.Min)
		}
	}
	return all
}

// parkedCalls finds the parked calls that still don't fit: their outlook is
// doesNotFit.
func (j *decider) parkedCalls(now time.Time) []prospect {
	var ahead line
	all := make([]prospect, len(j.queue.calls))
	for i := range j.queue.calls {
		c := &j.queue.calls[i]
		d := j.decideBehind(c.ask, &ahead, now)
		if c.claimed {
			continue
		}
		ahead.add(c, d.Min)
		if c.parked && d.Verdict != limit.Granted {
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

// decideQueue decides the queued calls in order, by a draft. Only the first call that
// doesn't fit is decided by the row itself; the calls behind it also have to wait for
// it. Joint calls may give their claims back, so a call that would fit without the
// claims ahead of it is blocked instead of refused, and no call overtakes it. known is
// false if a call must be refused and the row is too old for that.
func (j *decider) decideQueue(draft *Draft, now time.Time) (r ruling, known bool) {
	var ahead line
	var claims int64 // of joint calls ahead
	stuck := false   // a call ahead is blocked
	r.prospects = make([]prospect, len(j.queue.calls))
	for i := range j.queue.calls {
		c, p := &j.queue.calls[i], &r.prospects[i]
		first := ahead.calls == 0
		switch {
		case !first:
			p.decision = j.decideBehind(c.ask, &ahead, now)
		case stuck:
			p.decision = draft.decideBeside(c.ask, r.granted-claims)
		default:
			p.decision = draft.decideBeside(c.ask, r.granted)
		}
		granted := p.decision.Verdict == limit.Granted
		switch {
		case first && (granted && stuck || !granted && draft.decideBeside(c.ask, r.granted-claims).Verdict == limit.Granted):
			p.outlook, stuck = blocked, true
		case first && granted:
			p.outlook = fitsNow
			r.needsWrite, r.granted = r.needsWrite || !c.claimed, r.granted+p.decision.Amount
			if c.joint {
				claims += p.decision.Amount
			}
		case !j.known.servesRefusals(now):
			return ruling{}, false
		case j.mayQueue(c, p.decision, &ahead, now):
			p.outlook = fitsLater
			ahead.add(c, p.decision.Min)
		default:
			p.outlook = doesNotFit
		}
	}
	return r, true
}

package lease

import (
	"time"

	"tollgate/handler/limit"
)

// Terms are the rules by which a call is decided.
type Terms struct {
	limit.Limits
	OnStoreDown limit.StoreDown // how the call is decided while the store is down
	// MaxWait is how long the call may queue before it is refused; 0: it does not
	// queue. MaxWait and OnStoreDown apply to this call alone, and need no newer
	// Version.
	MaxWait time.Duration
	// AlertAt lists the percents of the quota, from 1 to 100 and ascending, for which
	// there is an Alert once a period.
	AlertAt []int
}

// An Answer is the decision of a call, or the answer to a question.
type Answer struct {
	ID       int64 // of the call or question
	Decision limit.Decision
	Hold     Hold
	Held     bool // the call goes on, and has Hold
	Down     bool // nothing could be decided: the store can't be used
	MayQueue bool // a refused part of a JointCall would fit in time, so it may queue
	// DecideAgain: nothing is decided, but what the JointCall may take has changed, so
	// its Decide must be called.
	DecideAgain bool
}

// News are the results of events other than the next step.
type News struct {
	Answers   []Answer // to queued calls and questions
	Repaired  bool     // the row was edited, or written by a clock far ahead, and is replaced
	Unusable  bool     // from now on, calls are decided as if the store were down
	Full      bool     // Unusable, because the row has no room for another instance
	Alert     Alert    // to pass on
	Forfeited Forfeit  // by dead instances, in a write that was applied
	Unknown   int64    // amount in a write of which nobody will ever know whether it was applied
}

// An Alert says that this percent of a counter's quota is used. Once a period, the
// instance whose write reached the percent gets the Alert; if a write reaches several
// percents, the Alert is for the highest. It is lost if the instance ends before it
// knows that the write was applied.
type Alert struct {
	Percent  int // 0: there is no alert
	Standing limit.Standing
}

// An admitter carries out what a decider decides: it grants calls an amount of the
// lease or of this instance's share, queues them for a write, or refuses them.
type admitter struct {
	decider
	schedule schedule
	news     News
}

// Reserve decides a call from what this instance holds and knows. If decided is
// false, an Answer with the id follows; later ids are later in the queue. A call
// over the limit has a decision and no hold, unless it is in shadow: then its hold is
// charged to no limit.
func (a *admitter) Reserve(at Moment, id int64, terms Terms, ask limit.Ask) (answer Answer, decided bool) {
	a.noteCall(at, &terms, ask)
	c := call{id: id, ask: ask, onDown: terms.OnStoreDown, arrived: at.Time, maxWait: terms.MaxWait}
	p := a.decideNew(at, &c)
	a.noteWithoutStore(at, &p)
	if p.outlook == unknown || p.outlook == fitsLater {
		c.parked = p.outlook == fitsLater
		a.enqueue(c, at.Time)
		return Answer{}, false
	}
	return a.conclude(&c, &p, at.Time), true
}

// noteCall records the terms and the demand of a new call.
func (a *admitter) noteCall(at Moment, terms *Terms, ask limit.Ask) {
	a.adopt(at, terms.Limits)
	a.alertAt = terms.AlertAt
	if most := a.limits.MaxGrant(ask); most > 0 {
		a.size.demand.addCall(most, at.Time)
	}
}

// noteWithoutStore begins the minute's share and probes the store, if a call is
// decided without it.
func (a *admitter) noteWithoutStore(at Moment, p *prospect) {
	if p.withoutStore {
		a.share = a.shareAt(at.Time)
		a.health.probe(at)
	}
}

// conclude answers a call by its prospect: it is granted what that says, or refused.
func (a *admitter) conclude(c *call, p *prospect, now time.Time) Answer {
	switch {
	case p.outlook == undecidable:
		return Answer{ID: c.id, Down: true}
	case p.decision.Verdict != limit.Granted:
		return a.refuse(c, p.decision)
	case p.withoutStore:
		return a.grantWithoutStore(c, p.decision.Amount, now)
	}
	return a.grant(c, p.decision.Amount, now)
}

// enqueue puts a call in the queue.
func (a *admitter) enqueue(c call, now time.Time) {
	a.schedule.lastCall = now
	a.queue.add(c)
}

// adopt replaces older limits by newer ones. Calls that the older ones refused are
// decided again, and the share without the store changes.
func (a *admitter) adopt(at Moment, limits limit.Limits) {
	if limits.Version <= a.limits.Version && a.limits != (limit.Limits{}) {
		return
	}
	a.limits = limits
	a.refusal.forget()
	if a.known.everRead() {
		a.known.view = a.known.row.View(&a.holder, limits, at.Time)
	}
	if a.share.current(at.Time) {
		a.share.allowed = a.allowance(&a.share, at.Time)
	}
	a.retry(at.Time)
}

// grant lets a call reserve this much of the lease.
func (a *admitter) grant(c *call, amount int64, now time.Time) Answer {
	hold, _ := a.holder.Reserve(amount, now)
	a.openCalls++
	a.touch(now)
	if a.size.low(a.holder.Left(now)) && !a.refusal.holds(now) {
		a.schedule.next.renew = true
	}
	return Answer{ID: c.id, Hold: hold, Held: true,
		Decision: limit.Decision{Amount: hold.Amount, Min: c.ask.Needed(), Standing: a.known.view.Standing(&a.holder, now)}}
}

// grantWithoutStore admits a call without the store. The call is charged once it is
// settled and the store is back.
func (a *admitter) grantWithoutStore(c *call, amount int64, now time.Time) Answer {
	a.openCalls++
	return Answer{ID: c.id, Hold: a.share.admit(amount), Held: true,
		Decision: limit.Decision{Amount: amount, Min: c.ask.Needed(), Degraded: true, Standing: a.standing(now)}}
}

// refuse returns the answer to a refused call. In shadow the call goes on.
func (a *admitter) refuse(c *call, d limit.Decision) Answer {
	answer := Answer{ID: c.id, Decision: d}
	if c.ask.Shadow && !c.ask.UpperBound {
		a.openCalls++
		answer.Hold, answer.Held = Hold{uncharged: true}, true
	}
	return answer
}

// refuseQueued answers a queued call with a refusal.
func (a *admitter) refuseQueued(c *call, d limit.Decision) {
	if c.joint {
		a.answer(Answer{ID: c.id, Decision: d})
		return
	}
	a.answer(a.refuse(c, d))
}

// park lets a queued call wait until it fits.
func (a *admitter) park(c *call, now time.Time) {
	if c.joint && !c.parked {
		a.answer(Answer{ID: c.id, DecideAgain: true})
	}
	c.parked = true
	if now.Before(c.arrived) { // the store's first answer set the clock back
		c.arrived = now
	}
}

// dropRefused refuses the queued calls whose prospect is doesNotFit, and keeps the
// others. all has a prospect for each queued call.
func (a *admitter) dropRefused(all []prospect) {
	if !has(all, doesNotFit) {
		return
	}
	kept := a.queue.calls[:0:0]
	for i := range all {
		if c := &a.queue.calls[i]; all[i].outlook == doesNotFit {
			a.refuseQueued(c, all[i].decision)
		} else {
			kept = append(kept, *c)
		}
	}
	a.queue.calls = kept
}

// touch records that a call began or ended.
func (a *admitter) touch(now time.Time) { a.schedule.touch(a.holder.mustReport(), now) }

// Leave takes a call or question whose caller has left out of the queue. It reports
// whether it was there; if not, its Answer has been given. What a write in flight
// leases for the call becomes ordinary lease. Where the amount is scarce, what the
// call had claimed is returned unless another call takes it: if the call was refused
// by another counter, this instance would keep it from calls elsewhere that fit.
func (a *admitter) Leave(at Moment, id int64) bool {
	c := a.queue.find(id)
	unused := c != nil && (c.claimed || c.granted > 0)
	waited := a.queue.remove(id)
	a.retry(at.Time)
	a.schedule.next.unused = a.schedule.next.unused || unused && a.size.scarce
	return waited
}

// retry has the queued calls decided again after an amount came back, limits grew, or
// a call left or took its claim: at once, if the first of them would fit.
func (a *admitter) retry(now time.Time) {
	if len(a.queue.calls) == 0 {
		return
	}
	if a.firstFits(now) {
		a.refusal.forget()
	}
	for i := range a.queue.calls {
		a.queue.calls[i].blocked = false
	}
	a.serveFromLease(now)
}

// serveFromLease gives queued calls the amounts that divideLease finds for them. A joint call
// claims its amount, and stays queued.
func (a *admitter) serveFromLease(now time.Time) {
	amounts := a.divideLease(now)
	kept := a.queue.calls[:0]
	for i, c := range a.queue.calls {
		switch {
		case i >= len(amounts):
			c.claimed, c.claim = false, 0
		case c.joint:
			if !c.claimed {
				a.answer(Answer{ID: c.id, DecideAgain: true})
			}
			c.claimed, c.claim, c.blocked, c.parked = true, amounts[i], false, false
		default:
			a.answer(a.grant(&c, amounts[i], now))
			continue
		}
		kept = append(kept, c)
	}
	a.queue.calls = kept
}

// answer adds an Answer to the News.
func (a *admitter) answer(answer Answer) { a.news.Answers = append(a.news.Answers, answer) }

// failWaiters answers all queued calls and questions without the store.
func (a *admitter) failWaiters(now time.Time) {
	waiting := a.queue
	a.queue = queue{}
	for i := range waiting.calls {
		c := &waiting.calls[i]
		if c.joint {
			a.answer(Answer{ID: c.id, DecideAgain: true})
			continue
		}
		found := a.decideWithoutStore(c, now)
		a.share = a.shareAt(now)
		a.answer(a.conclude(c, &found, now))
	}
	for _, q := range waiting.questions {
		switch {
		case q.call != nil:
			a.answer(Answer{ID: q.id, DecideAgain: true})
		case a.known.everRead():
			a.answer(a.answerTo(q, now))
		default:
			a.answer(Answer{ID: q.id, Down: true})
		}
	}
}

// Drain refuses all parked calls, and lets none park from now on. Parked calls that
// would fit by now stay queued, to be decided at once. Other calls are decided as
// before.
func (a *admitter) Drain(at Moment) {
	a.draining = true
	a.dropRefused(a.parkedCalls(at.Time))
	for i := range a.queue.calls {
		a.queue.calls[i].parked = false
	}
}

package lease

import (
	"time"

	"tollgate/handler/limit"
)

// Terms are the rules by which a call is decided.
type Terms struct {
	limit.Limits
	OnStoreDown limit.StoreDown
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
func (k *admitter) Reserve(at Moment, id int64, terms Terms, ask limit.Ask) (answer Answer, decided bool) {
	k.noteCall(at, &terms, ask)
	c := call{id: id, ask: ask, onDown: terms.OnStoreDown, arrived: at.Time, maxWait: terms.MaxWait}
	found := k.decideNew(at, &c)
	k.noteWithoutStore(at, &found)
	if found.outlook == unknown || found.outlook == fitsLater {
		c.parked = found.outlook == fitsLater
		k.enqueue(c, at.Time)
		return Answer{}, false
	}
	return k.conclude(&c, &found, at.Time), true
}

// noteCall records the terms and the demand of a new call.
func (k *admitter) noteCall(at Moment, terms *Terms, ask limit.Ask) {
	k.adopt(at, terms.Limits)
	k.alertAt = terms.AlertAt
	if most := k.limits.MaxGrant(ask); most > 0 {
		k.size.demand.AddCall(most, at.Time)
	}
}

// noteWithoutStore begins the minute's share and probes the store, if a call is
// decided without it.
func (k *admitter) noteWithoutStore(at Moment, found *prospect) {
	if found.withoutStore {
		k.share = k.shareAt(at.Time)
		k.health.probe(at)
	}
}

// conclude answers a call by its prospect: it is granted what that says, or refused.
func (k *admitter) conclude(c *call, found *prospect, now time.Time) Answer {
	switch {
	case found.outlook == undecidable:
		return Answer{ID: c.id, Down: true}
	case found.decision.Verdict != limit.Granted:
		return k.refuse(c, found.decision)
	case found.withoutStore:
		return k.grantWithoutStore(c, found.decision.Amount, now)
	}
	return k.grant(c, found.decision.Amount, now)
}

// enqueue puts a call in the queue.
func (k *admitter) enqueue(c call, now time.Time) {
	k.schedule.lastCall = now
	k.queue.add(c)
}

// adopt replaces older limits by newer ones. Calls that the older ones refused are
// decided again, and the share without the store changes.
func (k *admitter) adopt(at Moment, limits limit.Limits) {
	if limits.Version <= k.limits.Version && k.limits != (limit.Limits{}) {
		return
	}
	k.limits = limits
	k.refusal.forget()
	if k.known.everRead() {
		k.known.view = k.known.row.View(&k.holder, limits, at.Time)
	}
	if k.share.current(at.Time) {
		k.share.allowed = k.allowance(&k.share, at.Time)
	}
	k.retry(at.Time)
}

// grant lets a call reserve this much of the lease.
func (k *admitter) grant(c *call, amount int64, now time.Time) Answer {
	hold, _ := k.holder.Reserve(amount, now)
	k.openCalls++
	k.touch(now)
	if k.size.low(k.holder.Left(now)) && !k.refusal.holds(now) {
		k.schedule.next.renew = true
	}
	return Answer{ID: c.id, Hold: hold, Held: true,
		Decision: limit.Decision{Amount: hold.Amount, Min: c.ask.Needed(), Standing: k.known.view.Standing(&k.holder, now)}}
}

// grantWithoutStore admits a call without the store. The call is charged once it is
// settled and the store is back.
func (k *admitter) grantWithoutStore(c *call, amount int64, now time.Time) Answer {
	k.openCalls++
	return Answer{ID: c.id, Hold: k.share.admit(amount), Held: true,
		Decision: limit.Decision{Amount: amount, Min: c.ask.Needed(), Degraded: true, Standing: k.standing(now)}}
}

// refuse returns the answer to a refused call. In shadow the call goes on.
func (k *admitter) refuse(c *call, d limit.Decision) Answer {
	answer := Answer{ID: c.id, Decision: d}
	if c.ask.Shadow && !c.ask.UpperBound {
		k.openCalls++
		answer.Hold, answer.Held = Hold{uncharged: true}, true
	}
	return answer
}

// refuseQueued answers a queued call with a refusal.
func (k *admitter) refuseQueued(c *call, d limit.Decision) {
	if c.joint {
		k.answer(Answer{ID: c.id, Decision: d})
		return
	}
	k.answer(k.refuse(c, d))
}

// park lets a queued call wait until it fits.
func (k *admitter) park(c *call, now time.Time) {
	if c.joint && !c.parked {
		k.answer(Answer{ID: c.id, DecideAgain: true})
	}
	c.parked = true
	if now.Before(c.arrived) { // the store's first answer set the clock back
		c.arrived = now
	}
}

// dropRefused refuses the queued calls whose prospect is doesNotFit, and keeps the
// others. all has a prospect for each queued call.
func (k *admitter) dropRefused(all []prospect) {
	if !has(all, doesNotFit) {
		return
	}
	kept := k.queue.calls[:0:0]
	for i := range all {
		if c := &k.queue.calls[i]; all[i].outlook == doesNotFit {
			k.refuseQueued(c, all[i].decision)
		} else {
			kept = append(kept, *c)
		}
	}
	k.queue.calls = kept
}

// touch records that a call began or ended.
func (k *admitter) touch(now time.Time) { k.schedule.touch(k.holder.MustReport(), now) }

// Leave takes a call or question whose caller has left out of the queue. It reports
// whether it was there; if not, its Answer has been given. What a write in flight
// leases for the call becomes ordinary lease. Where the amount is scarce, what the
// call had claimed is returned unless another call takes it: if the call was refused
// by another counter, this instance would keep it from calls elsewhere that fit.
func (k *admitter) Leave(at Moment, id int64) bool {
	c := k.queue.find(id)
	unused := c != nil && (c.claimed || c.granted > 0)
	waited := k.queue.remove(id)
	k.retry(at.Time)
	k.schedule.next.unused = k.schedule.next.unused || unused && k.size.scarce
	return waited
}

// retry has the queued calls decided again after an amount came back, limits grew, or
// a call left or took its claim: at once, if the first of them would fit.
func (k *admitter) retry(now time.Time) {
	if len(k.queue.calls) == 0 {
		return
	}
	if k.firstFits(now) {
		k.refusal.forget()
	}
	for i := range k.queue.calls {
		k.queue.calls[i].blocked = false
	}
	k.serveFromLease(now)
}

// serveFromLease grants queued calls amounts of the lease, in order, until one doesn't
// fit. A joint call claims its amount, and stays queued.
func (k *admitter) serveFromLease(now time.Time) {
	left := int64(-1)
	if k.holder.lease.usable(now) {
		left = k.holder.lease.left
	}
	kept := k.queue.calls[:0]
	for _, c := range k.queue.calls {
		amount, fits := c.amountFrom(left)
		switch {
		case !fits:
			left, c.claimed, c.claim = -1, false, 0
		case c.joint:
			left -= amount
			if !c.claimed {
				k.answer(Answer{ID: c.id, DecideAgain: true})
			}
			c.claimed, c.claim, c.blocked, c.parked = true, amount, false, false
		default:
			left -= amount
			k.answer(k.grant(&c, amount, now))
			continue
		}
		kept = append(kept, c)
	}
	k.queue.calls = kept
}

func (k *admitter) answer(a Answer) { k.news.Answers = append(k.news.Answers, a) }

// failWaiters answers all queued calls and questions without the store.
func (k *admitter) failWaiters(now time.Time) {
	waiting := k.queue
	k.queue = queue{}
	for i := range waiting.calls {
		c := &waiting.calls[i]
		if c.joint {
			k.answer(Answer{ID: c.id, DecideAgain: true})
			continue
		}
		found := k.decideWithoutStore(c, now)
		k.share = k.shareAt(now)
		k.answer(k.conclude(c, &found, now))
	}
	for _, q := range waiting.questions {
		switch {
		case q.call != nil:
			k.answer(Answer{ID: q.id, DecideAgain: true})
		case k.known.everRead():
			k.answer(k.answerTo(q, now))
		default:
			k.answer(Answer{ID: q.id, Down: true})
		}
	}
}

// Drain refuses all parked calls, and lets none park from now on. Parked calls that
// would fit by now stay queued, to be decided at once. Other calls are decided as
// before.
func (k *admitter) Drain(at Moment) {
	k.draining = true
	k.dropRefused(k.parkedCalls(at.Time))
	for i := range k.queue.calls {
		k.queue.calls[i].parked = false
	}
}

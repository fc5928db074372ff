package lease

import (
	"time"

	"tollgate/handler/limit"
)

// Terms are the rules by which a call is decided.
type Terms struct {
	limit.Limits
	OnStoreDown limit.StoreDown
	// MaxWait is the time that the call may queue before it is
	// refused; 0: it does not queue. MaxWait and OnStoreDown are the call's own:
	// they need no newer Version.
	MaxWait time.Duration
	// AlertAt is the percents of the quota, from 1 to 100 and ascending, that are
	// told once a period.
	AlertAt []int
}

// An Answer is the decision of a call, or the standing that was asked for.
type Answer struct {
	ID       int64 // of the call or question
	Decision limit.Decision
	Hold     Hold
	Held     bool // the call goes on, with Hold
	Down     bool // nothing could be decided: the store can't be reached
	Parks    bool // a refused call would fit in time: it may queue
	// Again: nothing is decided, but a Joint must be: what it may take has
	// changed.
	Again bool
}

// News is what came of events beside the next step.
type News struct {
	Answers   []Answer // to those that waited
	Repaired  bool     // the row was edited, or written by a clock far ahead
	Unusable  bool     // from now on, calls are decided as if the store were down
	Full      bool     // because it has no room for another instance
	Alert     Alert    // to be told
	Forfeited int64    // amount of leases of dead instances, reclaimed by a write that was applied
	Unknown   int64    // amount charged by a write whose outcome will never be known
}

// An Alert tells that this percent of a counter's quota is used. Of all instances,
// the one whose write reached it has the Alert, once a period; if a write reaches
// several percents, that is the highest. It is lost if the instance ends before it
// knows that the write was applied.
type Alert struct {
	Percent  int // 0: there is none
	Standing limit.Standing
}

// A desk decides calls by an account: at once from the lease, from what is
// known, by this instance's share while the store is down, or after a write
// for which they wait in a queue.
type desk struct {
	account
	queue    queue
	refusal  refusal
	schedule schedule
	trouble  trouble
	draining bool // no call may queue any more
	closing  bool // this instance is stopping
	news     News
}

// Reserve decides a call from what this instance holds and knows; else an
// Answer with its id follows. Over the limit is a decision: then there is no
// hold, except for a call in shadow, which gets one that is charged to no
// limit.
func (k *desk) Reserve(at Moment, id int64, terms Terms, ask limit.Ask) (answer Answer, decided bool) {
	k.adopt(at, terms.Limits)
	k.alertAt = terms.AlertAt
	if most := k.limits.MaxGrant(ask); most > 0 {
		k.size.demand.AddCall(most, at.Time)
	}
	if k.inHand(ask.Amount, at.Time) {
		hold, _ := k.holder.Reserve(ask.Amount, at.Time)
		return k.grant(id, hold, ask, at.Time), true
	}
	if k.trouble.bypass(at) {
		k.trouble.probe(at)
		return k.withoutStore(id, ask, terms.OnStoreDown, at.Time), true
	}
	c := call{id: id, ask: ask, onDown: terms.OnStoreDown, begun: at.Time, wait: terms.MaxWait}
	if k.refusal.holds(at.Time) && !k.unsettled() {
		d, parks := k.judge(&c, at.Time)
		if d.Verdict != limit.Granted && !parks {
			return k.refuse(id, ask, d), true
		}
		c.parked = parks
	}
	k.enter(c, at.Time)
	return Answer{}, false
}

// inHand reports whether the lease has this much that is not set aside, and
// nobody queues for it.
func (k *desk) inHand(amount int64, now time.Time) bool {
	claims, all := k.queue.claims()
	return all && k.holder.hand.usable(now) && amount <= k.holder.Left(now)-claims
}

// enter puts a call in the queue.
func (k *desk) enter(c call, now time.Time) {
	k.schedule.lastCall = now
	k.queue.add(c)
}

// unsettled reports whether a call must wait for its decision even while a
// refusal holds: others are undecided, or a write is under way that gives
// something back.
func (k *desk) unsettled() bool { return k.queue.undecided() || k.holder.flight.givesBack() }

// judge decides a call from what is known, behind those parked before it, and as
// if all claims were given back. parks: it doesn't fit, but may queue.
func (k *desk) judge(c *call, now time.Time) (d limit.Decision, parks bool) {
	ahead := k.queue.lineBefore(c.id)
	d = k.decideBehind(c.ask, &ahead, now)
	return d, d.Verdict != limit.Granted && k.parks(c, d, &ahead, now)
}

// parks reports whether a refused call queues, because it will fit in time.
func (k *desk) parks(c *call, d limit.Decision, ahead *line, now time.Time) bool {
	never := d.Verdict == limit.NeverFitsRate || d.Verdict == limit.NeverFitsQuota
	if c.ask.Shadow || c.ask.UpperBound || never || k.closing || k.draining {
		return false
	}
	after, _ := k.fitsAfter(ahead.amount+d.Least, now)
	return ahead.takes(c, max(after, d.RetryAfter), now)
}

// adopt takes newer limits. Calls refused under older ones are tried again,
// and a store that is down leaves another share.
func (k *desk) adopt(at Moment, limits limit.Limits) {
	if limits.Version <= k.limits.Version && k.limits != (limit.Limits{}) {
		return
	}
	k.limits = limits
	k.refusal.forget()
	if k.known.ever() {
		k.known.view = k.known.row.View(&k.holder, limits, at.Time)
	}
	if k.share.of(at.Time) {
		k.share.allowed = k.allowance(at.Time)
	}
	k.retry(at.Time)
}

// grant makes the answer to a call that reserved of the lease.
func (k *desk) grant(id int64, hold Hold, ask limit.Ask, now time.Time) Answer {
	k.open++
	k.touch(now)
	if k.size.low(k.holder.Left(now)) && !k.refusal.holds(now) {
		k.schedule.next.renew = true
	}
	return Answer{ID: id, Hold: hold, Held: true,
		Decision: limit.Decision{Amount: hold.Amount, Least: ask.Needed(), Standing: k.known.view.Standing(&k.holder, now)}}
}

// turnDown answers a call that was in the queue and is refused.
func (k *desk) turnDown(c *call, d limit.Decision) {
	if c.joint {
		k.answer(Answer{ID: c.id, Decision: d})
		return
	}
	k.answer(k.refuse(c.id, c.ask, d))
}

// refuse makes the answer to a refused call. In shadow the call goes on.
func (k *desk) refuse(id int64, ask limit.Ask, d limit.Decision) Answer {
	answer := Answer{ID: id, Decision: d}
	if ask.Shadow && !ask.UpperBound {
		k.open++
		answer.Hold, answer.Held = Hold{free: true}, true
	}
	return answer
}

// withoutStore decides a call by its terms for a store that is down. An
// admitted call is owed: it is charged when it is settled and the store is
// back.
func (k *desk) withoutStore(id int64, ask limit.Ask, onDown limit.StoreDown, now time.Time) Answer {
	k.beginShare(now)
	amount := ask.Amount
	switch {
	case onDown == limit.FailOpen || ask.Shadow:
	case onDown == limit.Degrade:
		d := k.decideByShare(ask, now)
		if d.Verdict != limit.Granted {
			return k.refuse(id, ask, d)
		}
		amount = d.Amount
	default:
		return Answer{ID: id, Down: true}
	}
	k.open++
	return Answer{ID: id, Hold: k.share.admit(amount), Held: true,
		Decision: limit.Decision{Amount: amount, Least: ask.Needed(), Degraded: true, Standing: k.standing(now)}}
}

// touch records that a call began or ended.
func (k *desk) touch(now time.Time) { k.schedule.touch(k.holder.MustReport(), now) }

// Leave takes a call or question whose caller has left out of the queue, and
// reports whether it was there; else its Answer has been given. What a
// write under way gets for it become ordinary lease.
func (k *desk) Leave(at Moment, id int64) bool {
	waited := k.queue.remove(id)
	k.retry(at.Time)
	return waited
}

// retry decides queued calls again after something came back, limits grew, or one
// left or took what it claimed: at once if the first of them would fit.
func (k *desk) retry(now time.Time) {
	if len(k.queue.calls) == 0 {
		return
	}
	first := true
	for i := range k.queue.calls {
		c := &k.queue.calls[i]
		c.blocked = false
		if first && !c.claimed {
			first = false
			if k.known.view.Decide(&k.holder, c.ask, now).Verdict == limit.Granted {
				k.refusal.forget()
			}
		}
	}
	k.serve(now)
}

// serve gives waiting calls of the lease, in order, until one doesn't fit. A
// joint call claims what it gets, and stays.
func (k *desk) serve(now time.Time) {
	left := int64(-1)
	if k.holder.hand.usable(now) {
		left = k.holder.hand.left
	}
	kept := k.queue.calls[:0]
	for _, c := range k.queue.calls {
		amount, fits := c.within(left)
		switch {
		case !fits:
			left, c.claimed, c.claim = -1, false, 0
		case c.joint:
			left -= amount
			if !c.claimed {
				k.answer(Answer{ID: c.id, Again: true})
			}
			c.claimed, c.claim, c.blocked, c.parked = true, amount, false, false
		default:
			left -= amount
			hold, _ := k.holder.Reserve(amount, now)
			k.answer(k.grant(c.id, hold, c.ask, now))
			continue
		}
		kept = append(kept, c)
	}
	k.queue.calls = kept
}

func (k *desk) answer(a Answer) { k.news.Answers = append(k.news.Answers, a) }

// told makes the answer to a question.
func (k *desk) told(q question, now time.Time) Answer {
	if q.about == nil {
		return Answer{ID: q.id, Decision: limit.Decision{Standing: k.standing(now)}}
	}
	d, parks := k.judge(q.about, now)
	if d.Verdict != limit.Granted && (k.holder.flight.givesBack() || len(k.holder.out.pending.refunds) > 0) {
		return Answer{ID: q.id, Decision: limit.Decision{Least: d.Least, Standing: d.Standing}} // it may fit then
	}
	return Answer{ID: q.id, Decision: d, Parks: parks}
}

// fail answers all that wait, because the store is down.
func (k *desk) fail(now time.Time) {
	waiting := k.queue
	k.queue = queue{}
	for _, c := range waiting.calls {
		if c.joint {
			k.answer(Answer{ID: c.id, Again: true})
			continue
		}
		k.answer(k.withoutStore(c.id, c.ask, c.onDown, now))
	}
	for _, q := range waiting.questions {
		switch {
		case q.about != nil:
			k.answer(Answer{ID: q.id, Again: true})
		case k.known.ever():
			k.answer(k.told(q, now))
		default:
			k.answer(Answer{ID: q.id, Down: true})
		}
	}
}

// Drain answers all calls that queue, and lets none queue from now
// on. Other calls are decided as before. Those in the queue that would fit by
// now stay, to be decided at once.
func (k *desk) Drain(at Moment) {
	k.draining = true
	var ahead line
	kept := k.queue.calls[:0:0]
	for _, c := range k.queue.calls {
		d := k.decideBehind(c.ask, &ahead, at.Time)
		if !c.claimed {
			ahead.add(&c, d.Least)
			if c.parked && d.Verdict != limit.Granted {
				k.turnDown(&c, d)
				continue
			}
		}
		c.parked = false
		kept = append(kept, c)
	}
	k.queue.calls = kept
}

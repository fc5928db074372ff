package lease

import (
	"time"

	"tollgate/handler/limit"
)

// An outlook is what a joint call can expect of one of its counters, as far as
// this instance knows.
type outlook int

const (
	unknown outlook = iota // the store must be asked
	fits                   // it may take what it asks now
	later                  // it will fit within its time
	refused
	down // nothing can be decided
)

// A prospect is an outlook with what it rests on.
type prospect struct {
	outlook
	decision limit.Decision
}

// welcome takes notice of a new joint call: of its terms, and of what it asks.
func (k *desk) welcome(at Moment, c *call, terms Terms) {
	k.adopt(at, terms.Limits)
	k.alertAt = terms.AlertAt
	if most := k.limits.MaxGrant(c.ask); most > 0 {
		k.size.demand.AddCall(most, at.Time)
	}
}

// expect returns the prospect of a joint call that is not in the queue. It takes
// nothing.
func (k *desk) expect(at Moment, c *call) prospect {
	fitting := k.asKnown(c, at.Time)
	switch {
	case k.inHand(c.ask.Amount, at.Time):
		return prospect{fits, fitting}
	case k.trouble.bypass(at):
		k.trouble.probe(at)
		return k.expectWithoutStore(c, at.Time)
	case !k.refusal.holds(at.Time) || k.unsettled():
		return prospect{unknown, fitting}
	}
	switch d, parks := k.judge(c, at.Time); {
	case d.Verdict == limit.Granted: // a write must lease it
		return prospect{unknown, fitting}
	case parks:
		return prospect{later, d}
	default:
		return prospect{refused, d}
	}
}

// asKnown returns the decision of a call that fits as far as is known, and takes
// nothing.
func (k *desk) asKnown(c *call, now time.Time) limit.Decision {
	return limit.Decision{Least: c.ask.Needed(), Standing: k.standing(now)}
}

// expectWithoutStore is expect by the call's terms for a store that is down.
func (k *desk) expectWithoutStore(c *call, now time.Time) prospect {
	k.beginShare(now)
	switch {
	case c.onDown == limit.FailOpen || c.ask.Shadow:
	case c.onDown != limit.Degrade:
		return prospect{outlook: down}
	default:
		if d := k.decideByShare(c.ask, now); d.Verdict != limit.Granted {
			return prospect{refused, d}
		}
	}
	return prospect{fits, k.asKnown(c, now)}
}

// inQueue returns the prospect of a joint call, and whether it is in the queue.
func (k *desk) inQueue(at Moment, id int64) (p prospect, queued bool) {
	k.serve(at.Time)
	c := k.queue.of(id)
	switch {
	case c == nil:
		return prospect{}, false
	case c.claimed:
		return prospect{fits, k.asKnown(c, at.Time)}, true
	case c.parked && !c.blocked:
		d, _ := k.judge(c, at.Time)
		return prospect{later, d}, true
	}
	return prospect{unknown, k.asKnown(c, at.Time)}, true
}

// inquire asks the store how a call would be decided, without a place in the
// queue: an Answer with its id follows.
func (k *desk) inquire(c call) {
	k.queue.questions = append(k.queue.questions, question{id: c.id, times: k.known.times, about: &c})
}

// take gives a joint call what expect or inQueue says that it may take.
func (k *desk) take(at Moment, c *call) Answer {
	amount, claims := c.ask.Amount, false
	if queued := k.queue.of(c.id); queued != nil {
		amount, claims = queued.claim, queued.claimed
		k.queue.remove(c.id)
	}
	if claims || k.inHand(amount, at.Time) {
		hold, _ := k.holder.Reserve(amount, at.Time)
		answer := k.grant(c.id, hold, c.ask, at.Time)
		k.retry(at.Time)
		return answer
	}
	return k.withoutStore(c.id, c.ask, c.onDown, at.Time)
}

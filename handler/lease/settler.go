package lease

import (
	"time"

	"tollgate/handler/limit"
)

// A settler changes and ends what calls hold, and has queued calls decided again when
// an amount comes back.
type settler struct{ admitter }

// Settle replaces a hold by what the call used, and returns the standing afterwards.
func (k *settler) Settle(at Moment, c Hold, used int64) limit.Standing {
	k.share.owed -= c.owed
	k.holder.Settle(c, used)
	k.share.adjust(c, used-c.counted(), at.Time)
	if excess := used - c.Held(); excess > 0 && !c.uncharged {
		k.noteExcess(excess, at.Time)
	}
	k.callEnded(at.Time)
	return k.standing(at.Time)
}

// Cancel gives the whole hold back, because the call was never made or failed.
func (k *settler) Cancel(at Moment, c Hold) limit.Standing { return k.Settle(at, c, 0) }

// Raise makes the total charge of an open call this much, at once and whatever is
// left, and returns its hold. It is for a call that may have used more than it
// reserved, before its use is known: Settle corrects or confirms the charge. A call
// that is charged as much already, or is in shadow, stays unchanged. A call that was
// decided without the store stops owing its amount: the next write charges it.
func (k *settler) Raise(at Moment, c Hold, amount int64) (Hold, limit.Standing) {
	amount = min(amount, maxOwed)
	more := amount - c.counted()
	if c.uncharged || more <= 0 {
		return c, k.standing(at.Time)
	}
	k.share.owed -= c.owed
	c.owed = 0
	c = k.holder.Raise(c, amount)
	k.share.adjust(c, more, at.Time)
	k.noteExcess(more, at.Time)
	k.touch(at.Time)
	return c, k.standing(at.Time)
}

// Lower gives back at once what an open call holds above this much, and returns its
// hold. A call that holds no more, or is in shadow, stays unchanged.
func (k *settler) Lower(at Moment, c Hold, amount int64) (Hold, limit.Standing) {
	less := c.counted() - amount
	if c.uncharged || less <= 0 {
		return c, k.standing(at.Time)
	}
	k.share.adjust(c, -less, at.Time)
	if owed := min(less, c.owed); owed > 0 {
		k.share.owed -= owed
		c.owed -= owed
	}
	c = k.holder.Lower(c, amount-c.owed)
	k.amountReturned(at.Time)
	return c, k.standing(at.Time)
}

// noteExcess records an amount used beyond a hold.
func (k *settler) noteExcess(amount int64, now time.Time) {
	k.size.demand.AddExcess(amount, now)
	k.schedule.next.urgent = k.schedule.next.urgent || k.excessUrgent(now)
}

// callEnded records the end of a call, and has queued calls decided again with what
// it gave back.
func (k *settler) callEnded(now time.Time) {
	k.openCalls--
	k.amountReturned(now)
}

// amountReturned has queued calls decided again with what a call gave back.
func (k *settler) amountReturned(now time.Time) {
	k.touch(now)
	if len(k.holder.reports.pending.refunds) > 0 {
		k.refusal.forget()
	}
	k.retry(now)
}

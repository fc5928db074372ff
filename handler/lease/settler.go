package lease

import (
	"time"

	"tollgate/handler/limit"
)

// A settler changes and ends what calls hold, and has queued calls decided again when
// an amount comes back.
type settler struct{ admitter }

// Settle replaces a hold by what the call used, and returns the standing afterwards.
func (s *settler) Settle(at Moment, hold Hold, used int64) limit.Standing {
	s.share.owed -= hold.owed
	s.holder.Settle(hold, used)
	s.share.adjust(hold, used-hold.counted(), at.Time)
	if excess := used - hold.Held(); excess > 0 && !hold.uncharged {
		s.noteExcess(excess, at.Time)
	}
	s.callEnded(at.Time)
	return s.standing(at.Time)
}

// Cancel gives the whole hold back, because the call was never made or failed.
func (s *settler) Cancel(at Moment, hold Hold) limit.Standing { return s.Settle(at, hold, 0) }

// Raise makes the total charge of an open call this much, at once and whatever is
// left, and returns its hold. It is for a call that may have used more than it
// reserved, before its use is known: Settle corrects or confirms the charge. A call
// that is charged as much already, or is in shadow, stays unchanged. A call that was
// decided without the store stops owing its amount: the next write charges it.
func (s *settler) Raise(at Moment, hold Hold, amount int64) (Hold, limit.Standing) {
	amount = min(amount, maxOwed)
	more := amount - hold.counted()
	if hold.uncharged || more <= 0 {
		return hold, s.standing(at.Time)
	}
	s.share.owed -= hold.owed
	hold.owed = 0
	hold = s.holder.Raise(hold, amount)
	s.share.adjust(hold, more, at.Time)
	s.noteExcess(more, at.Time)
	s.touch(at.Time)
	s.serveFromLease(at.Time) // to end the claims that the lease no longer has
	return hold, s.standing(at.Time)
}

// Lower gives back at once what an open call holds above this much, and returns its
// hold. A call that holds no more, or is in shadow, stays unchanged.
func (s *settler) Lower(at Moment, hold Hold, amount int64) (Hold, limit.Standing) {
	less := hold.counted() - amount
	if hold.uncharged || less <= 0 {
		return hold, s.standing(at.Time)
	}
	s.share.adjust(hold, -less, at.Time)
	if owed := min(less, hold.owed); owed > 0 {
		s.share.owed -= owed
		hold.owed -= owed
	}
	hold = s.holder.Lower(hold, amount-hold.owed)
	s.amountReturned(at.Time)
	return hold, s.standing(at.Time)
}

// noteExcess records an amount used beyond a hold.
func (s *settler) noteExcess(amount int64, now time.Time) {
	s.size.demand.addExcess(amount, now)
	s.schedule.next.urgent = s.schedule.next.urgent || s.excessUrgent(now)
}

// callEnded records the end of a call, and has queued calls decided again with what
// it gave back.
func (s *settler) callEnded(now time.Time) {
	s.openCalls--
	s.amountReturned(now)
}

// amountReturned has queued calls decided again with what a call gave back.
func (s *settler) amountReturned(now time.Time) {
	s.touch(now)
	if len(s.holder.reports.pending.refunds) > 0 {
		s.refusal.forget()
	}
	s.retry(now)
}

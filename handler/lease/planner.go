package lease

import (
	"time"
)

// A planner decides what an agent does with the store, and does none of it.
type planner struct {
	settler
	doing      Action        // the operation under way; Rest: there is none
	mustResend bool          // the write in doubt must be sent again
	sentAt     time.Duration // uptime when the write in flight was first sent
}

// A choice is what Next is to do.
type choice int

const (
	choiceWait   choice = iota // an operation is under way, or it is too early to try again
	choiceRest                 // nothing has to be done
	choiceRead                 // the row must be known, or a write's outcome
	choiceResend               // a write may still arrive: send the same once more
	choiceWrite                // decide the waiting calls, and write if something must be
)

// choose returns what to do now.
func (p *planner) choose(at Moment) choice {
	switch {
	case p.doing != Rest || at.Uptime < p.health.retryAt:
		return choiceWait
	case p.holder.inFlight != nil && p.mustResend:
		return choiceResend
	case p.holder.inFlight != nil:
		return choiceRead
	case p.health.probing:
		return choiceRead
	case !p.hasWork(at.Time):
		return choiceRest
	case len(p.queue.questions) > 0 || !p.known.servesWrites(at.Time):
		return choiceRead
	}
	return choiceWrite
}

// Due returns the time until Next has something to do or, while an operation is under
// way, until Expire has; 0: now.
func (p *planner) Due(at Moment) time.Duration {
	switch {
	case p.doing != Rest:
		return p.untilDeadline(at.Time)
	case at.Uptime < p.health.retryAt:
		return min(p.health.retryAt-at.Uptime, p.untilDeadline(at.Time))
	case p.holder.inFlight != nil || p.health.probing || p.hasWork(at.Time):
		return 0
	}
	if due := p.dueAt(); due.Before(farAway) {
		return due.Sub(at.Time)
	}
	return Never
}

// untilDeadline returns the time until the first deadline of a queued call.
func (p *planner) untilDeadline(now time.Time) time.Duration {
	if first := p.queue.firstDeadline(p.doing == Send, now); first.Before(farAway) {
		return first.Sub(now)
	}
	return Never
}

// dueAt returns the time of the next report or of the next decision of queued calls.
func (p *planner) dueAt() time.Time {
	due := p.reportAt()
	if retry := p.decideAgainAt(); retry.Before(due) {
		return retry
	}
	return due
}

// decideAgainAt returns the time to decide queued calls again: the end of a refusal,
// which is at the latest the next minute, the first deadline, or the end of the lease if
// calls have claims on it.
func (p *planner) decideAgainAt() time.Time {
	at := p.queue.firstDeadline(false, time.Time{})
	if p.queue.hasParked() && p.refusal.until.Before(at) {
		at = p.refusal.until
	}
	if end := p.holder.lease.end(); p.queue.hasClaims() && end.Before(at) {
		at = end
	}
	return at
}

// hasWork reports whether something has to be decided or written at a time.
func (p *planner) hasWork(now time.Time) bool {
	return p.queue.hasUndecided() || p.mustWrite(now) || !now.Before(p.decideAgainAt())
}

// mustWrite reports whether a write is needed even if no call is granted.
func (p *planner) mustWrite(now time.Time) bool {
	switch why := &p.schedule.next; {
	case why.renew, p.known.mustReplace:
		return true
	case why.urgent && p.holder.Excess() > 0:
		return true
	case why.unused && p.spare() > 0:
		return true
	case (p.closing || why.evicting) && p.unsaved():
		return true
	}
	return !now.Before(p.reportAt())
}

// reportAt returns the time of the next report.
func (p *planner) reportAt() time.Time {
	return p.schedule.reportAt(&p.holder, p.spare(), p.known.view.Live)
}

// spare returns the amount of the lease that no call has reserved or claimed.
func (p *planner) spare() int64 {
	claims, _ := p.queue.claims()
	return p.holder.LeasedAmount() - claims
}

// unsaved reports whether anything would be lost with this agent: something to report
// or to return, or a write of unknown outcome.
func (p *planner) unsaved() bool {
	return p.holder.mustReport() || p.holder.inFlight != nil || p.spare() > 0
}

// Closed reports whether a closing agent has nothing left to write or to answer.
func (p *planner) Closed(at Moment) bool {
	return p.closing && p.doing == Rest && p.holder.inFlight == nil && len(p.queue.calls) == 0 && !p.hasWork(at.Time)
}

// Idle reports whether no call has used the counter for a minute, and none is open.
func (p *planner) Idle(at Moment) bool {
	busy := p.doing != Rest || p.openCalls > 0 || len(p.queue.calls)+len(p.queue.questions) > 0
	return !busy && at.Time.Sub(p.schedule.lastCall) >= time.Minute
}

// Evictable reports whether this agent is idle, and nothing would be lost with it.
func (p *planner) Evictable(at Moment) bool { return p.Idle(at) && !p.unsaved() }

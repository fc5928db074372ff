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

// A choice is what Next does.
type choice int

const (
	choiceWait   choice = iota // an operation is under way, or it is too early to try again
	choiceRest                 // nothing has to be done
	choiceRead                 // the row must be known, or a write's outcome
	choiceResend               // a write may still arrive: send the same once more
	choiceWrite                // decide the waiting calls, and write if something must be
)

// choose decides what to do now.
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

// Due returns how long Next, or while an operation is under way Expire, may
// wait; 0: it has something to do.
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

// untilDeadline returns how long until the next queued call's time is over.
func (p *planner) untilDeadline(now time.Time) time.Duration {
	if first := p.queue.firstDeadline(p.doing == Send, now); first.Before(farAway) {
		return first.Sub(now)
	}
	return Never
}

// dueAt returns the time of the next report, of the first deadline in the
// queue, or of another attempt for the calls in it.
func (p *planner) dueAt() time.Time {
	due := p.reportAt()
	if retry := p.decideAgainAt(); retry.Before(due) {
		return retry
	}
	return due
}

// retryAt returns the time to decide queued calls again: the next minute, the
// end of a refusal, or the first deadline.
func (p *planner) decideAgainAt() time.Time {
	at := p.queue.firstDeadline(false, time.Time{})
	if p.queue.hasParked() && p.refusal.until.Before(at) {
		return p.refusal.until
	}
	return at
}

// hasWork reports whether there is something to do at a time.
func (p *planner) hasWork(now time.Time) bool {
	return p.queue.hasUndecided() || p.mustWrite(now) || !now.Before(p.decideAgainAt())
}

// mustWrite reports whether a write is needed even if no call is granted.
func (p *planner) mustWrite(now time.Time) bool {
	why := &p.schedule.next
	return why.renew || why.urgent && p.holder.Excess() > 0 || p.known.mustReplace || why.unused && p.spare() > 0 ||
		(p.closing || why.evicting) && p.unsaved() ||
		!now.Before(p.reportAt())
}

// reportAt returns the time of the next report.
func (p *planner) reportAt() time.Time {
	return p.schedule.reportAt(&p.holder, p.spare(), p.known.view.Live)
}

// spare returns what is leased and not set aside for a call.
func (p *planner) spare() int64 {
	claims, _ := p.queue.claims()
	return p.holder.LeasedAmount() - claims
}

// unsaved reports whether anything must be written or returned.
func (p *planner) unsaved() bool {
	return p.holder.MustReport() || p.holder.inFlight != nil || p.spare() > 0
}

// Closed reports whether nothing is left to write or to answer.
func (p *planner) Closed(at Moment) bool {
	return p.closing && p.doing == Rest && p.holder.inFlight == nil && len(p.queue.calls) == 0 && !p.hasWork(at.Time)
}

// Idle reports whether nobody has used the counter for a minute.
func (p *planner) Idle(at Moment) bool {
	busy := p.doing != Rest || p.openCalls > 0 || len(p.queue.calls)+len(p.queue.questions) > 0
	return !busy && at.Time.Sub(p.schedule.lastCall) >= time.Minute
}

// Forgettable reports whether nothing is lost with this agent.
func (p *planner) Evictable(at Moment) bool { return p.Idle(at) && !p.unsaved() }

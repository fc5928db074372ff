package lease

import (
	"time"
)

// A planner decides what an agent does with the store, and does none of it.
type planner struct {
	till
	doing  Action        // the operation under way; Rest: there is none
	again  bool          // the write in doubt must be sent again
	sentAt time.Duration // uptime when the write in flight was first sent
}

// A choice is what Next does.
type choice int

const (
	wait   choice = iota // an operation is under way, or it is too early to try again
	rest                 // nothing has to be done
	load                 // the row must be known, or a write's outcome
	resend               // a write may still arrive: send the same once more
	build                // decide the waiting calls, and write if something must be
)

// choose decides what to do now.
func (p *planner) choose(at Moment) choice {
	switch {
	case p.doing != Rest || at.Uptime < p.trouble.retryAt:
		return wait
	case p.holder.flight != nil && p.again:
		return resend
	case p.holder.flight != nil:
		return load
	case p.trouble.probing:
		return load
	case !p.hasWork(at.Time):
		return rest
	case len(p.queue.questions) > 0 || !p.known.servesWrites(at.Time):
		return load
	}
	return build
}

// Due returns how long Next, or while an operation is under way Expire, may
// wait; 0: it has something to do.
func (p *planner) Due(at Moment) time.Duration {
	switch {
	case p.doing != Rest:
		return p.untilDeadline(at.Time)
	case at.Uptime < p.trouble.retryAt:
		return min(p.trouble.retryAt-at.Uptime, p.untilDeadline(at.Time))
	case p.holder.flight != nil || p.trouble.probing || p.hasWork(at.Time):
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
	if retry := p.retryAt(); retry.Before(due) {
		return retry
	}
	return due
}

// retryAt returns the time to decide queued calls again: the next minute, the
// end of a refusal, or the first deadline.
func (p *planner) retryAt() time.Time {
	at := p.queue.firstDeadline(false, time.Time{})
	if p.queue.parked() && p.refusal.until.Before(at) {
		return p.refusal.until
	}
	return at
}

// hasWork reports whether there is something to do at a time.
func (p *planner) hasWork(now time.Time) bool {
	return p.queue.undecided() || p.mustWrite(now) || !now.Before(p.retryAt())
}

// mustWrite reports whether a write is needed even if no call is granted.
func (p *planner) mustWrite(now time.Time) bool {
	why := &p.schedule.next
	return why.renew || why.urgent && p.holder.Excess() > 0 || p.known.mend || why.unused && p.spare() > 0 ||
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
	return p.holder.MustReport() || p.holder.flight != nil || p.spare() > 0
}

// Closed reports whether nothing is left to write or to answer.
func (p *planner) Closed(at Moment) bool {
	return p.closing && p.doing == Rest && p.holder.flight == nil && len(p.queue.calls) == 0 && !p.hasWork(at.Time)
}

// Idle reports whether nobody has used the counter for a minute.
func (p *planner) Idle(at Moment) bool {
	busy := p.doing != Rest || p.open > 0 || len(p.queue.calls)+len(p.queue.questions) > 0
	return !busy && at.Time.Sub(p.schedule.lastCall) >= time.Minute
}

// Forgettable reports whether nothing is lost with this agent.
func (p *planner) Forgettable(at Moment) bool { return p.Idle(at) && !p.unsaved() }

package lease

import (
	"slices"
	"time"

	"tollgate/handler/limit"
)

// An Agent is one instance's part in one counter. It has no lock, goroutine,
// timer, randomness or clock of its own, and does no I/O. Events go in, each with
// its Moment; Next says what to do with the store, and News returns the answers to
// calls that waited. Make one with NewAgent.
type Agent struct{ planner }

// NewAgent returns an agent. It reports after reportShare of a horizon, which is from
// MinReportShare to MaxReportShare, and gives up on a counter for a while when the
// store has applied none of its writes for as long as patience.
func NewAgent(reportShare float64, patience time.Duration) Agent {
	return Agent{planner{settler: settler{admitter{schedule: schedule{reportShare: reportShare}, decider: decider{health: storeHealth{patience: patience}}}}}}
}

// Clone returns a copy that shares nothing that either side changes.
func (a *Agent) Clone() Agent {
	copied := *a
	copied.holder, copied.queue = a.holder.Clone(), a.queue.clone()
	copied.news.Answers = slices.Clone(a.news.Answers)
	return copied
}

// News returns the results of events since the last call of News.
func (a *Agent) News() News {
	news := a.news
	a.news = News{}
	return news
}

// An Action is a kind of Step.
type Action int

// The actions.
const (
	Rest Action = iota // do nothing until an event, or for a time
	Read               // read the row, then call Loaded or Failed
	Send               // send a write, then call Written or Failed
)

// A Step is what to do next.
type Step struct {
	Action
	For     time.Duration // to rest; Never: until an event
	Write   *Write        // to send
	Version Version       // that the stored row must have, or the write fails
}

// maxDecisions is the number of times that one call of Next decides the queued calls. Once
// a decision changes nothing, Next rests or reads, so more than a few would be a mistake of
// this package. Then the driver, who calls Next again, can let go of its lock in between.
const maxDecisions = 10

// Next returns what to do now: read, send a write, or rest. newID makes random
// slot ids.
func (a *Agent) Next(at Moment, newID func() string) Step {
	a.answerQuestions(at.Time)
	a.serveFromLease(at.Time)
	a.Expire(at)
	for range maxDecisions {
		switch a.choose(at) {
		case choiceWait:
			return Step{For: a.Due(at)}
		case choiceRest:
			a.health.failures.noteRest(at.Uptime, a.health.patience)
			return Step{For: a.Due(at)}
		case choiceRead:
			a.doing, a.health.probing = Read, false
			return Step{Action: Read}
		case choiceResend:
			return a.send(a.holder.inFlight)
		}
		if write := a.buildWrite(at, newID); write != nil {
			return a.send(write)
		}
	}
	return Step{}
}

// Expire refuses queued calls whose time is over and which don't fit, as far as is
// known, while Next can do nothing for them: an operation is under way, or it is too
// early to try again.
func (a *Agent) Expire(at Moment) {
	if len(a.queue.calls) == 0 || !a.known.everRead() || a.choose(at) != choiceWait && a.holder.inFlight == nil {
		return // Next decides them
	}
	a.dropRefused(a.overdueCalls(a.doing == Send, at.Time))
}

// send begins to send a write.
func (a *Agent) send(write *Write) Step {
	a.doing, a.mustResend = Send, false
	return Step{Action: Send, Write: write, Version: a.known.version}
}

// buildWrite decides the queued calls, and builds a write if one is needed; a
// refusal needs none. It returns nil if none is needed, or if the row must be read
// again first.
func (a *Agent) buildWrite(at Moment, newID func() string) *Write {
	draft := a.holder.Draft(a.known.row, a.limits, at.Time)
	r, known := a.decideQueue(draft, at.Time)
	if !known {
		a.known.asOf = time.Time{}
		return nil
	}
	draft.Grant(r.granted)
	a.applyRuling(&r, at.Time)
	if !r.needsWrite && !a.mustWrite(at.Time) {
		return nil
	}
	return a.commit(draft, at, newID)
}

// applyRuling carries out a ruling on the queued calls: a call that is granted an
// amount waits for the write, one that may wait or is blocked stays queued, and any
// other is refused.
func (a *Agent) applyRuling(r *ruling, now time.Time) {
	standing := a.known.view.Standing(&a.holder, now).After(r.granted)
	for i := range r.prospects {
		c, p := &a.queue.calls[i], &r.prospects[i]
		c.granted, c.blocked = 0, p.outlook == blocked
		switch p.outlook {
		case fitsNow:
			c.granted = p.decision.Amount
		case blocked:
			c.parked = c.parked && !c.joint // so that park tells the joint call again
		case fitsLater:
			a.park(c, now)
		case doesNotFit:
			p.decision.Standing = standing
		}
		if p.outlook == fitsLater || p.outlook == doesNotFit {
			a.refusal.remember(&a.known.view, now)
		}
	}
	a.dropRefused(r.prospects)
}

// commit makes a draft a write. If the row has no room for this instance, it
// returns nil, and the counter counts as unusable for a while.
func (a *Agent) commit(draft *Draft, at Moment, newID func() string) *Write {
	live := int(a.known.live())
	amount, scarce := draft.sizeLease(&a.size.demand, live)
	if a.closing || a.schedule.idle(a.known.view.Live, at.Time) {
		amount = draft.Granted()
	}
	write, err := a.holder.Commit(draft, amount, Expiry(live, at.Time), newID)
	if err != nil {
		a.news.Full = true
		a.unusable(at)
		a.health.retryAt = at.Uptime + unusablePause
		return nil
	}
	if a.closing && a.openCalls == 0 {
		write.MakeLast()
	}
	write.alertPercent = write.Row.reachAlerts(a.alertAt)
	a.schedule.startWrite()
	a.sentAt, a.size.scarce, a.known.mustReplace = at.Uptime, scarce, false
	return write
}

// Loaded handles what a read found.
func (a *Agent) Loaded(at Moment, found Found) {
	a.doing, a.health.probing = Rest, false
	row, repaired := found.counter(a.limits, at.Time)
	a.news.Repaired = a.news.Repaired || repaired
	if a.holder.inFlight != nil {
		a.resolve(at, row, found.Version, repaired)
		return
	}
	a.holder.Observe(&row)
	a.learn(at, row, found.Version)
	a.known.mustReplace = repaired
	if found.Unsure {
		a.known.asOf = time.Time{}
	}
	a.retry(at.Time)
}

// resolve finds out, from a row that was just read, whether the write in flight was
// applied. While that can't be known, the same write must be sent again.
func (a *Agent) resolve(at Moment, row Row, version Version, repaired bool) {
	write, last := a.holder.inFlight, &a.known
	changed := version != last.version
	a.health.failures.noteRead(changed && (version == "" || row.Epoch != last.row.Epoch || row.Rev != last.row.Rev))
	age := at.Uptime - a.sentAt
	known, applied := a.holder.Resolve(&row, changed, write.Built.Add(age))
	switch {
	case !known:
		a.mustResend = true
		return
	case applied:
	case age > MaxDoubt:
		a.news.Unknown += max(0, write.charges())
	default:
		a.schedule.next.restore(a.schedule.sent)
		a.refusal.forget() // decide the calls again that it would have granted
	}
	a.learn(at, row, version)
	a.known.mustReplace = repaired
	if applied {
		a.applied(at, write)
	}
}

// Written handles the store's answer that the write was applied, and gave the row
// this version.
func (a *Agent) Written(at Moment, version Version) {
	write := a.holder.inFlight
	a.doing = Rest
	a.holder.Applied()
	a.learn(at, write.Row, version)
	a.applied(at, write)
}

// learn records a row as the stored one.
func (a *Agent) learn(at Moment, row Row, version Version) {
	a.known.learn(row, version, row.View(&a.holder, a.limits, at.Time), at.Time)
	if a.health.failures.count == 0 {
		a.health.unusableUntil = 0
	}
	if !a.health.down(at) && row.Window >= limit.Minute(at.Time) { // otherwise the row doesn't show yet what was admitted this minute
		a.share.end()
	}
}

// applied does what follows after a write was applied.
func (a *Agent) applied(at Moment, write *Write) {
	a.health.attempts, a.health.failures, a.health.unusableUntil = 0, writeFailures{}, 0
	a.size.took(a.holder.Left(at.Time))
	a.news.Forfeited.Leases += write.Forfeited.Leases
	a.news.Forfeited.Amount += write.Forfeited.Amount
	if write.alertPercent > a.news.Alert.Percent {
		a.news.Alert = Alert{Percent: write.alertPercent, Standing: write.Row.Standing(at.Time)}
	}
	a.retry(at.Time)
}

// Failed handles an operation that failed, or that had no answer in time. luck is a
// random number from 0 to 1, which spreads the instances' pauses.
func (a *Agent) Failed(at Moment, failure Failure, luck float64) {
	if a.doing == Send {
		a.health.failures.noteFailure(failure, at.Uptime)
	}
	a.doing, a.health.probing = Rest, false
	a.health.attempts++
	unusable := a.health.provesUnusable(failure, at.Uptime)
	contended := failure == Conflict && !unusable
	pause := a.health.pause(contended, a.known.live(), at.Store.Operation, luck)
	if a.closing {
		pause = min(pause, maxClosingPause)
	}
	a.health.retryAt = at.Uptime + pause
	switch {
	case unusable:
		a.unusable(at)
	case !contended && a.health.down(at):
		a.failWaiters(at.Time)
	}
	a.Expire(at)
}

// unusable stops using the store for this counter for a while: calls are decided as
// if the store were down.
func (a *Agent) unusable(at Moment) {
	a.news.Unusable = a.news.Unusable || !a.health.unusable(at)
	a.health.unusableUntil = at.Uptime + unusablePause
	a.failWaiters(at.Time)
}

// Close answers the queued calls, and begins to write what is unreported and to return
// the lease, without long pauses. Don't call Reserve after it. Closed reports when it
// is done.
func (a *Agent) Close(at Moment) {
	a.closing = true
	a.health.retryAt = min(a.health.retryAt, at.Uptime)
	a.Drain(at)
}

// Flush begins to write what an idle agent must save, so that it becomes Evictable.
// It does nothing while the store is down, as each write would fail.
func (a *Agent) Flush(at Moment) {
	if a.Idle(at) && !a.health.down(at) {
		a.schedule.next.evicting = true
	}
}

// Status returns the counter's standing, at most 2 seconds old unless the store is
// down. If decided is false, an Answer with the id follows.
func (a *Agent) Status(at Moment, id int64, limits limit.Limits) (answer Answer, decided bool) {
	a.adopt(at, limits)
	switch bypassed := a.health.bypass(at); {
	case a.known.everRead() && (at.Time.Sub(a.known.asOf) < maxRefusalAge || bypassed):
		return a.answerTo(question{id: id}, at.Time), true
	case bypassed:
		a.health.probe(at)
		return Answer{ID: id, Down: true}, true
	}
	a.queue.questions = append(a.queue.questions, question{id: id, refreshes: a.known.refreshes})
	return Answer{}, false
}

// answerQuestions answers the questions for which the row has been read or written
// since they were asked. It compares counts, not times: the clock may be set back.
func (a *Agent) answerQuestions(now time.Time) {
	open := a.queue.questions[:0:0]
	for _, q := range a.queue.questions {
		if a.known.refreshes == q.refreshes {
			open = append(open, q)
			continue
		}
		a.answer(a.answerTo(q, now))
	}
	a.queue.questions = open
}

// Known returns the standing as far as this instance knows it without the store,
// and whether it has ever read the counter.
func (a *Agent) Known(at Moment) (limit.Standing, bool) {
	return a.standing(at.Time), a.known.everRead()
}

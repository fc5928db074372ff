package lease

import (
	"slices"
	"time"

	"tollgate/handler/limit"
)

// An Agent is one instance's part in one counter. It has no lock, goroutine,
// timer, randomness or clock of its own, and does no I/O: events go in, each
// with its Moment, and Next says what to do with the store. Answers to those
// that waited, and other News, come out beside it. Make one with NewAgent.
type Agent struct{ planner }

// NewAgent returns an agent that reports after this share of a horizon, from
// MinReportShare to MaxReportShare, and for which a store that applies none of
// its writes is of no use after this patience.
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

// News returns what came of events since it was last called.
func (a *Agent) News() News {
	news := a.news
	a.news = News{}
	return news
}

// An Action is what to do next.
type Action int

// The actions.
const (
	Rest Action = iota // until an event, or for a time
	Read               // the row, then call Loaded or Failed
	Send               // a write, then call Written or Failed
)

// A Step is the next thing to do.
type Step struct {
	Action
	For     time.Duration // how long to rest; Never: until an event
	Write   *Write        // to send, upon Version
	Version Version
}

// Next says what to do now: read, send a write, or rest. newID makes random
// ids of slots.
func (a *Agent) Next(at Moment, newID func() string) Step {
	a.answerQuestions(at.Time)
	a.serveFromLease(at.Time)
	a.Expire(at)
	for {
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
		if body := a.buildWrite(at, newID); body != nil {
			return a.send(body)
		}
	}
}

// Expire refuses queued calls whose time is over, and which don't fit as far as
// is known, while nothing else can be done for them: an operation is under way,
// or it is too early to try again.
func (a *Agent) Expire(at Moment) {
	if len(a.queue.calls) == 0 || !a.known.everRead() || a.choose(at) != choiceWait && a.holder.inFlight == nil {
		return // Next decides them
	}
	a.dropRefused(a.overdueCalls(a.doing == Send, at.Time))
}

// send begins an operation that sends a write.
func (a *Agent) send(body *Write) Step {
	a.doing, a.mustResend = Send, false
	return Step{Action: Send, Write: body, Version: a.known.version}
}

// build decides the waiting calls, and builds a write if one is needed.
// Refusals need none. If the known row is too old, it builds nothing.
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

// carryOut carries out what a write means for the waiting calls: those that are
// granted an amount wait for it, those that queue or are blocked stay, the others
// are answered.
func (a *Agent) applyRuling(r *ruling, now time.Time) {
	standing := a.known.view.Standing(&a.holder, now).After(r.granted)
	for i := range r.prospects {
		c, p := &a.queue.calls[i], &r.prospects[i]
		c.granted, c.blocked = 0, p.outlook == blocked
		switch p.outlook {
		case fitsNow:
			c.granted = p.decision.Amount
		case blocked:
			c.parked = c.parked && !c.joint // it is told when it parks again
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

// commit makes the draft a write. If the row has no room for this instance,
// there is none, and the counter can't be used for a while.
func (a *Agent) commit(draft *Draft, at Moment, newID func() string) *Write {
	live := int(a.known.live())
	amount, scarce := draft.Size(&a.size.demand, live)
	if a.closing || a.schedule.idle(a.known.view.Live, at.Time) {
		amount = draft.Granted()
	}
	body, err := a.holder.Commit(draft, amount, Expiry(live, at.Time), newID)
	if err != nil {
		a.news.Full = true
		a.unusable(at)
		a.health.retryAt = at.Uptime + unusablePause
		return nil
	}
	if a.closing && a.openCalls == 0 {
		body.MakeLast()
	}
	body.alertPercent = body.Row.reachAlerts(a.alertAt)
	a.schedule.startWrite()
	a.sentAt, a.size.scarce, a.known.mustReplace = at.Uptime, scarce, false
	return body
}

// Loaded tells what a read found.
func (a *Agent) Loaded(at Moment, found Found) {
	a.doing, a.health.probing = Rest, false
	row, mend := found.counter(a.limits, at.Time)
	a.news.Repaired = a.news.Repaired || mend
	if a.holder.inFlight != nil {
		a.resolve(at, row, found.Version, mend)
		return
	}
	a.holder.Observe(&row)
	a.learn(at, row, found.Version)
	a.known.mustReplace = mend
	if found.Unsure {
		a.known.asOf = time.Time{}
	}
	a.retry(at.Time)
}

// resolve finds out whether a write was applied whose answer didn't come, or
// came too late. While that can't be known, the same write is sent again.
func (a *Agent) resolve(at Moment, row Row, version Version, mend bool) {
	body, last := a.holder.inFlight, &a.known
	changed := version != last.version
	a.health.failures.noteRead(changed && (version == "" || row.Epoch != last.row.Epoch || row.Rev != last.row.Rev))
	age := at.Uptime - a.sentAt
	known, applied := a.holder.Resolve(&row, changed, body.Built.Add(age))
	switch {
	case !known:
		a.mustResend = true
		return
	case applied:
	case age > MaxDoubt:
		a.news.Unknown += max(0, body.Charges())
	default:
		a.schedule.next.restore(a.schedule.sent)
		a.refusal.forget() // decide the calls again that it would have granted
	}
	a.learn(at, row, version)
	a.known.mustReplace = mend
	if applied {
		a.applied(at, body)
	}
}

// Written tells that the write was applied, and the row's version since.
func (a *Agent) Written(at Moment, version Version) {
	body := a.holder.inFlight
	a.doing = Rest
	a.holder.Applied()
	a.learn(at, body.Row, version)
	a.applied(at, body)
}

// learn takes a row as the stored one.
func (a *Agent) learn(at Moment, row Row, version Version) {
	a.known.learn(row, version, row.View(&a.holder, a.limits, at.Time), at.Time)
	if a.health.failures.count == 0 {
		a.health.unusableUntil = 0
	}
	if !a.health.down(at) && row.Window >= limit.Minute(at.Time) { // otherwise it doesn't include yet what was admitted this minute
		a.share.end()
	}
}

// applied goes on after a write was applied.
func (a *Agent) applied(at Moment, body *Write) {
	a.health.attempts, a.health.failures, a.health.unusableUntil = 0, writeFailures{}, 0
	a.size.took(a.holder.Left(at.Time))
	a.news.Forfeited.Leases += body.Forfeited.Leases
	a.news.Forfeited.Amount += body.Forfeited.Amount
	if body.alertPercent > a.news.Alert.Percent {
		a.news.Alert = Alert{Percent: body.alertPercent, Standing: body.Row.Standing(at.Time)}
	}
	a.retry(at.Time)
}

// Failed tells that the operation failed, or that its answer didn't come.
// luck is a random number from 0 to 1.
func (a *Agent) Failed(at Moment, failure Failure, luck float64) {
	if a.doing == Send {
		a.health.failures.noteFailure(failure, at.Uptime)
	}
	a.doing, a.health.probing = Rest, false
	a.health.attempts++
	useless := a.health.provesUnusable(failure, at.Uptime)
	contended := failure == Conflict && !useless
	pause := a.health.pause(contended, a.known.live(), at.Store.Operation, luck)
	if a.closing {
		pause = min(pause, maxClosingPause)
	}
	a.health.retryAt = at.Uptime + pause
	switch {
	case useless:
		a.unusable(at)
	case !contended && a.health.down(at):
		a.failWaiters(at.Time)
	}
	a.Expire(at)
}

// unusable leaves the counter alone for a while: its calls are decided as if
// the store were down.
func (a *Agent) unusable(at Moment) {
	a.news.Unusable = a.news.Unusable || !a.health.unusable(at)
	a.health.unusableUntil = at.Uptime + unusablePause
	a.failWaiters(at.Time)
}

// Close answers the calls that queue, and begins to write everything and to
// return the lease, without long pauses. No call may be reserved any more.
func (a *Agent) Close(at Moment) {
	a.closing = true
	a.health.retryAt = min(a.health.retryAt, at.Uptime)
	a.Drain(at)
}

// GiveBack begins to write what an idle agent must save before it can be
// forgotten, unless the store is down: each write would fail.
func (a *Agent) Flush(at Moment) {
	if a.Idle(at) && !a.health.down(at) {
		a.schedule.next.evicting = true
	}
}

// Status returns the counter's standing, at most seconds old; else an Answer
// with the id follows.
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

// inform answers the questions that were asked before the row was last learnt.
// It counts, and compares no times: the clock may be set back.
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

// Known returns the standing as far as this instance knows it without asking,
// and whether it knows any.
func (a *Agent) Known(at Moment) (limit.Standing, bool) {
	return a.standing(at.Time), a.known.everRead()
}

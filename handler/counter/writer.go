package counter

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"tollgate/handler/limit"
)

// kick starts loop if it isn't running. The lock is held.
func (a *replica) kick() {
	if a.running {
		return
	}
	a.running, a.done = true, make(chan struct{})
	go a.loop()
}

// errNoWork: nothing has to be done now.
var errNoWork = errors.New("nothing to do")

// loop reads and writes until nothing is left to do.
func (a *replica) loop() {
	for {
		err := a.doNext()
		switch {
		case errors.Is(err, errNoWork):
			return
		case err == nil:
			continue
		}
		a.pause(a.backoff(err))
	}
}

// Back-off between attempts. After a conflict a short one is enough, since a failed
// write doesn't delay the others; a store that is down gets more time.
const (
	conflictShare = 0.2 // of an operation's time, doubled with each failed attempt
	// minOperation is the shortest time assumed of an operation, so that back-off
	// grows even if the store answers at once.
	minOperation = time.Millisecond
	downPause    = 50 * time.Millisecond
	maxPause     = 2 * time.Second
)

// backoff records a failed operation, answers the waiting calls if the store
// counts as down, and returns the pause before the next attempt.
func (a *replica) backoff(err error) time.Duration {
	now := a.counter.clock.now()
	a.mu.Lock()
	defer a.mu.Unlock()
	a.attempts++
	useless := errors.Is(err, ErrNewer) || errors.Is(err, limit.ErrFull) || a.stuck.unusable(time.Now(), a.counter.config.Patience)
	if errors.Is(err, ErrConflict) && !useless {
		often := min(1<<min(a.attempts, 10), max(a.view.Live, 1))
		operation := max(a.counter.health.meanOperation(), minOperation)
		return rand.N(time.Duration(conflictShare*float64(often)*float64(operation)) + 1)
	}
	if useless {
		if !now.Before(a.unusableUntil) { // otherwise it was logged already
			a.counter.config.Log.Error("a counter can't be used: its calls are decided as if the store were down", "counter", a.key, "error", err.Error())
		}
		a.unusableUntil = now.Add(unusablePause)
	}
	if a.down(now) {
		a.failWaiters(now, err)
	}
	return downPause + rand.N(min(downPause<<min(a.attempts, 10), maxPause))
}

// doNext does the next operation: it resolves a write in doubt, or builds and
// sends a write, or reads.
func (a *replica) doNext() error {
	body, sent, err := a.nextOperation()
	switch {
	case err != nil:
		return err
	case sent:
		return a.resolve(body)
	case body != nil:
		return a.send(body)
	}
	return a.load()
}

// nextOperation chooses the next operation: resolve body if sent is true,
// send it if not, or read if body is nil. It returns errNoWork or
// limit.ErrFull.
func (a *replica) nextOperation() (body *limit.Write, sent bool, err error) {
	now := a.counter.clock.now()
	a.mu.Lock()
	defer a.mu.Unlock()
	if flight := a.holder.InFlight(); flight != nil {
		return flight, true, nil
	}
	a.answerStatus(now)
	a.grantWaiters(now)
	for !a.readAt.IsZero() && !a.probing && a.hasWork(now) {
		body, known, err := a.buildWrite(now)
		if body != nil || err != nil {
			return body, false, err
		}
		if !known {
			a.readAt = time.Time{}
		}
	}
	if !a.probing && !a.hasWork(now) {
		a.running = false
		a.stuck.noteRest(time.Now(), a.counter.config.Patience)
		close(a.done)
		a.schedule(now)
		return nil, false, errNoWork
	}
	a.probing = false
	return nil, false, nil
}

// Ages and pauses.
const (
	// maxRefusalAge is the greatest age of a known state for a refusal, where
	// others share the counter.
	maxRefusalAge = 2 * time.Second
	// maxSharedAge is the greatest age of a known state for a write, where other
	// instances write too: beyond it a read costs less than a conflict.
	maxSharedAge = 20 * time.Millisecond
	// unusablePause: a counter that can't be used is left alone for this long.
	unusablePause = 5 * time.Second
)

// buildWrite decides the waiting calls, and builds a write if one is needed.
// Refusals need none. If the known state is too old, it builds nothing, and
// known is false.
func (a *replica) buildWrite(now time.Time) (body *limit.Write, known bool, err error) {
	if a.view.Live > 1 && now.Sub(a.readAt) > maxSharedAge {
		return nil, false, nil
	}
	draft := a.holder.Draft(a.stored, a.limits, now)
	draft.DropFiled(func(minute int64) bool { return a.counter.config.History == nil || a.filed[minute] })
	granted, known := a.decideWaiters(draft, now)
	if !known || !granted && !a.mustWrite(now) {
		return nil, known, nil
	}
	body, err = a.commit(draft, now)
	return body, true, err
}

// hasWork reports whether there is something to do at a time.
func (a *replica) hasWork(now time.Time) bool {
	if a.mustWrite(now) || len(a.statusWaiters) > 0 || !now.Before(a.retryAt()) {
		return true
	}
	for _, w := range a.waiters {
		if !w.parked {
			return true
		}
	}
	return false
}

// mustWrite reports whether a write is needed even if no call is granted.
func (a *replica) mustWrite(now time.Time) bool {
	due := a.reportAt()
	return a.renew || a.urgent && a.holder.Excess() > 0 || a.replaceRow ||
		(a.closing || a.evicting) && a.hasUnwritten() || !due.IsZero() && !now.Before(due)
}

// commit makes the draft a write.
func (a *replica) commit(draft *limit.Draft, now time.Time) (*limit.Write, error) {
	live := max(a.view.Live, 1)
	size, scarce := draft.Size(&a.demand, live)
	if a.closing || a.idle(now) {
		size = draft.Asked()
	}
	body, err := a.holder.Commit(draft, size, limit.Expiry(live, now), slotID)
	if err != nil {
		return nil, err
	}
	if a.closing && a.openCalls == 0 {
		body.MakeLast()
	}
	a.sentReasons, a.sentAt = a.writeReasons, time.Now()
	a.scarce, a.writeReasons, a.replaceRow = scarce, writeReasons{}, false
	return body, nil
}

// writeReasons are the reasons for a write.
type writeReasons struct {
	since    time.Time // when the first unreported change happened; zero: there is none
	renew    bool      // the lease is low
	urgent   bool      // much excess is unreported
	evicting bool      // the replica is about to be evicted
}

// restore brings back the reasons for a write that failed.
func (c *writeReasons) restore(sent writeReasons) {
	if c.since.IsZero() || !sent.since.IsZero() && sent.since.Before(c.since) {
		c.since = sent.since
	}
	c.urgent = c.urgent || sent.urgent // not renew: the next call notices whether the lease is still low
}

// send sends a write. If it fails, its outcome is in doubt until resolve.
func (a *replica) send(body *limit.Write) error {
	a.mu.Lock()
	version := a.version
	a.mu.Unlock()
	next, err := a.counter.swap(context.Background(), a.key, &body.State, version)
	now := a.counter.clock.now()
	a.mu.Lock()
	defer a.mu.Unlock()
	if err != nil {
		a.stuck.noteFailure(err, time.Now())
		return fmt.Errorf("write counter: %w", err) // in doubt: resolve reads
	}
	a.holder.Applied()
	a.refresh(body.State, next, now)
	a.afterApplied(body, now)
	return nil
}

// load reads the counter. A row that is unreadable or implausible will be
// replaced by the next write.
func (a *replica) load() error {
	state, version, mend, err := a.fetch()
	if err != nil {
		return err
	}
	now := a.counter.clock.now()
	a.mu.Lock()
	defer a.mu.Unlock()
	a.holder.Observe(&state)
	a.refresh(state, version, now)
	a.replaceRow = mend
	if a.counter.clock.unsure() {
		a.readAt = time.Time{} // read again
	}
	return nil
}

// fetch reads the counter. A missing one has no version. For one that was
// edited, mend is true, and state is its replacement.
func (a *replica) fetch() (state limit.State, version Version, mend bool, err error) {
	state, version, date, err := a.counter.read(context.Background(), a.key)
	now := a.counter.clock.now()
	a.mu.Lock()
	limits := a.limits
	a.mu.Unlock()
	switch {
	case errors.Is(err, ErrNotFound):
		return limit.New(limits, now, epochID()), "", false, nil
	case errors.Is(err, ErrEdited), err == nil && !state.Plausible(latest(now, date)):
		a.counter.config.Log.Warn("a counter's row was edited, or written by a clock far ahead: nothing more this minute", "counter", a.key,
			"rev", state.Rev, "minute", limit.MinuteStart(state.Window))
		a.rescue(&state)
		return state.Repaired(limits, now, epochID()), version, true, nil
	case err != nil:
		return state, version, false, fmt.Errorf("read counter: %w", err)
	}
	return state, version, false, nil
}

// latest returns the later of the known time and an answer's date. A single
// answer doesn't move the clock, but is enough to find a counter plausible.
func latest(now, date time.Time) time.Time {
	if date.After(now) {
		return date
	}
	return now
}

// refresh takes a state as the stored one. The lock is held.
func (a *replica) refresh(state limit.State, version Version, now time.Time) {
	if a.stored.Epoch != state.Epoch {
		clear(a.filed)
	}
	a.stored, a.version, a.readAt = state, version, now
	a.refreshes++
	a.view = state.View(&a.holder, a.limits, now)
	if a.stuck.failedWrites == 0 {
		a.unusableUntil = time.Time{}
	}
	if !a.down(now) && state.Window >= limit.Minute(now) { // otherwise it doesn't include yet what was admitted this minute
		a.outage = outage{}
	}
}

// resolve finds out whether a write was applied whose answer didn't come, or
// came too late. While that can't be known, it sends the same write again.
func (a *replica) resolve(body *limit.Write) error {
	state, version, mend, err := a.fetch()
	if err != nil {
		return err
	}
	now := a.counter.clock.now()
	a.mu.Lock()
	changed := version != a.version
	a.stuck.noteRead(changed && (version == "" || state.Epoch != a.stored.Epoch || state.Rev != a.stored.Rev))
	age := time.Since(a.sentAt) // monotonic
	old := age > limit.MaxDoubt
	known, applied := a.holder.Resolve(&state, changed, body.Built.Add(age))
	switch {
	case !known:
		a.mu.Unlock()
		return a.send(body)
	case old && !applied:
		a.counter.config.Log.Error("usage may be lost: the outcome of a write stayed unknown for an hour", "counter", a.key, "tokens", body.Usage().Total())
		a.counter.stats.unknownUsage.Add(body.Usage().Total())
	case !applied:
		a.writeReasons.restore(a.sentReasons)
		a.refusedUntil = time.Time{} // decide the calls again that it would have granted tokens
	}
	defer a.mu.Unlock()
	a.refresh(state, version, now)
	a.replaceRow = mend
	if applied {
		a.afterApplied(body, now)
	}
	return nil
}

// afterApplied goes on after a write was applied. The lock is held.
func (a *replica) afterApplied(body *limit.Write, now time.Time) {
	a.attempts, a.stuck, a.unusableUntil = 0, stuck{}, time.Time{}
	a.leaseSize = a.holder.Left(now)
	a.renewBelow = a.leaseSize * lowShare / 100
	a.counter.stats.forfeited.Add(body.Forfeited)
	a.fileRows(body, now)
	a.grantWaiters(now)
}

// lowShare is the share of a lease, in percent, below which it is renewed.
const lowShare = 15

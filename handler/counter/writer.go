package counter

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"tollgate/handler/limit"
)

// work starts the account's goroutine where none is at work. The lock is held.
func (a *replica) kick() {
	if a.running {
		return
	}
	a.running, a.done = true, make(chan struct{})
	go a.loop()
}

// errNothing says that nothing is to be done now.
var errNoWork = errors.New("nothing to do")

// run reads and writes until nothing is to be done any more.
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

// Back-off between tries. After a conflict little is enough, since a failed
// write doesn't hinder the others; a store that is down is left more time.
const (
	conflictShare = 0.2 // of an operation, times how often it was in vain
	// leastOperation is what an operation counts for at least, so that tries upon a
	// store that answers at once have an end in time, too.
	minOperation = time.Millisecond
	downPause    = 50 * time.Millisecond
	maxPause     = 2 * time.Second
)

// setBack notes an operation that failed, answers those who wait where the
// store counts as down, and says how long to wait for the next try.
func (a *replica) backoff(err error) time.Duration {
	now := a.counter.clock.now()
	a.mu.Lock()
	defer a.mu.Unlock()
	a.attempts++
	useless := errors.Is(err, ErrNewer) || errors.Is(err, limit.ErrFull) || a.stuck.unusable(time.Now(), a.counter.Patience)
	if errors.Is(err, ErrConflict) && !useless {
		often := min(1<<min(a.attempts, 10), max(a.view.Live, 1))
		operation := max(a.counter.health.meanOperation(), minOperation)
		return rand.N(time.Duration(conflictShare*float64(often)*float64(operation)) + 1)
	}
	if useless {
		if !now.Before(a.unusableUntil) { // else it was said
			a.counter.Log.Error("a counter can't be used: its calls are decided as if the store were down", "counter", a.key, "error", err.Error())
		}
		a.unusableUntil = now.Add(unusablePause)
	}
	if a.down(now) {
		a.failWaiters(now, err)
	}
	return downPause + rand.N(min(downPause<<min(a.attempts, 10), maxPause))
}

// step makes the next operation: it resolves a write in doubt, reads what must
// be read, or builds and sends a write.
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

// next is what to do: find out about the body that was sent, send it, or,
// where there is none, read. errNothing; ErrFull.
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
		a.stuck.noteRest(time.Now(), a.counter.Patience)
		close(a.done)
		a.schedule(now)
		return nil, false, errNoWork
	}
	a.probing = false
	return nil, false, nil
}

// How long what is known of a counter decides.
const (
	// refusalKept is how old knowledge may be for a refusal, where others have a part.
	maxRefusalAge = 2 * time.Second
	// sharedKept is how old knowledge may be for a write to be built upon it, where
	// other instances write too: beyond it a read costs less than a conflict.
	maxSharedAge = 20 * time.Millisecond
	// unusableKept is how long a counter that can't be used is left alone.
	unusablePause = 5 * time.Second
)

// build decides what waits, and makes the write that its outcome needs. It
// answers refusals itself, which cost no write. Where what is known of the
// counter is too old for that, it does nothing.
func (a *replica) buildWrite(now time.Time) (body *limit.Write, known bool, err error) {
	if a.view.Live > 1 && now.Sub(a.readAt) > maxSharedAge {
		return nil, false, nil
	}
	draft := a.holder.Draft(a.stored, a.limits, now)
	draft.DropFiled(func(minute int64) bool { return a.counter.History == nil || a.filed[minute] })
	granted, known := a.decideWaiters(draft, now)
	if !known || !granted && !a.mustWrite(now) {
		return nil, known, nil
	}
	body, err = a.commit(draft, now)
	return body, true, err
}

// pending says whether there is something to do at a time.
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

// must says whether there must be a write, whatever becomes of calls.
func (a *replica) mustWrite(now time.Time) bool {
	due := a.reportAt()
	return a.renew || a.urgent && a.holder.Excess() > 0 || a.replaceRow ||
		(a.closing || a.evicting) && a.hasUnwritten() || !due.IsZero() && !now.Before(due)
}

// commit makes the write.
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

// causes are why there must be a write.
type writeReasons struct {
	since    time.Time // of the first thing that is not reported; zero: there is none
	renew    bool      // the lease is low
	urgent   bool      // much excess is not reported
	evicting bool      // the account is to be forgotten
}

// restore has what a write that failed was made for be as pressing as before.
func (c *writeReasons) restore(sent writeReasons) {
	if c.since.IsZero() || !sent.since.IsZero() && sent.since.Before(c.since) {
		c.since = sent.since
	}
	c.urgent = c.urgent || sent.urgent // the next call sees by itself whether the lease is still low
}

// send makes a write, and settles its outcome where the store tells it.
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

// load reads the counter, and has what can't be read or can't be true replaced
// by the next write.
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

// fetch reads the counter. One that isn't there yet has no version; in the
// place of one that was edited (mend) comes what must replace it.
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
		a.counter.Log.Warn("a counter's row was edited, or written by a clock far ahead: nothing more this minute", "counter", a.key,
			"rev", state.Rev, "minute", limit.MinuteStart(state.Window))
		a.rescue(&state)
		return state.Repaired(limits, now, epochID()), version, true, nil
	case err != nil:
		return state, version, false, fmt.Errorf("read counter: %w", err)
	}
	return state, version, false, nil
}

// latest is the later of the service's time as it is known and as one answer has
// it: an answer alone is not believed, but for a counter to be in order.
func latest(now, date time.Time) time.Time {
	if date.After(now) {
		return date
	}
	return now
}

// keep takes a state as what is stored. The lock is held.
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
	if !a.down(now) && state.Window >= limit.Minute(now) { // else it doesn't know yet what passed this minute
		a.outage = outage{}
	}
}

// resolve finds out what became of a write whose answer did not come, or came
// too late. Where nobody can know yet, the same is sent again.
func (a *replica) resolve(body *limit.Write) error {
	state, version, mend, err := a.fetch()
	if err != nil {
		return err
	}
	now := a.counter.clock.now()
	a.mu.Lock()
	changed := version != a.version
	a.stuck.noteRead(changed && (version == "" || state.Epoch != a.stored.Epoch || state.Rev != a.stored.Rev))
	age := time.Since(a.sentAt) // by a clock that nobody sets
	old := age > limit.MaxDoubt
	known, applied := a.holder.Resolve(&state, changed, body.Built.Add(age))
	switch {
	case !known:
		a.mu.Unlock()
		return a.send(body)
	case old && !applied:
		a.counter.Log.Error("usage of unknown fate: a write in doubt for an hour was given up", "counter", a.key, "tokens", body.Usage().Total())
		a.counter.stats.unknownUsage.Add(body.Usage().Total())
	case !applied:
		a.writeReasons.restore(a.sentReasons)
		a.refusedUntil = time.Time{} // so that those it was to grant tokens are decided again, though they queue
	}
	defer a.mu.Unlock()
	a.refresh(state, version, now)
	a.replaceRow = mend
	if applied {
		a.afterApplied(body, now)
	}
	return nil
}

// landed goes on after a write that was applied. The lock is held.
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

package counter

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"tollgate/handler/limit"
)

// account is one counter as this instance sees it: what it last knew to be
// stored, what waits to be written, and the one write that is under way.
type account struct {
	counter *Counter
	key     string

	mu      sync.Mutex
	limits  limit.Limits
	stored  limit.State
	version Version
	read    time.Time // when stored was last known to be what is stored; zero: never
	seq     int64
	waiters []*waiter            // to be decided
	changes []func(*limit.State) // settlements and refunds to be written
	writing bool                 // a goroutine is at work
	flight  *write               // built, and not known to have failed or succeeded
}

// waiter is a call that waits for its decision.
type waiter struct {
	ask       limit.Ask
	since     time.Time
	abandoned bool // its caller has left
	answered  bool

	decision limit.Decision
	charge   limit.Charge
	err      error
	done     chan struct{}
}

// write is a state on its way to the store, with all that it carries.
type write struct {
	state   limit.State
	version Version // that it replaces
	seq     int64
	built   time.Time
	granted []*waiter
	changes []func(*limit.State)
}

func (a *account) enqueue(w *waiter, limits limit.Limits) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if limits.Version > a.limits.Version || a.limits == (limit.Limits{}) {
		a.limits = limits
	}
	a.waiters = append(a.waiters, w)
	a.work()
}

// change has a settlement or refund written, in the background.
func (a *account) change(apply func(*limit.State)) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.changes = append(a.changes, apply)
	a.work()
}

// abandon takes back a call whose caller has left. What it was granted, or is
// granted by a write under way, is returned.
func (a *account) abandon(w *waiter) {
	a.mu.Lock()
	defer a.mu.Unlock()
	w.abandoned = true
	if w.answered && w.err == nil && w.decision.Verdict == limit.Granted {
		a.giveBack(w)
		a.work()
	}
}

func (a *account) giveBack(w *waiter) {
	a.changes = append(a.changes, func(s *limit.State) { s.Cancel(w.charge) })
}

// answer lets a call go on.
func (w *waiter) answer(err error) {
	w.err, w.answered = err, true
	close(w.done)
}

// gone says that nobody waits for the decision any more.
func (w *waiter) gone() bool { return w.abandoned || w.answered }

func (a *account) idle() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return !a.writing
}

// standing is this instance's best knowledge just now, with all that isn't
// written yet.
func (a *account) standing() limit.Standing {
	a.mu.Lock()
	defer a.mu.Unlock()
	state := a.stored
	if a.flight != nil {
		state = a.flight.state
	}
	state.Advance(a.limits, a.counter.clock.now())
	for _, apply := range a.changes {
		apply(&state)
	}
	return state.Standing()
}

// work starts the account's goroutine where none is at work. The lock is held.
func (a *account) work() {
	if a.writing {
		return
	}
	a.writing = true
	a.counter.writers.Go(a.run)
}

// run writes until nothing waits any more.
func (a *account) run() {
	for tries := 0; ; {
		err := a.step()
		switch {
		case errors.Is(err, errNothing):
			return
		case err == nil:
			tries = 0
			continue
		}
		tries++
		a.expire(err)
		time.Sleep(backOff(tries, err)) // nothing is held meanwhile
	}
}

// errNothing says that nothing waits.
var errNothing = errors.New("nothing waits")

// Back-off between tries. After a conflict little is enough, since a failed
// write doesn't hinder the others; a store that is down is left more time.
const (
	conflictPause = 2 * time.Millisecond
	downPause     = 50 * time.Millisecond
	maxPause      = 2 * time.Second
)

func backOff(tries int, err error) time.Duration {
	pause := downPause
	if errors.Is(err, ErrConflict) {
		pause = conflictPause
	}
	return rand.N(min(pause<<min(tries, 10), maxPause))
}

// step makes the next operation: it resolves a write in doubt, reads what must
// be read, or builds and sends a write.
func (a *account) step() error {
	a.mu.Lock()
	flight, unknown := a.flight, a.read.IsZero()
	a.mu.Unlock()
	switch {
	case flight != nil:
		return a.resolve(flight)
	case unknown:
		return a.load()
	}
	flight, err := a.build()
	if flight == nil || err != nil {
		return err
	}
	return a.send(flight)
}

// How long what is known of a counter decides.
const (
	// refusalKept is how long a refusal needs no new look at the counter.
	refusalKept = 2 * time.Second
	// sharedKept is how old knowledge may be for a write to be built upon it, where
	// other instances write too: beyond it a read costs less than a conflict.
	sharedKept = 20 * time.Millisecond
	// slotLive is how long after its last write an instance counts as live.
	slotLive = 10 * time.Second
)

// build decides what waits, and makes the write that its outcome needs. It
// answers refusals itself, upon fresh knowledge, which cost no write.
func (a *account) build() (*write, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.waiters = slices.DeleteFunc(a.waiters, (*waiter).gone)
	if len(a.waiters) == 0 && len(a.changes) == 0 {
		a.writing = false
		return nil, errNothing
	}
	now, known := a.counter.clock.now(), time.Since(a.read)
	if known > sharedKept && a.stored.Live(a.counter.instance, now) > 0 {
		a.read = time.Time{}
		return nil, nil
	}
	state := a.stored
	state.Advance(a.limits, now)
	for _, apply := range a.changes {
		apply(&state)
	}
	granted, settled := decide(&state, a.waiters, now)
	if len(settled) > 0 && known > refusalKept {
		a.read = time.Time{}
		return nil, nil
	}
	for _, w := range settled {
		w.answer(nil)
	}
	a.waiters = nil
	if len(granted) == 0 && len(a.changes) == 0 {
		return nil, nil
	}
	a.seq++
	state.Mark(a.counter.instance, a.seq, now, now.Add(slotLive))
	state.Rev++
	a.flight = &write{state: state, version: a.version, seq: a.seq, built: time.Now(), granted: granted, changes: a.changes}
	a.changes = nil
	return a.flight, nil
}

// decide goes through the calls in their order: those that are granted tokens
// wait for the write, all others need none.
func decide(state *limit.State, waiters []*waiter, now time.Time) (granted, settled []*waiter) {
	for _, w := range waiters {
		w.decision, w.charge = state.Reserve(w.ask, now)
		if w.decision.Verdict == limit.Granted && w.decision.Tokens > 0 {
			granted = append(granted, w)
		} else {
			settled = append(settled, w)
		}
	}
	return granted, settled
}

// send makes a write, and settles its outcome where the store tells it.
func (a *account) send(w *write) error {
	ctx, cancel := context.WithTimeout(context.Background(), a.counter.OperationTimeout)
	defer cancel()
	version, date, err := a.counter.Store.Swap(ctx, a.key, w.state, w.version)
	a.counter.clock.observe(date)
	if err != nil {
		return fmt.Errorf("write counter: %w", err) // in doubt: resolve reads
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.stored, a.version, a.read = w.state, version, time.Now()
	a.landed(w)
	return nil
}

// load reads the counter, and has what can't be read or can't be true replaced
// by the next write.
func (a *account) load() error {
	state, version, err := a.fetch()
	if err != nil {
		return err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.keep(state, version)
	return nil
}

// fetch reads the counter. A counter that isn't there
// yet has no version.
func (a *account) fetch() (limit.State, Version, error) {
	ctx, cancel := context.WithTimeout(context.Background(), a.counter.OperationTimeout)
	defer cancel()
	state, version, date, err := a.counter.Store.Load(ctx, a.key)
	a.counter.clock.observe(date)
	now := a.counter.clock.now()
	a.mu.Lock()
	limits := a.limits
	a.mu.Unlock()
	switch {
	case errors.Is(err, ErrNotFound):
		return limit.New(limits, now, random(8)), "", nil
	case errors.Is(err, ErrEdited), err == nil && !state.Plausible(now):
		a.counter.Log.Warn("a counter's row was edited: nothing more this minute", "counter", a.key)
		return state.Repaired(limits, now, random(8)), version, nil
	case err != nil:
		return state, version, fmt.Errorf("read counter: %w", err)
	}
	return state, version, nil
}

// keep takes a state as what is stored. The lock is held.
func (a *account) keep(state limit.State, version Version) {
	a.stored, a.version, a.read = state, version, time.Now()
}

// doubtKept is how long the mark of a write is sure to be kept in the counter:
// an older doubt can't be told from a write that never arrived.
const doubtKept = time.Hour

// resolve finds out what became of a write whose answer did not come. It was
// applied where the counter bears its number. Where the counter has changed
// without it, it never will be, and what it carried waits again. Where nothing
// has changed it may still be on its way, so the same is sent again.
func (a *account) resolve(w *write) error {
	state, version, err := a.fetch()
	if err != nil {
		return err
	}
	switch {
	case state.Seq(a.counter.instance) >= w.seq:
		a.mu.Lock()
		defer a.mu.Unlock()
		a.keep(state, version)
		a.landed(w)
		return nil
	case time.Since(w.built) > doubtKept:
		a.counter.Log.Error("usage of unknown fate: a write in doubt for an hour was given up", "counter", a.key, "parts", len(w.changes))
		w.changes = nil
	case version == w.version:
		return a.send(w)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.flight = nil
	a.waiters = append(w.granted, a.waiters...)
	a.changes = append(w.changes, a.changes...)
	a.keep(state, version)
	return nil
}

// landed answers the calls that a write granted. The lock is held.
func (a *account) landed(w *write) {
	a.flight = nil
	for _, granted := range w.granted {
		if granted.gone() {
			a.giveBack(granted)
			continue
		}
		granted.answer(nil)
	}
}

// expire gives up calls that have waited too long for a store that doesn't answer.
func (a *account) expire(err error) {
	if errors.Is(err, ErrConflict) {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	waiting := a.waiters
	if a.flight != nil {
		waiting = append(slices.Clone(waiting), a.flight.granted...)
	}
	for _, w := range waiting {
		if !w.gone() && time.Since(w.since) >= a.counter.Patience {
			w.answer(fmt.Errorf("%w: %w", ErrUnavailable, err))
		}
	}
}

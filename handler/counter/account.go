package counter

import (
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"tollgate/handler/limit"
)

// account is one counter as this instance sees it: what it last knew to be
// stored, its lease, the calls that wait, and the one write that is under way.
// All times are the service's.
type account struct {
	counter *Counter
	key     string
	share   float64 // of a horizon, after which this instance reports

	mu     sync.Mutex
	limits limit.Limits // the newest that a call came with
	holder limit.Holder
	demand limit.Demand

	stored  limit.State
	version Version
	view    limit.View // of stored
	read    time.Time  // when stored was last known to be what is stored; zero: it must be read again
	kept    int        // how often it became known

	waiters []*waiter // to be decided, or parked until there are tokens, in their order
	looks   []*waiter // to be told where the counter stands
	writing bool      // a goroutine is at work
	done    chan struct{}
	tries   int // of the write in the making, in vain
	stuck   stuck

	causes            // of the next write
	sent    causes    // of the one under way
	built   time.Time // when that was built, by this machine's monotonic clock
	timer   *time.Timer
	due     time.Time     // when the timer fires; zero: it is off
	busy    time.Time     // of the last call's begin or end
	low     int64         // a lease with less left is renewed
	size    int64         // of the lease, when it was taken
	scarce  bool          // the last write found too little for leases
	mend    bool          // the stored row was edited, and must be replaced
	going   bool          // this instance stops
	hurry   chan struct{} // closed then
	probing bool          // the store is to be tried
	calls   int           // that hold reservations
	owed    int64         // reserved by those of them that were decided without the store, tokens

	refused  time.Time // until when a refusal holds without another look
	unusable time.Time // until when the counter counts as down, whatever the store does
	probed   time.Time // when the store was last tried for its own sake
	outage   outage
	rescued  string         // the epoch of the last counter that was replaced
	filed    map[int64]bool // closed minutes whose rows are written (true) or being written
}

func newAccount(c *Counter, key string) *account {
	a := &account{counter: c, key: key, filed: make(map[int64]bool), hurry: make(chan struct{}), share: earliestReport + rand.Float64()*(latestReport-earliestReport)}
	a.timer = time.AfterFunc(time.Hour, a.wake)
	a.timer.Stop()
	return a
}

// waiter is a call that waits for its decision.
type waiter struct {
	ask      limit.Ask
	onDown   limit.StoreDown
	begun    time.Time
	wait     time.Duration // that it may queue for
	parked   bool          // it queues for tokens
	granted  int64         // by the write under way
	answered bool
	kept     int // the account's, when it was asked where the counter stands
	outcome  outcome
	done     chan struct{}
}

type outcome struct {
	reservation *Reservation
	decision    limit.Decision
	err         error
}

// deadline is until when a call may queue.
func (w *waiter) deadline() time.Time { return w.begun.Add(w.wait) }

// answer lets a call go on.
func (w *waiter) answer(out outcome) {
	w.outcome, w.answered = out, true
	close(w.done)
}

// reserve decides by what this instance holds and knows, or has the call wait.
func (a *account) reserve(terms Terms, ask limit.Ask) (outcome, *waiter) {
	now := a.counter.clock.now()
	a.mu.Lock()
	defer a.mu.Unlock()
	a.adopt(terms.Limits, now)
	if most := a.limits.Most(ask); most > 0 {
		a.demand.Note(most, now)
	}
	if len(a.waiters) == 0 {
		if charge, ok := a.holder.Take(ask.Tokens, now); ok {
			return a.granted(charge, ask, now), nil
		}
	}
	if a.cutOff(now) {
		a.probe(now)
		return a.withoutStore(ask, terms.OnStoreDown, now), nil
	}
	w := &waiter{ask: ask, onDown: terms.OnStoreDown, begun: now, wait: terms.MaxWait, done: make(chan struct{})}
	if now.Before(a.refused) {
		if refusal, worth := a.worthAsking(w, now); !worth {
			return a.refuse(ask, refusal), nil
		}
	}
	a.busy = now
	a.waiters = append(a.waiters, w)
	if w.parked {
		a.schedule(now)
	} else {
		a.work()
	}
	return outcome{}, w
}

// adopt takes newer limits: what was refused by older ones is asked again, and a
// store that is down leaves another share.
func (a *account) adopt(limits limit.Limits, now time.Time) {
	if limits.Version > a.limits.Version || a.limits == (limit.Limits{}) {
		a.limits = limits
		a.refused = time.Time{}
		if a.seen() {
			a.view = a.stored.View(&a.holder, limits, now)
		}
		if a.outage.minute == limit.Minute(now) {
			a.outage.allowed = a.allowance(now)
		}
		a.retry(now)
	}
}

// granted makes the outcome for a call that was reserved tokens of the lease.
func (a *account) granted(charge limit.Charge, ask limit.Ask, now time.Time) outcome {
	a.calls++
	a.touch(now)
	if a.holder.Left(now) < a.low && !a.scarce && !a.renew && !now.Before(a.refused) {
		a.renew = true
		a.work()
	}
	return outcome{
		reservation: &Reservation{account: a, charge: charge},
		decision:    limit.Decision{Tokens: charge.Tokens, Least: ask.Least(), Standing: a.holder.Standing(&a.view, now)},
	}
}

// refuse makes the outcome for a call that was refused. In shadow it goes on.
func (a *account) refuse(ask limit.Ask, d limit.Decision) outcome {
	if ask.Bound {
		return outcome{decision: d}
	}
	a.counter.stats.refused.Add(1)
	a.holder.Refuse()
	out := outcome{decision: d}
	if ask.Shadow {
		a.calls++
		out.reservation = &Reservation{account: a, charge: limit.Free()}
	}
	return out
}

// touch notes that a call began or ended: what it changed is due to be reported.
func (a *account) touch(now time.Time) {
	a.busy = now
	if !a.holder.Unreported() {
		a.since = time.Time{}
	} else if a.since.IsZero() {
		a.since = now
	}
	if !a.writing { // else it is done when that is over
		a.schedule(now)
	}
}

func (a *account) settle(r *Reservation, usage limit.Usage) limit.Standing {
	now := a.counter.clock.now()
	a.mu.Lock()
	defer a.mu.Unlock()
	if r.over {
		return a.asKnown(now)
	}
	r.over = true
	a.owed -= r.owed
	a.holder.Settle(r.charge, usage)
	a.outage.correct(r, usage.Total()-r.counted(), now)
	if excess := usage.Total() - r.charge.Held(); excess > 0 {
		a.demand.Excess(excess, now)
		a.urgent = a.urgent || a.pressing(now)
	}
	a.ended(now)
	return a.asKnown(now)
}

// raise charges an open call more than it reserved. One that was decided without
// the store is owed no more: what it is charged waits for the next write.
func (a *account) raise(r *Reservation, tokens int64) limit.Standing {
	now := a.counter.clock.now()
	a.mu.Lock()
	defer a.mu.Unlock()
	tokens = min(tokens, mostOwed)
	more := tokens - r.counted()
	if r.over || more <= 0 {
		return a.asKnown(now)
	}
	a.holder.Raise(&r.charge, tokens)
	a.owed -= r.owed
	r.owed = 0
	a.outage.correct(r, more, now)
	a.demand.Excess(more, now)
	a.urgent = a.urgent || a.pressing(now)
	a.touch(now)
	if a.urgent || a.going {
		a.work()
	}
	return a.asKnown(now)
}

func (a *account) cancel(r *Reservation) limit.Standing {
	now := a.counter.clock.now()
	a.mu.Lock()
	defer a.mu.Unlock()
	if !r.over {
		r.over = true
		a.owed -= r.owed
		a.holder.Cancel(r.charge)
		a.outage.correct(r, -r.counted(), now)
		a.ended(now)
	}
	return a.asKnown(now)
}

// pressing says whether so much excess is unreported that others must know at
// once: more than the lease was, or a quarter of this instance's share. Where
// nothing is left anyway there is no hurry.
func (a *account) pressing(now time.Time) bool {
	excess := a.holder.Excess()
	if excess == 0 {
		return false
	}
	left := a.view.Left(now)
	return left > 0 && (excess > a.size || excess > left/int64(4*max(a.view.Live, 1)))
}

// ended has the end of a call reported, and waiting calls tried again with
// what it gave back.
func (a *account) ended(now time.Time) {
	a.calls--
	a.touch(now)
	if a.holder.Returns() {
		a.refused = time.Time{}
	}
	if a.urgent || a.going {
		a.work()
	}
	a.retry(now)
}

// abandon takes back a call whose caller has left. What it was granted is
// returned; what a write under way gets for it is ordinary lease.
func (a *account) abandon(w *waiter) {
	a.mu.Lock()
	if !w.answered {
		w.answered = true
		a.waiters = slices.DeleteFunc(a.waiters, func(other *waiter) bool { return other == w })
		a.retry(a.counter.clock.now())
		a.mu.Unlock()
		return
	}
	a.mu.Unlock()
	if w.outcome.reservation != nil {
		w.outcome.reservation.Cancel()
	}
}

// standing is where the counter stands as far as this instance knows, if it does.
func (a *account) standing() (limit.Standing, bool) {
	now := a.counter.clock.now()
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.holder.Standing(&a.view, now), a.seen()
}

// look has the caller told where the counter stands.
func (a *account) look(limits limit.Limits) *waiter {
	now := a.counter.clock.now()
	a.mu.Lock()
	defer a.mu.Unlock()
	a.adopt(limits, now)
	w := &waiter{kept: a.kept, done: make(chan struct{})}
	switch {
	case a.seen() && (now.Sub(a.read) < refusalKept || a.cutOff(now)):
		w.answer(a.told(now))
	case a.cutOff(now):
		a.probe(now)
		w.answer(outcome{err: ErrUnavailable})
	default:
		a.looks = append(a.looks, w)
		a.work()
	}
	return w
}

func (a *account) told(now time.Time) outcome {
	return outcome{decision: limit.Decision{Standing: a.holder.Standing(&a.view, now)}}
}

// forget says that nothing is lost with this account. Where all that would be lost
// waits for a write, it has that made, if the store is there. The timer stays: a
// call that had found the account before may yet need it.
func (a *account) forget() bool {
	now := a.counter.clock.now()
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.writing || a.calls > 0 || len(a.waiters) > 0 || now.Sub(a.busy) < time.Minute {
		return false
	}
	if !a.holds() {
		return true
	}
	if a.parting = !a.down(now); a.parting {
		a.work()
	}
	return false
}

// holds says whether anything is to be written or returned: refusals, too, which
// otherwise cause no write.
func (a *account) holds() bool { return !a.holder.Silent() || a.holder.Holds() > 0 }

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
type replica struct {
	counter     *Counter
	key         string
	reportShare float64 // of a horizon, after which this instance reports

	mu     sync.Mutex
	limits limit.Limits // the newest that a call came with
	holder limit.Holder
	demand limit.Demand

	stored    limit.State
	version   Version
	view      limit.View // of stored
	readAt    time.Time  // when stored was last known to be what is stored; zero: it must be read again
	refreshes int        // how often it became known

	waiters       []*waiter // to be decided, or parked until there are tokens, in their order
	statusWaiters []*waiter // to be told where the counter stands
	running       bool      // a goroutine is at work
	done          chan struct{}
	attempts      int // of the write in the making, in vain
	stuck         stuck

	writeReasons              // of the next write
	sentReasons  writeReasons // of the one under way
	sentAt       time.Time    // when that was built, by this machine's monotonic clock
	timer        *time.Timer
	timerAt      time.Time     // when the timer fires; zero: it is off
	lastCall     time.Time     // of the last call's begin or end
	renewBelow   int64         // a lease with less left is renewed
	leaseSize    int64         // of the lease, when it was taken
	scarce       bool          // the last write found too little for leases
	replaceRow   bool          // the stored row was edited, and must be replaced
	closing      bool          // this instance stops
	hurry        chan struct{} // closed then
	probing      bool          // the store is to be tried
	openCalls    int           // that hold reservations
	owed         int64         // reserved by those of them that were decided without the store, tokens

	refusedUntil  time.Time // until when a refusal holds without another look
	unusableUntil time.Time // until when the counter counts as down, whatever the store does
	probedAt      time.Time // when the store was last tried for its own sake
	outage        outage
	rescuedEpoch  string         // the epoch of the last counter that was replaced
	filed         map[int64]bool // closed minutes whose rows are written (true) or being written
}

func newReplica(c *Counter, key string) *replica {
	a := &replica{counter: c, key: key, filed: make(map[int64]bool), hurry: make(chan struct{}), reportShare: minReportShare + rand.Float64()*(maxReportShare-minReportShare)}
	a.timer = time.AfterFunc(time.Hour, a.wake)
	a.timer.Stop()
	return a
}

// waiter is a call that waits for its decision.
type waiter struct {
	ask             limit.Ask
	onDown          limit.StoreDown
	begun           time.Time
	wait            time.Duration // that it may queue for
	parked          bool          // it queues for tokens
	granted         int64         // by the write under way
	answered        bool
	refreshesBefore int // the account's, when it was asked where the counter stands
	outcome         outcome
	done            chan struct{}
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
func (a *replica) reserve(terms Terms, ask limit.Ask) (outcome, *waiter) {
	now := a.counter.clock.now()
	a.mu.Lock()
	defer a.mu.Unlock()
	a.adoptLimits(terms.Limits, now)
	if most := a.limits.MaxGrant(ask); most > 0 {
		a.demand.AddCall(most, now)
	}
	if len(a.waiters) == 0 {
		if charge, ok := a.holder.Reserve(ask.Tokens, now); ok {
			return a.grantOutcome(charge, ask, now), nil
		}
	}
	if a.bypassStore(now) {
		a.probe(now)
		return a.withoutStore(ask, terms.OnStoreDown, now), nil
	}
	w := &waiter{ask: ask, onDown: terms.OnStoreDown, begun: now, wait: terms.MaxWait, done: make(chan struct{})}
	if now.Before(a.refusedUntil) {
		if refusal, worth := a.worthAsking(w, now); !worth {
			return a.refuseOutcome(ask, refusal), nil
		}
	}
	a.lastCall = now
	a.waiters = append(a.waiters, w)
	if w.parked {
		a.schedule(now)
	} else {
		a.kick()
	}
	return outcome{}, w
}

// adopt takes newer limits: what was refused by older ones is asked again, and a
// store that is down leaves another share.
func (a *replica) adoptLimits(limits limit.Limits, now time.Time) {
	if limits.Version > a.limits.Version || a.limits == (limit.Limits{}) {
		a.limits = limits
		a.refusedUntil = time.Time{}
		if a.everRead() {
			a.view = a.stored.View(&a.holder, limits, now)
		}
		if a.outage.minute == limit.Minute(now) {
			a.outage.allowed = a.allowance(now)
		}
		a.retryWaiters(now)
	}
}

// granted makes the outcome for a call that was reserved tokens of the lease.
func (a *replica) grantOutcome(charge limit.Charge, ask limit.Ask, now time.Time) outcome {
	a.openCalls++
	a.touch(now)
	if a.holder.Left(now) < a.renewBelow && !a.scarce && !a.renew && !now.Before(a.refusedUntil) {
		a.renew = true
		a.kick()
	}
	return outcome{
		reservation: &Reservation{replica: a, charge: charge},
		decision:    limit.Decision{Tokens: charge.Tokens, MinTokens: ask.Needed(), Standing: a.holder.Standing(&a.view, now)},
	}
}

// refuse makes the outcome for a call that was refused. In shadow it goes on.
func (a *replica) refuseOutcome(ask limit.Ask, d limit.Decision) outcome {
	if ask.UpperBound {
		return outcome{decision: d}
	}
	a.holder.Refuse()
	out := outcome{decision: d}
	if ask.Shadow {
		a.openCalls++
		out.reservation = &Reservation{replica: a, charge: limit.FreeCharge()}
	}
	return out
}

// touch notes that a call began or ended: what it changed is due to be reported.
func (a *replica) touch(now time.Time) {
	a.lastCall = now
	if !a.holder.MustReport() {
		a.since = time.Time{}
	} else if a.since.IsZero() {
		a.since = now
	}
	if !a.running { // else it is done when that is over
		a.schedule(now)
	}
}

func (a *replica) settle(r *Reservation, usage limit.Usage) limit.Standing {
	now := a.counter.clock.now()
	a.mu.Lock()
	defer a.mu.Unlock()
	if r.over {
		return a.lastStanding(now)
	}
	r.over = true
	a.owed -= r.owed
	a.holder.Settle(r.charge, usage)
	a.outage.adjust(r, usage.Total()-r.counted(), now)
	if excess := usage.Total() - r.charge.Held(); excess > 0 {
		a.demand.AddExcess(excess, now)
		a.urgent = a.urgent || a.excessUrgent(now)
	}
	a.callEnded(now)
	return a.lastStanding(now)
}

// raise charges an open call more than it reserved. One that was decided without
// the store is owed no more: what it is charged waits for the next write.
func (a *replica) raise(r *Reservation, tokens int64) limit.Standing {
	now := a.counter.clock.now()
	a.mu.Lock()
	defer a.mu.Unlock()
	tokens = min(tokens, maxOwed)
	more := tokens - r.counted()
	if r.over || more <= 0 {
		return a.lastStanding(now)
	}
	a.holder.Raise(&r.charge, tokens)
	a.owed -= r.owed
	r.owed = 0
	a.outage.adjust(r, more, now)
	a.demand.AddExcess(more, now)
	a.urgent = a.urgent || a.excessUrgent(now)
	a.touch(now)
	if a.urgent || a.closing {
		a.kick()
	}
	return a.lastStanding(now)
}

func (a *replica) cancel(r *Reservation) limit.Standing {
	now := a.counter.clock.now()
	a.mu.Lock()
	defer a.mu.Unlock()
	if !r.over {
		r.over = true
		a.owed -= r.owed
		a.holder.Cancel(r.charge)
		a.outage.adjust(r, -r.counted(), now)
		a.callEnded(now)
	}
	return a.lastStanding(now)
}

// pressing says whether so much excess is unreported that others must know at
// once: more than the lease was, or a quarter of this instance's share. Where
// nothing is left anyway there is no hurry.
func (a *replica) excessUrgent(now time.Time) bool {
	excess := a.holder.Excess()
	if excess == 0 {
		return false
	}
	left := a.view.Left(now)
	return left > 0 && (excess > a.leaseSize || excess > left/int64(4*max(a.view.Live, 1)))
}

// ended has the end of a call reported, and waiting calls tried again with
// what it gave back.
func (a *replica) callEnded(now time.Time) {
	a.openCalls--
	a.touch(now)
	if a.holder.HasRefunds() {
		a.refusedUntil = time.Time{}
	}
	if a.urgent || a.closing {
		a.kick()
	}
	a.retryWaiters(now)
}

// abandon takes back a call whose caller has left. What it was granted is
// returned; what a write under way gets for it is ordinary lease.
func (a *replica) abandon(w *waiter) {
	a.mu.Lock()
	if !w.answered {
		w.answered = true
		a.waiters = slices.DeleteFunc(a.waiters, func(other *waiter) bool { return other == w })
		a.retryWaiters(a.counter.clock.now())
		a.mu.Unlock()
		return
	}
	a.mu.Unlock()
	if w.outcome.reservation != nil {
		w.outcome.reservation.Cancel()
	}
}

// standing is where the counter stands as far as this instance knows, if it does.
func (a *replica) standing() (limit.Standing, bool) {
	now := a.counter.clock.now()
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.holder.Standing(&a.view, now), a.everRead()
}

// look has the caller told where the counter stands.
func (a *replica) status(limits limit.Limits) *waiter {
	now := a.counter.clock.now()
	a.mu.Lock()
	defer a.mu.Unlock()
	a.adoptLimits(limits, now)
	w := &waiter{refreshesBefore: a.refreshes, done: make(chan struct{})}
	switch {
	case a.everRead() && (now.Sub(a.readAt) < maxRefusalAge || a.bypassStore(now)):
		w.answer(a.statusOutcome(now))
	case a.bypassStore(now):
		a.probe(now)
		w.answer(outcome{err: ErrUnavailable})
	default:
		a.statusWaiters = append(a.statusWaiters, w)
		a.kick()
	}
	return w
}

func (a *replica) statusOutcome(now time.Time) outcome {
	return outcome{decision: limit.Decision{Standing: a.holder.Standing(&a.view, now)}}
}

// forget says that nothing is lost with this account. Where all that would be lost
// waits for a write, it has that made, if the store is there. The timer stays: a
// call that had found the account before may yet need it.
func (a *replica) evict() bool {
	now := a.counter.clock.now()
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.running || a.openCalls > 0 || len(a.waiters) > 0 || now.Sub(a.lastCall) < time.Minute {
		return false
	}
	if !a.hasUnwritten() {
		return true
	}
	if a.evicting = !a.down(now); a.evicting {
		a.kick()
	}
	return false
}

// holds says whether anything is to be written or returned: refusals, too, which
// otherwise cause no write.
func (a *replica) hasUnwritten() bool {
	return !a.holder.NothingToReport() || a.holder.LeasedTokens() > 0
}

package counter

import (
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"tollgate/handler/limit"
)

// A replica is one counter as this instance sees it: the last known stored
// state, its lease, the calls that wait, and the one write under way. All
// times are Table Storage's clock (see clock.go) unless they say otherwise.
type replica struct {
	counter     *Counter
	key         string
	reportShare float64 // share of a horizon after which this instance reports

	mu     sync.Mutex
	limits limit.Limits // newest limits of any call
	holder limit.Holder
	demand limit.Demand

	stored    limit.State
	version   Version
	view      limit.View // of stored
	readAt    time.Time  // when stored was last known to be current; zero: it must be read again
	refreshes int        // number of times stored was refreshed

	waiters       []*waiter // calls to be decided, or parked until there are tokens, in order of arrival
	statusWaiters []*waiter // callers that wait for the standing
	running       bool      // loop is running
	done          chan struct{}
	attempts      int // failed attempts at the current write
	stuck         stuck

	writeReasons              // for the next write
	sentReasons  writeReasons // for the one under way
	sentAt       time.Time    // when that was built, by this machine's monotonic clock
	timer        *time.Timer
	timerAt      time.Time     // when the timer fires; zero: it is off
	lastCall     time.Time     // when a call last began or ended
	renewBelow   int64         // a lease with less left is renewed
	leaseSize    int64         // tokens of the lease when it was taken
	scarce       bool          // the last write found too little for leases
	replaceRow   bool          // the stored row was edited, and must be replaced
	closing      bool          // this instance is stopping
	hurry        chan struct{} // closed when closing is set
	probing      bool          // probe the store although nothing needs writing
	openCalls    int           // calls that hold reservations
	owed         int64         // tokens reserved by those of them that were decided without the store

	refusedUntil  time.Time // until then, refuse without reading the row again
	unusableUntil time.Time // until then, the counter counts as down, even if the store is up
	probedAt      time.Time // when the store was last probed
	outage        outage
	rescuedEpoch  string         // epoch of the last row that was replaced
	filed         map[int64]bool // closed minutes whose rows are written (true) or being written
}

func newReplica(c *Counter, key string) *replica {
	a := &replica{counter: c, key: key, filed: make(map[int64]bool), hurry: make(chan struct{}), reportShare: minReportShare + rand.Float64()*(maxReportShare-minReportShare)}
	a.timer = time.AfterFunc(time.Hour, a.wake)
	a.timer.Stop()
	return a
}

// A waiter is a call that waits for its decision, or a caller that waits for
// the standing.
type waiter struct {
	ask             limit.Ask
	onDown          limit.StoreDown
	begun           time.Time
	wait            time.Duration // longest time in the queue
	parked          bool          // it queues for tokens
	granted         int64         // tokens granted by the write under way
	answered        bool
	refreshesBefore int // refreshes when the standing was asked for
	outcome         outcome
	done            chan struct{}
}

type outcome struct {
	reservation *Reservation
	decision    limit.Decision
	err         error
}

// deadline returns the time when the call must leave the queue.
func (w *waiter) deadline() time.Time { return w.begun.Add(w.wait) }

// answer delivers the outcome.
func (w *waiter) answer(out outcome) {
	w.outcome, w.answered = out, true
	close(w.done)
}

// reserve decides the call from what this instance holds and knows, or
// returns a waiter.
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

// adoptLimits takes newer limits. Calls refused under older ones are tried
// again, and a store that is down leaves another share.
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

// grantOutcome makes the outcome of a call that reserved tokens of the lease.
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

// refuseOutcome makes the outcome of a refused call. In shadow the call goes
// on.
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

// touch records that a call began or ended, and schedules the report of what
// it changed.
func (a *replica) touch(now time.Time) {
	a.lastCall = now
	if !a.holder.MustReport() {
		a.since = time.Time{}
	} else if a.since.IsZero() {
		a.since = now
	}
	if !a.running { // otherwise loop schedules when it ends
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

// raise charges an open call more than it reserved. A call decided without
// the store is then no longer owed: the next write charges it.
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

// excessUrgent reports whether so much excess is unreported that others must
// know at once: more than the lease was, or a quarter of this instance's
// share. If nothing is left anyway, it isn't urgent.
func (a *replica) excessUrgent(now time.Time) bool {
	excess := a.holder.Excess()
	if excess == 0 {
		return false
	}
	left := a.view.Left(now)
	return left > 0 && (excess > a.leaseSize || excess > left/int64(4*max(a.view.Live, 1)))
}

// callEnded schedules the report of a call's end, and retries waiting calls
// with what it gave back.
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

// abandon removes a call whose caller has left. Its grant is returned; tokens
// that a write under way gets for it become ordinary lease.
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

// standing returns the counter's standing as far as this instance knows, and
// whether it knows any.
func (a *replica) standing() (limit.Standing, bool) {
	now := a.counter.clock.now()
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.holder.Standing(&a.view, now), a.everRead()
}

// status returns a waiter for the counter's standing.
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

// evict reports whether nothing is lost with this replica. If only what a
// write would save is lost, it starts that write, unless the store is down.
// The timer stays: a call that found the replica before may still need it.
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

// hasUnwritten reports whether anything must be written or returned. That
// includes refusals, which otherwise cause no write.
func (a *replica) hasUnwritten() bool {
	return !a.holder.NothingToReport() || a.holder.LeasedTokens() > 0
}

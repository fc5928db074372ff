// Package counter drives the counters that all instances share. What to do
// with a counter is decided by lease.Agent, which is pure; this package gives
// it what it lacks: a lock, a goroutine for the one operation under way, a
// timer, the store, its time and whether it is down.
//
// Start with Counter.Reserve and replica.follow.
package counter

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"tollgate/handler/lease"
	"tollgate/handler/limit"
)

// ErrUnavailable: the counters can't be reached, so nothing was decided.
var ErrUnavailable = errors.New("the counters can't be reached")

// Config configures a Counter. Store and Log are required.
type Config struct {
	Store Store
	Log   *slog.Logger
	// OperationTimeout bounds one operation of the store; default 1 s.
	OperationTimeout time.Duration
	// SlowOperation: an operation that takes longer counts as failed. Three
	// failures in a row mean that the store is down. Default 250 ms.
	SlowOperation time.Duration
	// Patience is the time after which the store counts as down if all operations
	// fail; default 2 s.
	Patience time.Duration
	// Alert is called once an instance's write has reached a percent of a counter's
	// quota that is to be told: by one instance of all, once a period, without locks.
	// The counter's next operation waits for it. Default: nobody is told.
	Alert func(Alert)
	// Now returns this machine's time, with a monotonic reading; default time.Now.
	Now func() time.Time
}

// Terms are the rules by which a call is decided.
type Terms = lease.Terms

// An Alert tells that this percent of a counter's quota is used. If the use jumps
// over several percents that are to be told, it is the highest. An instance that ends
// before it knows that its write was applied doesn't tell it, and no other does.
type Alert struct {
	Key string
	lease.Alert
}

// A Counter decides whether calls may spend amounts. Make one with New.
type Counter struct {
	config Config
	clock  clock
	health health
	stats  stats
	began  time.Time
	lastID atomic.Int64 // of calls and questions, in their order

	mu       sync.RWMutex
	replicas map[string]*replica
	draining bool // no call may queue any more
	closed   bool
}

// New returns a Counter.
func New(config Config) *Counter {
	orElse := func(d *time.Duration, usual time.Duration) {
		if *d == 0 {
			*d = usual
		}
	}
	orElse(&config.OperationTimeout, time.Second)
	orElse(&config.SlowOperation, 250*time.Millisecond)
	orElse(&config.Patience, 2*time.Second)
	if config.Alert == nil {
		config.Alert = func(Alert) {}
	}
	c := &Counter{config: config, began: time.Now(), replicas: make(map[string]*replica)}
	c.health.slow, c.health.patience = config.SlowOperation, config.Patience
	c.clock.start(config.Now)
	return c
}

// random returns random bytes in base64url, safe within a row.
func random(bytes int) string {
	raw := make([]byte, bytes)
	_, _ = rand.Read(raw) // never fails since Go 1.24
	return base64.RawURLEncoding.EncodeToString(raw)
}

// slotID and epochID make the ids of a slot and of a counter's epoch.
func slotID() string  { return random(6) }
func epochID() string { return random(8) }

// now returns the moment of an event.
func (c *Counter) now() lease.Moment {
	return lease.Moment{Time: c.clock.now(), Uptime: time.Since(c.began), Store: c.health.condition()}
}

// Now returns the counters' time: the store's, as far as it is known.
func (c *Counter) Now() time.Time { return c.clock.now() }

// Reserve decides whether a call may spend an amount of a counter, now or within
// the terms' MaxWait. Over the limit is a decision, not an error: then there
// is no reservation, except for a call in shadow, which gets one that is
// charged to no limit. The error wraps ErrUnavailable if nothing could be
// decided; otherwise it is ctx's.
func (c *Counter) Reserve(ctx context.Context, key string, terms Terms, ask limit.Ask) (*Reservation, limit.Decision, error) {
	r, err := c.replica(key)
	if err != nil {
		return nil, limit.Decision{}, err
	}
	answer, err := r.ask(ctx, func(at lease.Moment, id int64) (lease.Answer, bool) { return r.agent.Reserve(at, id, terms, ask) })
	if err != nil || !answer.Held {
		return nil, answer.Decision, err
	}
	return &Reservation{replica: r, hold: answer.Hold}, answer.Decision, nil
}

// Standing returns a counter's standing, at most seconds old. The error wraps
// ErrUnavailable, or is ctx's.
func (c *Counter) Standing(ctx context.Context, key string, terms Terms) (limit.Standing, error) {
	r, err := c.replica(key)
	if err != nil {
		return limit.Standing{}, err
	}
	answer, err := r.ask(ctx, func(at lease.Moment, id int64) (lease.Answer, bool) { return r.agent.Status(at, id, terms.Limits) })
	return answer.Decision.Standing, err
}

// Known returns a counter's standing as far as this instance knows it without
// asking, and whether it does.
func (c *Counter) Known(key string) (standing limit.Standing, known bool) {
	c.mu.RLock()
	r := c.replicas[key]
	c.mu.RUnlock()
	if r == nil {
		return limit.Standing{}, false
	}
	r.do(func(at lease.Moment) { standing, known = r.agent.Known(at) })
	return standing, known
}

// replica returns this instance's replica of the counter of a key.
func (c *Counter) replica(key string) (*replica, error) {
	c.mu.RLock()
	r, closed := c.replicas[key], c.closed
	c.mu.RUnlock()
	if closed {
		return nil, fmt.Errorf("%w: the gateway is stopping", ErrUnavailable)
	}
	if r != nil {
		return r, nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if r = c.replicas[key]; r == nil {
		c.evictIdle()
		r = newReplica(c, key)
		if c.draining {
			r.agent.Drain(c.now())
		}
		c.replicas[key] = r
	}
	return r, nil
}

// maxReplicas bounds the counters kept in memory: where a counter key holds a
// header's value, callers can make any number of them.
const maxReplicas = 10_000

// evictScan is the number of replicas examined for each new one. If all are
// in use, that is the whole cost.
const evictScan = 32

// evictIdle evicts some replicas that hold nothing, and has others give back
// what they hold.
func (c *Counter) evictIdle() {
	if len(c.replicas) < maxReplicas {
		return
	}
	looks := 0
	for key, r := range c.replicas { // map order is random
		if looks++; looks > evictScan {
			return
		}
		r.do(func(at lease.Moment) {
			if r.agent.Forgettable(at) {
				delete(c.replicas, key) // its timer stays: a call that found it before may need it
				return
			}
			r.agent.GiveBack(at)
		})
	}
}

// A Reservation is a call's hold on a counter until it is settled or
// cancelled.
type Reservation struct {
	replica *replica
	over    atomic.Bool // settled or cancelled
	hold    lease.Hold  // guarded by the replica's lock
}

// Settle replaces the reservation by what the counter charges for the call,
// and returns its standing after it. It returns at once; the write follows.
// After the first Settle or Cancel, neither does anything.
func (r *Reservation) Settle(used int64) limit.Standing { return r.end(used) }

// Cancel gives the whole reservation back: the call was never made, or failed.
func (r *Reservation) Cancel() limit.Standing { return r.end(0) }

func (r *Reservation) end(used int64) (standing limit.Standing) {
	if r.over.Swap(true) {
		return r.standing()
	}
	r.replica.do(func(at lease.Moment) { standing = r.replica.agent.Settle(at, r.hold, used) })
	return standing
}

// Raise charges the call this much in all, at once and whatever is
// left, and returns the counter's standing after it. It is for a call that
// may have used more than it reserved, before its usage is known: Settle
// corrects or confirms the charge. A call that is charged as much already, or
// is in shadow, or is over, stays unchanged.
func (r *Reservation) Raise(amount int64) (standing limit.Standing) {
	r.replica.do(func(at lease.Moment) {
		if r.over.Load() {
			standing, _ = r.replica.agent.Known(at)
			return
		}
		r.hold, standing = r.replica.agent.Raise(at, r.hold, amount)
	})
	return standing
}

// Lower gives back at once what the reservation holds beyond this much, and
// returns the counter's standing after it. It never raises a reservation. One
// that is in shadow, or over, stays unchanged.
func (r *Reservation) Lower(amount int64) (standing limit.Standing) {
	r.replica.do(func(at lease.Moment) {
		if r.over.Load() {
			standing, _ = r.replica.agent.Known(at)
			return
		}
		r.hold, standing = r.replica.agent.Lower(at, r.hold, amount)
	})
	return standing
}

func (r *Reservation) standing() (standing limit.Standing) {
	r.replica.do(func(at lease.Moment) { standing, _ = r.replica.agent.Known(at) })
	return standing
}

// Package counter drives the counters that all instances share. An instance
// prepays for a lease of tokens, admits calls from it without asking, and
// with its next write reports their usage, tops the lease up, and carries
// everything else that waits. For one counter an instance has at most one
// write whose outcome is unknown. Every write is numbered and conditional on
// the version of the row it was built from, so that it counts exactly once even
// if its answer is lost.
//
// Start with Counter.Reserve and replica.reserve. Package limit has the stored
// state and the rules of leases.
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

	"tollgate/handler/limit"
)

// ErrUnavailable: the counters can't be reached, so nothing was decided.
var ErrUnavailable = errors.New("the counters can't be reached")

// Config configures a Counter. Store and Log are required.
type Config struct {
	Store Store
	Log   *slog.Logger
	// History keeps closed minutes; if nil, they are dropped.
	History History
	// OperationTimeout bounds one operation of the store; default 1 s.
	OperationTimeout time.Duration
	// SlowOperation: an operation that takes longer counts as failed. Three
	// failures in a row mean that the store is down. Default 250 ms.
	SlowOperation time.Duration
	// Patience is the time after which the store counts as down if all operations
	// fail; default 2 s.
	Patience time.Duration
	// Now returns this machine's time, with a monotonic reading; default time.Now.
	Now func() time.Time
}

// Terms are the rules by which a call is decided.
type Terms struct {
	limit.Limits
	OnStoreDown limit.StoreDown
	// MaxWait is the time that the call may queue for tokens before it is
	// refused; 0: it does not queue. MaxWait and OnStoreDown are the call's own:
	// they need no newer Version.
	MaxWait time.Duration
}

// A Counter decides whether calls may spend tokens. Make one with New.
type Counter struct {
	config   Config
	clock    clock
	health   health
	stats    stats
	draining atomic.Bool // no call may queue any more

	mu       sync.RWMutex
	replicas map[string]*replica
	closed   bool
	filings  sync.WaitGroup
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
	c := &Counter{config: config, replicas: make(map[string]*replica)}
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

// Reserve decides whether a call may spend tokens of a counter, now or within
// the terms' MaxWait. Over the limit is a decision, not an error: then there
// is no reservation, except for a call in shadow, which gets one that is
// charged to no limit. The error wraps ErrUnavailable if nothing could be
// decided; otherwise it is ctx's.
func (c *Counter) Reserve(ctx context.Context, key string, terms Terms, ask limit.Ask) (*Reservation, limit.Decision, error) {
	a, err := c.replica(key)
	if err != nil {
		return nil, limit.Decision{}, err
	}
	out, w := a.reserve(terms, ask)
	if w != nil {
		select {
		case <-w.done:
			out = w.outcome
		case <-ctx.Done():
			a.abandon(w)
			return nil, limit.Decision{}, ctx.Err()
		}
	}
	return out.reservation, out.decision, out.err
}

// Standing returns a counter's standing, at most seconds old. The error wraps
// ErrUnavailable, or is ctx's.
func (c *Counter) Standing(ctx context.Context, key string, terms Terms) (limit.Standing, error) {
	a, err := c.replica(key)
	if err != nil {
		return limit.Standing{}, err
	}
	w := a.status(terms.Limits)
	select {
	case <-w.done:
		return w.outcome.decision.Standing, w.outcome.err
	case <-ctx.Done():
		return limit.Standing{}, ctx.Err()
	}
}

// replica returns this instance's replica of the counter of a key.
func (c *Counter) replica(key string) (*replica, error) {
	c.mu.RLock()
	a, closed := c.replicas[key], c.closed
	c.mu.RUnlock()
	if closed {
		return nil, fmt.Errorf("%w: the gateway is stopping", ErrUnavailable)
	}
	if a != nil {
		return a, nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if a = c.replicas[key]; a == nil {
		c.evictIdle()
		a = newReplica(c, key)
		c.replicas[key] = a
	}
	return a, nil
}

// maxReplicas bounds the counters kept in memory: where a counter key holds a
// header's value, callers can make any number of them.
const maxReplicas = 10_000

// evictScan is the number of replicas examined for each new one. If all are
// in use, that is the whole cost.
const evictScan = 32

// evictIdle evicts some replicas that hold nothing.
func (c *Counter) evictIdle() {
	if len(c.replicas) < maxReplicas {
		return
	}
	looks := 0
	for key, a := range c.replicas { // map order is random
		if looks++; looks > evictScan {
			return
		}
		if a.evict() {
			delete(c.replicas, key)
		}
	}
}

// A Reservation is a call's hold on a counter until it is settled or
// cancelled.
type Reservation struct {
	replica *replica
	charge  limit.Charge
	owed    int64 // tokens reserved without the counter, and not charged yet
	minute  int64 // minute when it was reserved without the counter; 0: it was not
	over    bool  // settled or cancelled; guarded by the replica's lock
}

// Settle replaces the reservation by the call's usage, and returns the
// counter's standing after it. It returns at once; the write follows. After
// the first Settle or Cancel, neither does anything.
func (r *Reservation) Settle(usage limit.Usage) limit.Standing { return r.replica.settle(r, usage) }

// Raise charges the call this many tokens in all, at once and whatever is
// left, and returns the counter's standing after it. It is for a call that
// may have used more than it reserved, before its usage is known: Settle
// corrects or confirms the charge. A call that is charged as much already, or
// is in shadow, or is over, stays unchanged.
func (r *Reservation) Raise(tokens int64) limit.Standing { return r.replica.raise(r, tokens) }

// counted returns the tokens that the call counts for until it is settled.
func (r *Reservation) counted() int64 { return r.owed + r.charge.Held() }

// Cancel gives the whole reservation back: the call was never made, or failed.
func (r *Reservation) Cancel() limit.Standing { return r.replica.cancel(r) }

// Now returns the counters' time: the store's, as far as it is known.
func (c *Counter) Now() time.Time { return c.clock.now() }

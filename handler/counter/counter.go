// Package counter moves the counters that all instances share. An instance
// leases tokens, prepaid, and spends them without asking; a write tells what
// became of them, tops the lease up and carries everything else that waits. A
// counter has at most one undecided write an instance; every write is
// conditional on the version it was built upon, and numbered, so that it counts
// once whatever becomes of its answer.
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

// ErrUnavailable says that the counters can't be reached, so nothing was decided.
var ErrUnavailable = errors.New("the counters can't be reached")

// Config is what a Counter is made of. Store and Log are needed.
type Config struct {
	Store Store
	Log   *slog.Logger
	// History keeps closed minutes; nil: they are dropped.
	History History
	// OperationTimeout bounds one operation of the store; default 1 s.
	OperationTimeout time.Duration
	// SlowOperation is from when an operation counts like a failed one towards
	// the store being down, which three in a row make it; default 250 ms.
	SlowOperation time.Duration
	// Patience is how long operations may fail until the store counts as down;
	// default 2 s.
	Patience time.Duration
	// Now returns this machine's time, with a monotonic reading; default time.Now.
	Now func() time.Time
}

// Terms are what a call is decided by.
type Terms struct {
	limit.Limits
	OnStoreDown limit.StoreDown
	// MaxWait is how long the call may queue for tokens rather than be refused; 0:
	// not at all. This and OnStoreDown are the call's own, and need no newer Version.
	MaxWait time.Duration
}

// Counter decides whether calls may spend tokens. Make one with New.
type Counter struct {
	Config
	clock    clock
	health   health
	stats    stats
	draining atomic.Bool // no call queues any more

	mu       sync.RWMutex
	replicas map[string]*replica
	closed   bool
	filings  sync.WaitGroup
}

// New makes a counter of shared counters.
func New(config Config) *Counter {
	orElse := func(d *time.Duration, usual time.Duration) {
		if *d == 0 {
			*d = usual
		}
	}
	orElse(&config.OperationTimeout, time.Second)
	orElse(&config.SlowOperation, 250*time.Millisecond)
	orElse(&config.Patience, 2*time.Second)
	c := &Counter{Config: config, replicas: make(map[string]*replica)}
	c.health.slow, c.health.patience = config.SlowOperation, config.Patience
	c.clock.start(config.Now)
	return c
}

// random is so many random bytes in base64url, safe within a row.
func random(bytes int) string {
	raw := make([]byte, bytes)
	_, _ = rand.Read(raw) // never fails since Go 1.24
	return base64.RawURLEncoding.EncodeToString(raw)
}

// slotID makes the id of a slot, epochID that of a counter's epoch.
func slotID() string  { return random(6) }
func epochID() string { return random(8) }

// Reserve decides whether a call may spend tokens of a counter, now or within
// the terms' MaxWait. Over the limit is a decision, not an error; then there is
// no reservation, but for a call in shadow, which gets one that no limit is
// charged for. ErrUnavailable, wrapped, where nothing could be decided; else
// ctx's error.
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

// Standing is where a counter stands, as of the last seconds at most.
// ErrUnavailable, wrapped; else ctx's error.
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

// account is the counter of a key, as this instance sees it.
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

// maxAccounts bounds what is remembered of counters, of which a caller can make
// many where the counter key holds a header's value.
const maxReplicas = 10_000

// forgetLooks is how many of them each new one has looked at: where all are busy,
// that is all that it costs.
const evictScan = 32

// forgetIdle drops some accounts that hold nothing.
func (c *Counter) evictIdle() {
	if len(c.replicas) < maxReplicas {
		return
	}
	looks := 0
	for key, a := range c.replicas { // which begins anywhere
		if looks++; looks > evictScan {
			return
		}
		if a.evict() {
			delete(c.replicas, key)
		}
	}
}

// Reservation is what a call holds of a counter until it is settled or cancelled.
type Reservation struct {
	replica *replica
	charge  limit.Charge
	owed    int64 // reserved without the counter, and not charged yet
	minute  int64 // in which it was reserved without the counter; 0: it was not
	over    bool  // settled or cancelled; the account's lock guards it
}

// Settle replaces the reservation by what the call took, and says where the
// counter stands then. It returns at once; the write follows. After the first
// Settle or Cancel neither does anything.
func (r *Reservation) Settle(usage limit.Usage) limit.Standing { return r.replica.settle(r, usage) }

// Raise charges the call so many tokens in all at once, whatever is left, and says
// where the counter stands then. It is for a call that may have taken more than it
// reserved, before anyone knows how much: Settle corrects the charge, or confirms
// it. A call that is charged as much already, or in shadow, or is over, stays as it is.
func (r *Reservation) Raise(tokens int64) limit.Standing { return r.replica.raise(r, tokens) }

// counted is what the call counts for until it is settled, in tokens.
func (r *Reservation) counted() int64 { return r.owed + r.charge.Held() }

// Cancel gives the whole reservation back: the call was never made, or failed.
func (r *Reservation) Cancel() limit.Standing { return r.replica.cancel(r) }

// Now returns the counters' time: the store's, as far as it is known.
func (c *Counter) Now() time.Time { return c.clock.now() }

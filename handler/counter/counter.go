// Package counter drives the counters that all instances share. What to do
// with a counter is decided by lease.Agent, which is pure; this package gives
// it what it lacks: a lock, a goroutine for the one operation under way, a
// timer, the store, its time and whether it is down.
//
// Start with Counter.Reserve and replica.follow. replicas.go keeps replicas in
// memory, clock.go tells the store's time, and health.go whether it is down.
package counter

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
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

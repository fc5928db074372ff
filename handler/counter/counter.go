// Package counter decides calls by counters that all instances share. A counter is one row
// of a Store.
//
// An instance keeps a replica of each counter that its calls use. The replica's lease.Agent
// is a pure state machine: it decides calls from a lease, an amount that it has taken from the
// counter in advance, and says what to read or write next. The replica adds what the agent
// lacks: a lock, a timer, and a goroutine that carries out the reads and writes one at a time.
// All replicas share a clock, which follows the store's, and a record of whether the store is
// down.
//
// Counter.Reserve passes a call to the agents of its counters. They decide it at once if their
// leases suffice; otherwise the call waits until replica.loop has read or written the rows. A
// call that is admitted gets Reservations. Reservations.Settle charges what the call used: at
// once in the agents, and in the rows with the next writes.
//
// Start reading at Counter.Reserve, then replica.do and replica.loop. clock.go keeps the
// store's time, health.go decides whether the store is down, and replicas.go bounds the
// counters kept in memory.
package counter

import (
	"cmp"
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

// ErrUnavailable means that nothing was decided, because the counters can't be reached.
var ErrUnavailable = errors.New("the counters can't be reached")

// Config configures a Counter. Store and Log are required.
type Config struct {
	Store Store
	Log   *slog.Logger
	// OperationTimeout bounds one operation of the store. Default: 1 s.
	OperationTimeout time.Duration
	// SlowOperation is the time after which an operation counts as failed. Three failures
	// in a row mean that the store is down. Default: 250 ms.
	SlowOperation time.Duration
	// Patience is the time after which the store is down if all operations fail.
	// Default: 2 s.
	Patience time.Duration
	// Alert, unless nil, is called when the use of a quota reaches one of Terms.AlertAt:
	// once a period, in the instance whose write reached it. No lock is held; the
	// counter's next operation waits for Alert to return.
	Alert func(Alert)
	// Now returns this machine's time, with a monotonic reading. Default: time.Now.
	Now func() time.Time
}

// Terms are the rules by which a call is decided.
type Terms = lease.Terms

// An Alert reports that a percent of a counter's quota is used. If one write reaches several
// percents of Terms.AlertAt, the alert has the highest. An alert is lost if its instance ends
// before it learns that the write was applied.
type Alert struct {
	Key string // of the counter
	lease.Alert
}

// A Counter decides whether calls may spend amounts. Make one with New.
type Counter struct {
	config  Config
	clock   clock
	health  health
	tallies tallies
	began   time.Time
	lastID  atomic.Int64 // ids of calls and of questions for a standing ascend

	mu       sync.RWMutex
	replicas map[string]*replica
	draining bool // calls may no longer queue
	closed   bool // calls may no longer be reserved
}

// New returns a Counter.
func New(config Config) *Counter {
	config.OperationTimeout = cmp.Or(config.OperationTimeout, time.Second)
	config.SlowOperation = cmp.Or(config.SlowOperation, 250*time.Millisecond)
	config.Patience = cmp.Or(config.Patience, 2*time.Second)
	if config.Alert == nil {
		config.Alert = func(Alert) {}
	}
	c := &Counter{config: config, began: time.Now(), replicas: make(map[string]*replica)}
	c.health.slow, c.health.patience = config.SlowOperation, config.Patience
	c.clock.start(config.Now)
	return c
}

// random returns random bytes in base64url, which needs no escaping in a row.
func random(bytes int) string {
	raw := make([]byte, bytes)
	_, _ = rand.Read(raw) // never fails since Go 1.24
	return base64.RawURLEncoding.EncodeToString(raw)
}

// newSlotID and newEpoch return random ids for a slot and for a counter's epoch.
func newSlotID() string { return random(6) }
func newEpoch() string  { return random(8) }

// moment returns the Moment of an event that happens now.
func (c *Counter) moment() lease.Moment {
	return lease.Moment{Time: c.clock.now(), Uptime: time.Since(c.began), Store: c.health.condition()}
}

// Now returns the time by which calls are decided: the store's, as far as it is known.
func (c *Counter) Now() time.Time { return c.clock.now() }

// Standing returns a counter's standing. It reads the row unless this instance knows it from
// the last 2 s, or knows it and the store is down. The error wraps ErrUnavailable, or is
// ctx's.
func (c *Counter) Standing(ctx context.Context, key string, terms Terms) (limit.Standing, error) {
	r, err := c.replica(key)
	if err != nil {
		return limit.Standing{}, err
	}
	answer, err := r.ask(ctx, func(at lease.Moment, id int64) (lease.Answer, bool) { return r.agent.Status(at, id, terms.Limits) })
	return answer.Decision.Standing, err
}

// Known returns a counter's standing as this instance knows it, without reading the row. It
// reports false if this instance never read the row.
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

// Package counter moves the counters that all instances share. An instance has
// at most one undecided write a counter, which carries everything that waits;
// every write is conditional on the version it was built upon, and numbered,
// so that it counts once whatever becomes of its answer.
package counter

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"tollgate/handler/limit"
)

// ErrUnavailable says that the counters can't be reached, so nothing was decided.
var ErrUnavailable = errors.New("the counters can't be reached")

// Config is what a Counter is made of. Store and Log are needed.
type Config struct {
	Store Store
	Log   *slog.Logger
	// OperationTimeout bounds one operation of the store; default 1 s.
	OperationTimeout time.Duration
	// Patience is how long a call waits for a store that doesn't answer; default 2 s.
	Patience time.Duration
}

// Counter decides whether calls may spend tokens. Make one with New.
type Counter struct {
	Config
	instance string // this process's slot in every counter
	clock    clock

	mu       sync.Mutex
	accounts map[string]*account
	closed   bool
	writers  sync.WaitGroup
}

// New makes a counter of shared counters.
func New(config Config) *Counter {
	if config.OperationTimeout == 0 {
		config.OperationTimeout = time.Second
	}
	if config.Patience == 0 {
		config.Patience = 2 * time.Second
	}
	return &Counter{Config: config, instance: random(6), accounts: make(map[string]*account)}
}

// random is so many random bytes in base64url, safe within a row.
func random(bytes int) string {
	raw := make([]byte, bytes)
	_, _ = rand.Read(raw) // never fails since Go 1.24
	return base64.RawURLEncoding.EncodeToString(raw)
}

// Reserve decides whether a call may spend tokens of a counter. Over the limit
// is a decision, not an error; then there is no reservation. ErrUnavailable,
// wrapped, where nothing could be decided; else ctx's error.
func (c *Counter) Reserve(ctx context.Context, key string, limits limit.Limits, ask limit.Ask) (*Reservation, limit.Decision, error) {
	a, err := c.account(key)
	if err != nil {
		return nil, limit.Decision{}, err
	}
	w := &waiter{ask: ask, since: time.Now(), done: make(chan struct{})}
	a.enqueue(w, limits)
	select {
	case <-w.done:
	case <-ctx.Done():
		a.abandon(w)
		return nil, limit.Decision{}, ctx.Err()
	}
	if w.err != nil || w.decision.Verdict != limit.Granted {
		return nil, w.decision, w.err
	}
	return &Reservation{account: a, charge: w.charge}, w.decision, nil
}

// Standing is where a counter stands as far as this instance knows, which
// reads it where nothing is known. ErrUnavailable, wrapped.
func (c *Counter) Standing(ctx context.Context, key string, limits limit.Limits) (limit.Standing, error) {
	_, decision, err := c.Reserve(ctx, key, limits, limit.Ask{})
	return decision.Standing, err
}

// account is the counter of a key, as this instance sees it.
func (c *Counter) account(key string) (*account, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return nil, fmt.Errorf("%w: the gateway is stopping", ErrUnavailable)
	}
	a, ok := c.accounts[key]
	if !ok {
		c.forgetIdle()
		a = &account{counter: c, key: key}
		c.accounts[key] = a
	}
	return a, nil
}

// maxAccounts bounds what is remembered of counters, of which a caller can make
// many where the counter key holds a header's value.
const maxAccounts = 10_000

// forgetIdle drops accounts that hold nothing, a quarter at a time.
func (c *Counter) forgetIdle() {
	if len(c.accounts) < maxAccounts {
		return
	}
	for key, a := range c.accounts {
		if len(c.accounts) < maxAccounts*3/4 {
			return
		}
		if a.idle() {
			delete(c.accounts, key)
		}
	}
}

// Close waits until everything settled is written, or ctx is done. No call may
// be reserved any more.
func (c *Counter) Close(ctx context.Context) error {
	c.mu.Lock()
	c.closed = true
	c.mu.Unlock()
	done := make(chan struct{})
	go func() {
		c.writers.Wait()
		close(done)
	}()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("write the last counters: %w", ctx.Err())
	}
}

// Reservation is what a call holds of a counter until it is settled or cancelled.
type Reservation struct {
	account *account
	charge  limit.Charge
	once    sync.Once
}

// Settle replaces the reservation by what the call took, and says where the
// counter stands then. It returns at once; the write follows. After the first
// Settle or Cancel neither does anything.
func (r *Reservation) Settle(usage limit.Usage) limit.Standing {
	r.once.Do(func() { r.account.change(func(s *limit.State) { s.Settle(r.charge, usage) }) })
	return r.account.standing()
}

// Cancel gives the whole reservation back: the call was never made, or failed.
func (r *Reservation) Cancel() limit.Standing {
	r.once.Do(func() { r.account.change(func(s *limit.State) { s.Cancel(r.charge) }) })
	return r.account.standing()
}

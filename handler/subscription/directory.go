package subscription

import (
	"context"
	"crypto/subtle"
	"errors"
	"fmt"
	"sync"
	"time"
)

// How long answers are kept.
const (
	// fresh is how long an answer holds, and so how long a revoked key, a suspended
	// subscription or a changed tier may go on as before.
	fresh = 30 * time.Second
	// stale is how long a verified key goes on while the store can't be reached.
	stale = 10 * time.Minute
	// lookup bounds one look-up of three rows.
	lookup = 2 * time.Second
	// RetryAfter is how long after a failed look-up the next is tried.
	RetryAfter = 5 * time.Second
	// capacity bounds the keys remembered; a flood of unknown ones can't grow it.
	capacity = 10_000
)

// Grant is what a key entitles to.
type Grant struct {
	Subscription Subscription
	// Tier is the subscription's tier with its overrides.
	Tier Tier
	Slot Slot
}

// Directory looks keys up and remembers, refusals too. Make one with NewDirectory.
type Directory struct {
	store  Reader
	pepper Pepper

	mu      sync.Mutex
	entries map[string]*entry // by hash
}

// entry is what is known of a key. A look-up under way is waited for by all
// who ask meanwhile.
type entry struct {
	grant    *Grant        // nil: refused
	verified time.Time     // when the store last said so
	due      time.Time     // when to ask again
	pending  chan struct{} // closed when a look-up ends; nil: none under way
}

// NewDirectory makes a directory over a store.
func NewDirectory(store Reader, pepper Pepper) *Directory {
	return &Directory{store: store, pepper: pepper, entries: make(map[string]*entry)}
}

// Authenticate finds whose key it is. Whatever is wrong with the key,
// ErrUnauthorized; where the store can't be reached and the key was not
// verified in the last ten minutes, ErrUnavailable, wrapped.
func (d *Directory) Authenticate(ctx context.Context, key string) (*Grant, error) {
	if !WellFormed(key) {
		return nil, ErrUnauthorized
	}
	hash := d.pepper.Hash(key)
	for {
		d.mu.Lock()
		e := d.entries[hash]
		if e != nil && e.pending == nil && time.Now().Before(e.due) {
			d.mu.Unlock()
			return e.answer()
		}
		if e != nil && e.pending != nil {
			pending := e.pending
			d.mu.Unlock()
			select {
			case <-pending:
				continue
			case <-ctx.Done():
				return nil, fmt.Errorf("%w: %w", ErrUnavailable, ctx.Err())
			}
		}
		e = d.begin(hash, e)
		d.mu.Unlock()
		return d.refresh(ctx, hash, e)
	}
}

func (e *entry) answer() (*Grant, error) {
	if e.grant == nil {
		return nil, ErrUnauthorized
	}
	return e.grant, nil
}

// begin marks a look-up as under way. The entry of before stays readable
// through the new one.
func (d *Directory) begin(hash string, before *entry) *entry {
	if len(d.entries) >= capacity {
		d.evict()
	}
	e := &entry{pending: make(chan struct{})}
	if before != nil {
		e.grant, e.verified = before.grant, before.verified
	}
	d.entries[hash] = e
	return e
}

// evict drops what has grown old, and where that isn't a quarter, anything that
// is settled: it is looked up again when it is asked for. A quarter at a time,
// so that a flood doesn't pay for a search with every key.
func (d *Directory) evict() {
	for hash, e := range d.entries {
		if e.pending == nil && time.Now().After(e.due) {
			delete(d.entries, hash)
		}
	}
	for hash, e := range d.entries {
		if len(d.entries) < capacity*3/4 {
			return
		}
		if e.pending == nil {
			delete(d.entries, hash)
		}
	}
}

// refresh looks a key up for all who wait, whether or not the first of them stays.
func (d *Directory) refresh(ctx context.Context, hash string, e *entry) (*Grant, error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), lookup)
	defer cancel()
	grant, err := d.lookup(ctx, hash)
	d.mu.Lock()
	defer d.mu.Unlock()
	close(e.pending)
	now := time.Now()
	switch {
	case err == nil || errors.Is(err, ErrUnauthorized):
		settled := &entry{grant: grant, verified: now, due: now.Add(fresh)}
		d.entries[hash] = settled
		return settled.answer()
	case e.grant != nil && now.Sub(e.verified) < stale:
		d.entries[hash] = &entry{grant: e.grant, verified: e.verified, due: now.Add(RetryAfter)}
		return e.grant, nil
	}
	delete(d.entries, hash)
	return nil, fmt.Errorf("%w: %w", ErrUnavailable, err)
}

// lookup reads a key's rows.
func (d *Directory) lookup(ctx context.Context, hash string) (*Grant, error) {
	record, err := d.store.Key(ctx, hash)
	if err != nil {
		return nil, refused(err)
	}
	if subtle.ConstantTimeCompare([]byte(record.Hash), []byte(hash)) != 1 {
		return nil, ErrUnauthorized
	}
	s, err := d.store.Subscription(ctx, record.Subscription)
	if err != nil {
		return nil, refused(err)
	}
	if s.Suspended {
		return nil, ErrUnauthorized
	}
	tier, err := d.store.Tier(ctx, s.Tier)
	if err != nil {
		return nil, fmt.Errorf("tier %s of subscription %s: %w", s.Tier, s.ID, err)
	}
	effective, err := s.Effective(tier)
	if err != nil {
		return nil, fmt.Errorf("subscription %s: %w", s.ID, err)
	}
	return &Grant{Subscription: s, Tier: effective, Slot: record.Slot}, nil
}

func refused(err error) error {
	if errors.Is(err, ErrNotFound) {
		return ErrUnauthorized
	}
	return err
}

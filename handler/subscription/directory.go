package subscription

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"sync"
	"time"
)

// How long answers are kept.
const (
	// fresh is how long an answer holds before the store is asked again.
	fresh = 30 * time.Second
	// patience is how long a verified key may go on while the store is asked, and
	// so how long at most a revoked key, a suspended subscription or an older tier
	// goes on as before.
	patience = time.Minute
	// stale is how long a verified key goes on while the store can't be reached.
	stale = 10 * time.Minute
	// lookup bounds one look-up of three rows.
	lookup = 2 * time.Second
	// RetryAfter is how long after a failed look-up the next is tried.
	RetryAfter = 5 * time.Second
	// capacity bounds the keys remembered; a flood of unknown ones can't grow it.
	capacity = 10_000
)

// Grant is what a key entitles to. It is shared by all who present the key: read it only.
type Grant struct {
	Subscription Subscription
	// Tier is the subscription's tier with its overrides.
	Tier Tier
	Slot Slot
	// Expires is when the key stops to grant; zero: never.
	Expires time.Time
}

// expired says whether the key has stopped to grant.
func (g *Grant) expired(now time.Time) bool {
	return !g.Expires.IsZero() && !now.Before(g.Expires)
}

// Directory looks keys up and remembers, refusals too. Make one with NewDirectory.
type Directory struct {
	store  Reader
	pepper Pepper

	mu      sync.Mutex
	entries map[[sha256.Size]byte]*entry // by hash: no key is kept
	brake   brake                        // on look-ups of keys that aren't in entries
}

// entry is what is known of a key.
type entry struct {
	grant    *Grant    // nil: refused, or not known yet
	verified time.Time // when the store was asked for what it said
	due      time.Time // when to ask again
	failing  bool      // the last look-up could not reach the store
	pending  *flight   // the look-up under way, if any
}

// flight is one look-up, waited for by all who ask meanwhile.
type flight struct {
	done  chan struct{} // closed when grant and err are set
	found bool          // whether the key was known to be somebody's before
	grant *Grant
	err   error
}

// NewDirectory makes a directory over a store.
func NewDirectory(store Reader, pepper Pepper) *Directory {
	return &Directory{store: store, pepper: pepper, entries: make(map[[sha256.Size]byte]*entry), brake: newBrake()}
}

// Authenticate finds whose key it is. Whatever is wrong with the key,
// ErrUnauthorized; where the store can't be reached and the key was not
// verified in the last ten minutes, ErrUnavailable, wrapped. A key that isn't
// known is turned away with ErrBusy while strangers present too many.
func (d *Directory) Authenticate(ctx context.Context, key string) (*Grant, error) {
	if !WellFormed(key) {
		return nil, ErrUnauthorized
	}
	hash, now := d.pepper.sum(key), time.Now()
	d.mu.Lock()
	e := d.entries[hash]
	if e != nil && now.Before(e.due) {
		grant := e.grant
		d.mu.Unlock()
		return answer(grant, now)
	}
	unknown := e == nil || e.grant == nil
	if unknown && (e == nil || e.pending == nil) && !d.brake.admits(hash, now) {
		listed := d.list(now)
		d.mu.Unlock()
		return d.turnAway(ctx, key, listed)
	}
	if e == nil {
		e = d.add(hash)
	}
	if e.pending == nil {
		e.pending = &flight{done: make(chan struct{}), found: !unknown}
		if unknown {
			d.brake.running++
		}
		go d.refresh(context.WithoutCancel(ctx), hash, e) // whether or not the first who asked stays
	}
	grant, ahead, flight := e.grant, e.ahead(now), e.pending
	d.mu.Unlock()
	if ahead {
		return grant, nil
	}
	select {
	case <-flight.done:
		return flight.grant, flight.err
	case <-ctx.Done():
		return nil, fmt.Errorf("%w: %w", ErrUnavailable, ctx.Err())
	}
}

func answer(grant *Grant, now time.Time) (*Grant, error) {
	if grant == nil || grant.expired(now) {
		return nil, ErrUnauthorized
	}
	return grant, nil
}

// ahead says whether a key may go on before the look-up under way has ended:
// for a moment always, so that a busy key never waits for it, and longer while
// the store is known to be out of reach.
func (e *entry) ahead(now time.Time) bool {
	held := now.Sub(e.verified)
	return e.grant != nil && !e.grant.expired(now) && (held < patience || e.failing && held < stale)
}

// add makes room for a key and an entry of it.
func (d *Directory) add(hash [sha256.Size]byte) *entry {
	if len(d.entries) >= capacity {
		d.evict()
	}
	e := &entry{}
	d.entries[hash] = e
	return e
}

// evict drops refusals and what is too old to go on, and where that isn't a
// quarter, any other: it is looked up again when it is asked for. A quarter at
// a time, so that a flood doesn't pay for a search with every key; refusals
// first, so that it doesn't push out callers.
func (d *Directory) evict() {
	now := time.Now()
	for _, all := range []bool{false, true} {
		for hash, e := range d.entries {
			if all && len(d.entries) <= capacity*3/4 {
				return
			}
			if e.pending == nil && (all || e.grant == nil || now.Sub(e.verified) >= stale) {
				delete(d.entries, hash)
			}
		}
	}
}

// refresh looks a key up for all who wait.
func (d *Directory) refresh(ctx context.Context, hash [sha256.Size]byte, e *entry) {
	ctx, cancel := context.WithTimeout(ctx, lookup)
	defer cancel()
	asked := time.Now()
	grant, err := d.lookup(ctx, encodeHash(hash))
	d.mu.Lock()
	defer d.mu.Unlock()
	flight, now := e.pending, time.Now()
	defer close(flight.done)
	e.pending = nil
	if !flight.found {
		d.brake.ended(grant != nil, now)
	}
	e.failing = err != nil && !errors.Is(err, ErrUnauthorized)
	last := e.verified.Add(stale)
	switch {
	case !e.failing:
		e.grant, e.verified, e.due = grant, asked, asked.Add(fresh)
		flight.grant, flight.err = answer(grant, now)
	case e.grant != nil && now.Before(last):
		e.due = now.Add(min(RetryAfter, last.Sub(now)))
		flight.grant, flight.err = answer(e.grant, now)
	default:
		delete(d.entries, hash)
		flight.err = fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
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
	if record.Expired(time.Now()) {
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
	return &Grant{Subscription: s, Tier: effective, Slot: record.Slot, Expires: record.Expires}, nil
}

func refused(err error) error {
	if errors.Is(err, ErrNotFound) {
		return ErrUnauthorized
	}
	return err
}

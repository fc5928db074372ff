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

// How long a look-up's result is used.
const (
	// freshFor is how long a result is used before the store is read again.
	freshFor = 30 * time.Second
	// refreshGrace is how old a result may be and still be used while the store is
	// being read. It is therefore the longest time for which a revoked key, a
	// suspended subscription or an old version of a tier stays in effect.
	refreshGrace = time.Minute
	// staleFor is how old a result may be and still be used while the store is unreachable.
	staleFor = 10 * time.Minute
	// lookupTimeout bounds one look-up, which reads three rows and one for each group.
	lookupTimeout = 2 * time.Second
	// RetryAfter is the pause between a failed look-up and the next try.
	RetryAfter = 5 * time.Second
	// maxEntries is the most keys remembered, including unknown ones.
	maxEntries = 10_000
)

// A Grant is what a valid key gives access to. All calls with the key share it:
// don't change it.
type Grant struct {
	Subscription Subscription
	// Tier is the subscription's tier with its overrides.
	Tier Tier
	// Limits are all limits that calls are charged to: those of Tier, then those of the
	// subscription's groups, the nearest first.
	Limits []OwnedLimit
	Slot   KeySlot
	// Expires is when the key expires; zero: never.
	Expires time.Time
}

// expired reports whether the key has expired.
func (g *Grant) expired(now time.Time) bool {
	return !g.Expires.IsZero() && !now.Before(g.Expires)
}

// freshUntil returns how long the result of a look-up that began at a time is used: until
// an override ends, if that is earlier than usual.
func (g *Grant) freshUntil(began time.Time) time.Time {
	due := began.Add(freshFor)
	if g == nil {
		return due
	}
	if end := g.Subscription.Overrides.nextEnd(began); !end.IsZero() && end.Before(due) {
		return end
	}
	return due
}

// A Directory looks keys up and remembers the results, found or not. Make one with
// NewDirectory.
type Directory struct {
	store  Reader
	pepper Pepper

	mu      sync.Mutex
	entries map[[sha256.Size]byte]*entry // by the key's hash: keys themselves aren't kept
	brake   brake                        // limits look-ups of unknown keys
}

// An entry is what the directory knows about one key.
type entry struct {
	grant    *Grant    // nil: not valid, or not looked up yet
	verified time.Time // when the look-up behind grant began
	due      time.Time // when to look up again
	failing  bool      // the last look-up failed
	pending  *flight   // the look-up in progress; nil: none
}

// A flight is one look-up, shared by all calls that need it at the same time.
type flight struct {
	done  chan struct{} // closed when grant and err are set
	found bool          // the key was valid before this look-up
	grant *Grant
	err   error
}

// NewDirectory returns a directory that reads from store.
func NewDirectory(store Reader, pepper Pepper) *Directory {
	return &Directory{store: store, pepper: pepper, entries: make(map[[sha256.Size]byte]*entry), brake: newBrake()}
}

// Authenticate returns the grant of a key. It returns ErrUnauthorized for any key
// that isn't valid, whatever the reason; ErrUnavailable, wrapped, if the store is
// unreachable and the key wasn't found valid in the last ten minutes; and ErrBusy
// if too many unknown keys are being presented to look this one up.
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
		return checkGrant(grant, now)
	}
	unknown := e == nil || e.grant == nil
	if unknown && (e == nil || e.pending == nil) && !d.brake.admits(hash, now) {
		listed := d.startListing(now)
		d.mu.Unlock()
		return d.waitForList(ctx, key, listed)
	}
	if e == nil {
		e = d.add(hash)
	}
	if e.pending == nil {
		e.pending = &flight{done: make(chan struct{}), found: !unknown}
		if unknown {
			d.brake.pending++
		}
		go d.refresh(context.WithoutCancel(ctx), hash, e) // others wait for it even if this caller leaves
	}
	grant, usable, flight := e.grant, e.usableMeanwhile(now), e.pending
	d.mu.Unlock()
	if usable {
		return grant, nil
	}
	select {
	case <-flight.done:
		return flight.grant, flight.err
	case <-ctx.Done():
		return nil, fmt.Errorf("%w: %w", ErrUnavailable, ctx.Err())
	}
}

// checkGrant returns the grant, or ErrUnauthorized if there is none or it expired.
func checkGrant(grant *Grant, now time.Time) (*Grant, error) {
	if grant == nil || grant.expired(now) {
		return nil, ErrUnauthorized
	}
	return grant, nil
}

// usableMeanwhile reports whether the entry's grant may be used before the look-up
// in progress ends: for refreshGrace always, so that a busy key never waits, and for
// staleFor while the store is unreachable.
func (e *entry) usableMeanwhile(now time.Time) bool {
	age := now.Sub(e.verified)
	return e.grant != nil && !e.grant.expired(now) && (age < refreshGrace || e.failing && age < staleFor)
}

// add makes room if needed and adds an empty entry.
func (d *Directory) add(hash [sha256.Size]byte) *entry {
	if len(d.entries) >= maxEntries {
		d.evict()
	}
	e := &entry{}
	d.entries[hash] = e
	return e
}

// evict drops unknown keys and results too old to use, then others until a quarter
// of the room is free. It frees a quarter at a time because each run searches all
// entries, and unknown keys first so that a flood of them doesn't push out callers.
func (d *Directory) evict() {
	now := time.Now()
	for _, all := range []bool{false, true} {
		for hash, e := range d.entries {
			if all && len(d.entries) <= maxEntries*3/4 {
				return
			}
			if e.pending == nil && (all || e.grant == nil || now.Sub(e.verified) >= staleFor) {
				delete(d.entries, hash)
			}
		}
	}
}

// refresh looks a key up and publishes the result to all calls that wait for it.
func (d *Directory) refresh(ctx context.Context, hash [sha256.Size]byte, e *entry) {
	ctx, cancel := context.WithTimeout(ctx, lookupTimeout)
	defer cancel()
	asked := time.Now()
	grant, err := d.lookup(ctx, encodeHash(hash))
	d.mu.Lock()
	defer d.mu.Unlock()
	flight, now := e.pending, time.Now()
	defer close(flight.done)
	e.pending = nil
	if !flight.found {
		d.brake.finish(grant != nil, now)
	}
	e.failing = err != nil && !errors.Is(err, ErrUnauthorized)
	last := e.verified.Add(staleFor)
	switch {
	case !e.failing:
		e.grant, e.verified, e.due = grant, asked, grant.freshUntil(asked)
		flight.grant, flight.err = checkGrant(grant, now)
	case e.grant != nil && now.Before(last):
		e.due = now.Add(min(RetryAfter, last.Sub(now)))
		flight.grant, flight.err = checkGrant(e.grant, now)
	default:
		delete(d.entries, hash)
		flight.err = fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
}

// lookup reads the rows of a key, its subscription and its tier.
func (d *Directory) lookup(ctx context.Context, hash string) (*Grant, error) {
	record, err := d.store.Key(ctx, hash)
	if err != nil {
		return nil, unauthorizedIfNotFound(err)
	}
	if subtle.ConstantTimeCompare([]byte(record.Hash), []byte(hash)) != 1 {
		return nil, ErrUnauthorized
	}
	if record.Expired(time.Now()) {
		return nil, ErrUnauthorized
	}
	s, err := d.store.Subscription(ctx, record.Subscription)
	if err != nil {
		return nil, unauthorizedIfNotFound(err)
	}
	if s.Suspended {
		return nil, ErrUnauthorized
	}
	grant, err := grantOf(ctx, d.store, s, time.Now())
	if err != nil {
		return nil, fmt.Errorf("subscription %s: %w", s.ID, err)
	}
	grant.Slot, grant.Expires = record.Slot, record.Expires
	return grant, nil
}

// grantOf reads a subscription's tier and groups, and returns what its keys give access
// to at a time. It returns ErrUnauthorized if a group is suspended.
func grantOf(ctx context.Context, store Reader, s Subscription, now time.Time) (*Grant, error) {
	tier, err := store.Tier(ctx, s.Tier)
	if err != nil {
		return nil, missing("tier", s.Tier, err)
	}
	effective, err := s.Effective(tier, now)
	if err != nil {
		return nil, err
	}
	groups, err := Chain(ctx, s.Group, store.Group)
	if err != nil {
		return nil, err
	}
	for _, g := range groups {
		if g.Suspended {
			return nil, ErrUnauthorized
		}
	}
	limits := ownedLimits(&s, tier, effective, groups, now)
	if err := checkCount(limits); err != nil {
		return nil, err
	}
	return &Grant{Subscription: s, Tier: effective, Limits: limits}, nil
}

func unauthorizedIfNotFound(err error) error {
	if errors.Is(err, ErrNotFound) {
		return ErrUnauthorized
	}
	return err
}

package subscription

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"sync"
	"time"

	"tollgate/handler/recent"
)

const (
	// freshFor is how long a look-up's result is used before the store is read again.
	freshFor = 30 * time.Second
	// lookupTimeout bounds one look-up, which reads three rows and one for each group.
	lookupTimeout = 2 * time.Second
	// RetryAfter is the pause between a failed look-up and the next try.
	RetryAfter = 5 * time.Second
	// maxEntries is the most keys remembered, including unknown ones.
	maxEntries = 10_000
)

// lifetime says how old a grant may become. Its Grace is the longest time for which a
// revoked key, a suspended subscription or an old version of a tier stays in effect while
// the store can be read.
var lifetime = recent.Lifetime{Grace: time.Minute, Stale: 10 * time.Minute, Retry: RetryAfter}

// A Grant is what a Directory knows about a valid key. All calls with the key share it, so
// it must not be changed.
type Grant struct {
	Subscription Subscription
	// Tier is the subscription's tier with its overrides.
	Tier Tier
	// Limits are the limits that calls are charged to: those of Tier, then those of the
	// subscription's groups, nearest first.
	Limits []OwnedLimit
	// Slot is the key's slot.
	Slot KeySlot
	// Expires is when the key expires; zero: never.
	Expires time.Time

	// ends is when an override ends, and next is the grant from then on; next is nil if no
	// override ends while the grant may be used.
	ends time.Time
	next *Grant
}

// at returns the grant that applies at a time. The grant may be nil.
func (g *Grant) at(now time.Time) *Grant {
	for g != nil && g.next != nil && !now.Before(g.ends) {
		g = g.next
	}
	return g
}

// expired reports whether the key has expired.
func (g *Grant) expired(now time.Time) bool {
	return !g.Expires.IsZero() && !now.Before(g.Expires)
}

// A Directory looks keys up in a store. It remembers valid keys and invalid ones. Make one
// with NewDirectory.
type Directory struct {
	store  Reader
	pepper Pepper

	mu sync.Mutex
	// entries holds a grant for each remembered key, or ErrUnauthorized if the key is not
	// valid. They are found by the key's hash; keys themselves aren't kept.
	entries     map[[sha256.Size]byte]*entry
	unknownKeys lookupLimiter
}

// An entry is the result of looking up one key.
type entry = recent.Value[*Grant]

// NewDirectory returns a directory that reads from store.
func NewDirectory(store Reader, pepper Pepper) *Directory {
	return &Directory{store: store, pepper: pepper, entries: make(map[[sha256.Size]byte]*entry), unknownKeys: newLookupLimiter()}
}

// Authenticate returns the grant of a key. The error is ErrUnauthorized if the key isn't
// valid, whatever the reason. It wraps ErrUnavailable if the store is unreachable and the key
// was not found valid within the last ten minutes. It is ErrBusy if the key isn't remembered
// and too many unknown keys are being presented to look it up.
func (d *Directory) Authenticate(ctx context.Context, key string) (*Grant, error) {
	if !WellFormed(key) {
		return nil, ErrUnauthorized
	}
	hash, now := d.pepper.sum(key), time.Now()
	d.mu.Lock()
	e := d.entries[hash]
	if e != nil && e.Fresh(now) {
		grant, err := e.Last()
		d.mu.Unlock()
		return unexpired(grant, err, now)
	}
	unknown := e == nil || !e.Exists()
	if unknown && (e == nil || !e.Refreshing()) && !d.unknownKeys.admits(hash, now) {
		listed := d.startListing(now)
		d.mu.Unlock()
		return d.waitForList(ctx, key, listed)
	}
	if e == nil {
		e = d.add(hash)
	}
	refresh, isNew := e.Refresh()
	if isNew {
		if unknown {
			d.unknownKeys.pending++
		}
		go d.refresh(context.WithoutCancel(ctx), hash, e) // others wait for it even if this caller leaves
	}
	grant, _ := e.Last()
	usable := e.Usable(now, lifetime) && !grant.expired(now)
	d.mu.Unlock()
	if usable {
		return grant.at(now), nil
	}
	grant, err := refresh.Wait(ctx)
	if err != nil && err == ctx.Err() {
		return nil, fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	return unexpired(grant, err, time.Now())
}

// unexpired returns the grant that applies now, or ErrUnauthorized if its key has expired.
func unexpired(grant *Grant, err error, now time.Time) (*Grant, error) {
	if err == nil && grant.expired(now) {
		return nil, ErrUnauthorized
	}
	return grant.at(now), err
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

// evict drops unknown keys and grants too old to use, then others until a quarter of the
// room is free. It frees a quarter at a time because each run searches all entries, and
// drops unknown keys first so that a flood of them doesn't push out callers.
func (d *Directory) evict() {
	now := time.Now()
	for _, all := range []bool{false, true} {
		for hash, e := range d.entries {
			if all && len(d.entries) <= maxEntries*3/4 {
				return
			}
			if !e.Refreshing() && (all || e.TooOld(now, lifetime)) {
				delete(d.entries, hash)
			}
		}
	}
}

// refresh looks a key up and ends the refresh of its entry. If the look-up fails and no grant
// is left to use, it forgets the key.
func (d *Directory) refresh(ctx context.Context, hash [sha256.Size]byte, e *entry) {
	ctx, cancel := context.WithTimeout(ctx, lookupTimeout)
	defer cancel()
	began := time.Now()
	grant, err := d.lookup(ctx, encodeHash(hash))
	d.mu.Lock()
	defer d.mu.Unlock()
	now := time.Now()
	if !e.Exists() {
		d.unknownKeys.finish(grant != nil, now)
	}
	switch {
	case err == nil:
		e.Keep(grant, began, began.Add(freshFor))
	case errors.Is(err, ErrUnauthorized):
		e.KeepError(ErrUnauthorized, began.Add(freshFor))
	default:
		e.Fail(fmt.Errorf("%w: %w", ErrUnavailable, err), now, lifetime)
		if !e.Exists() {
			delete(d.entries, hash)
		}
	}
}

// lookup reads the rows of a key, its subscription, its tier and its groups.
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
	for g := grant; g != nil; g = g.next {
		g.Slot, g.Expires = record.Slot, record.Expires
	}
	return grant, nil
}

// grantOf reads a subscription's tier and groups, and returns the grant of its keys at a
// time, with those that follow while it may be used. It returns ErrUnauthorized if a group is
// suspended.
func grantOf(ctx context.Context, store Reader, s Subscription, now time.Time) (*Grant, error) {
	tier, err := store.Tier(ctx, s.Tier)
	if err != nil {
		return nil, missing("tier", s.Tier, err)
	}
	groups, err := GroupChain(ctx, s.Group, store.Group)
	if err != nil {
		return nil, err
	}
	for _, g := range groups {
		if g.Suspended {
			return nil, ErrUnauthorized
		}
	}
	grant, err := newGrant(s, tier, groups, now)
	if err != nil {
		return nil, err
	}
	end := s.Overrides.nextEnd(now)
	for last := grant; !end.IsZero() && end.Before(now.Add(lifetime.Stale)); last = last.next {
		last.ends = end
		if last.next, err = newGrant(s, tier, groups, end); err != nil {
			break // the look-up that follows the end returns the error
		}
		end = s.Overrides.nextEnd(end)
	}
	return grant, nil
}

// newGrant returns the grant of a subscription with its tier and groups at a time.
func newGrant(s Subscription, tier Tier, groups []Group, now time.Time) (*Grant, error) {
	effective, err := s.Effective(tier, now)
	if err != nil {
		return nil, err
	}
	limits := ownedLimits(&s, tier, effective, groups, now)
	if err := checkLimitCount(limits); err != nil {
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

// Package memstore keeps tiers, groups, subscriptions and keys in memory, for tests and for
// running a gateway without a storage account. Start reading at Load, or at New for an empty
// store.
package memstore

import (
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	"tollgate/handler/subscription"
)

// A Store is a subscription.Store in memory. Make one with New or Load.
type Store struct {
	mu            sync.Mutex
	tiers         map[string]subscription.Tier
	groups        map[string]subscription.Group
	subscriptions map[string]subscription.Subscription
	keys          map[string]subscription.KeyRecord
	fingerprint   string
	failure       error // if set, the error of every operation
}

var _ subscription.Store = (*Store)(nil)

// New returns an empty store.
func New() *Store {
	return &Store{
		tiers:         make(map[string]subscription.Tier),
		groups:        make(map[string]subscription.Group),
		subscriptions: make(map[string]subscription.Subscription),
		keys:          make(map[string]subscription.KeyRecord),
	}
}

// Fail makes every operation return err until it is called with nil.
func (s *Store) Fail(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.failure = err
}

// get reads a value from one of the maps.
func get[T any](s *Store, from map[string]T, id string) (T, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	value, ok := from[id]
	if s.failure != nil {
		return value, s.failure
	}
	if !ok {
		return value, subscription.ErrNotFound
	}
	return value, nil
}

// put inserts a value whose version is 0, or replaces the stored value if it has the same
// version. version returns the address of a value's version.
func put[T any](s *Store, into map[string]T, id string, value T, version func(*T) *int64) (int64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	before, exists := into[id]
	expected := *version(&value)
	switch {
	case s.failure != nil:
		return 0, s.failure
	case exists && expected == 0:
		return 0, subscription.ErrExists
	case !exists && expected != 0:
		return 0, subscription.ErrNotFound
	case exists && *version(&before) != expected:
		return 0, subscription.ErrConflict
	}
	*version(&value) = subscription.NextVersion(expected, time.Now())
	into[id] = value
	return *version(&value), nil
}

// list returns the values of one of the maps, sorted by id.
func list[T any](s *Store, from map[string]T) ([]T, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.failure != nil {
		return nil, s.failure
	}
	var all []T
	for _, id := range slices.Sorted(maps.Keys(from)) {
		all = append(all, from[id])
	}
	return all, nil
}

// Key implements subscription.Store.
func (s *Store) Key(_ context.Context, hash string) (subscription.KeyRecord, error) {
	return get(s, s.keys, hash)
}

func (s *Store) Hashes(_ context.Context, atMost int) ([]string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	hashes := slices.Collect(maps.Keys(s.keys))
	return hashes[:min(atMost, len(hashes))], s.failure
}

func (s *Store) Subscription(_ context.Context, id string) (subscription.Subscription, error) {
	return get(s, s.subscriptions, id)
}

func (s *Store) Tier(_ context.Context, id string) (subscription.Tier, error) {
	return get(s, s.tiers, id)
}

func (s *Store) Group(_ context.Context, id string) (subscription.Group, error) {
	return get(s, s.groups, id)
}

func (s *Store) PutGroup(_ context.Context, g subscription.Group) (int64, error) {
	return put(s, s.groups, g.ID, g, func(g *subscription.Group) *int64 { return &g.Version })
}

func (s *Store) Groups(context.Context) ([]subscription.Group, error) { return list(s, s.groups) }

// remove deletes a value if it has that version. of returns a value's version.
func remove[T any](s *Store, from map[string]T, id string, version int64, of func(T) int64) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	before, exists := from[id]
	switch {
	case s.failure != nil:
		return s.failure
	case !exists:
		return subscription.ErrNotFound
	case of(before) != version:
		return subscription.ErrConflict
	}
	delete(from, id)
	return nil
}

func (s *Store) DeleteTier(_ context.Context, id string, version int64) error {
	return remove(s, s.tiers, id, version, func(t subscription.Tier) int64 { return t.Version })
}

func (s *Store) DeleteGroup(_ context.Context, id string, version int64) error {
	return remove(s, s.groups, id, version, func(g subscription.Group) int64 { return g.Version })
}

func (s *Store) DeleteSubscription(_ context.Context, id string, version int64) error {
	return remove(s, s.subscriptions, id, version, func(sub subscription.Subscription) int64 { return sub.Version })
}

func (s *Store) PutTier(_ context.Context, t subscription.Tier) (int64, error) {
	if err := t.ExpandShortForm(); err != nil {
		return 0, err
	}
	return put(s, s.tiers, t.ID, t, func(t *subscription.Tier) *int64 { return &t.Version })
}

func (s *Store) PutSubscription(_ context.Context, sub subscription.Subscription) (int64, error) {
	return put(s, s.subscriptions, sub.ID, sub, func(sub *subscription.Subscription) *int64 { return &sub.Version })
}

func (s *Store) Tiers(context.Context) ([]subscription.Tier, error) { return list(s, s.tiers) }

func (s *Store) Subscriptions(context.Context) ([]subscription.Subscription, error) {
	return list(s, s.subscriptions)
}

func (s *Store) PutKey(_ context.Context, k subscription.KeyRecord) error {
	version := int64(0)
	_, err := put(s, s.keys, k.Hash, k, func(*subscription.KeyRecord) *int64 { return &version })
	return err
}

func (s *Store) Keys(_ context.Context, sub string) ([]subscription.KeyRecord, error) {
	all, err := list(s, s.keys)
	return slices.DeleteFunc(all, func(k subscription.KeyRecord) bool { return k.Subscription != sub }), err
}

func (s *Store) ExpireKey(_ context.Context, hash string, at time.Time) error {
	return s.edit(hash, func(k subscription.KeyRecord) {
		k.Expires = at
		s.keys[hash] = k
	})
}

func (s *Store) DeleteKey(_ context.Context, hash string) error {
	return s.edit(hash, func(subscription.KeyRecord) { delete(s.keys, hash) })
}

// edit calls change with a stored key, or returns ErrNotFound.
func (s *Store) edit(hash string, change func(subscription.KeyRecord)) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.failure != nil {
		return s.failure
	}
	k, exists := s.keys[hash]
	if !exists {
		return subscription.ErrNotFound
	}
	change(k)
	return nil
}

func (s *Store) Fingerprint(context.Context) (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.failure == nil && s.fingerprint == "" {
		return "", subscription.ErrNotFound
	}
	return s.fingerprint, s.failure
}

func (s *Store) PutFingerprint(_ context.Context, fingerprint string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.failure == nil {
		s.fingerprint = fingerprint
	}
	return s.failure
}

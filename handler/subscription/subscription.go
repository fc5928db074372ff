// Package subscription defines who may call, and under which limits.
//
// A caller has a Subscription with two keys. Its limits come from its Tier, which other
// subscriptions share, and from its Group and the groups above that. For each call, a
// Directory hashes the caller's key with a secret Pepper, looks the hash up in the store and
// returns a Grant: the subscription, its tier with its overrides, and all limits. It
// remembers grants, so that most calls need no read. Operators change tiers, groups,
// subscriptions and keys through a Registry, which validates each change. Everything is kept
// in a Store: memstore or tablestore.
//
// Start reading at Subscription, Tier and Limit, then Directory.Authenticate.
package subscription

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// A Subscription is a caller with limits.
type Subscription struct {
	// ID identifies the subscription in counters, usage and metrics. It can't be changed.
	ID string `json:"id"`
	// Name is a name for people. It need not be unique.
	Name string `json:"name,omitempty"`
	// Tier is the id of its tier.
	Tier string `json:"tier"`
	// Group is the id of the group that it belongs to; empty: none.
	Group string `json:"group,omitempty"`
	// Overrides replace values of the tier.
	Overrides Overrides `json:"overrides,omitzero"`
	// Suspended makes the subscription's keys invalid.
	Suspended bool      `json:"suspended,omitempty"`
	Created   time.Time `json:"created,omitzero"`
	// Version grows with every change; 0: not stored yet.
	Version int64 `json:"version,omitempty"`
}

// Validate returns everything that is wrong with the subscription itself. CheckOverrides
// checks its overrides against its tier.
func (s *Subscription) Validate(now time.Time) error {
	var f faults
	f.checkID("id", s.ID)
	f.checkID("tier", s.Tier)
	if s.Group != "" {
		f.checkID("group", s.Group)
	}
	f.checkName(s.Name)
	f.checkColumnSize("overrides", s.Overrides)
	s.Overrides.check(&f, now)
	return f.err()
}

// Effective returns the tier with the overrides that apply at a time, and with defaults
// filled in. The error says which override doesn't fit the tier.
func (s *Subscription) Effective(tier Tier, now time.Time) (Tier, error) {
	rules, ended, err := s.Overrides.apply(tier.Rules, now)
	if err != nil {
		return Tier{}, err
	}
	rules.Normalize()
	var f faults
	for i := range rules.Limits {
		f.checkSharedCounter(tier, &rules.Limits[i])
	}
	if err := errors.Join(f.err(), rules.Validate()); err != nil {
		return Tier{}, fmt.Errorf("with the subscription's overrides: %w", err)
	}
	return Tier{ID: tier.ID, Rules: rules, Version: s.limitsVersion(tier, ended)}, nil
}

// checkSharedCounter adds a fault if overrides changed a limit whose counters other
// subscriptions share.
func (f *faults) checkSharedCounter(tier Tier, l *Limit) {
	before := FindLimit(tier.Limits, l.Name)
	if l.CounterKey.orDefault(Owner{Tier: tier.ID}).Has(SubscriptionPart) || l.Windows(0) == before.Windows(0) {
		return
	}
	*f = append(*f, newFieldError("overrides."+limitField(l.Name, "counterKey"), "has no {subscription}, so other subscriptions share the counters of the changed limit",
		"change the tier, or override counterKey with one that has {subscription}"))
}

// CheckOverrides returns what is wrong with the subscription's overrides of a tier: what
// Effective finds, and overrides that could never take effect. An override may keep another
// value of the tier from ever taking effect, as a lowered minute limit does with a quota.
func (s *Subscription) CheckOverrides(tier Tier, now time.Time) error {
	effective, err := s.Effective(tier, now)
	if err != nil {
		return err
	}
	var own faults
	for _, o := range s.Overrides.Limits {
		l := FindLimit(effective.Limits, o.Name)
		if l == nil || o.ended(now) {
			continue
		}
		var all faults
		all.checkReachable(l)
		for _, fault := range all {
			if o.replaces(fault.(*FieldError).Field) {
				own = append(own, fault)
			}
		}
	}
	if err := own.err(); err != nil {
		return fmt.Errorf("with the subscription's overrides: %w", err)
	}
	return nil
}

// limitsVersion returns the version of the effective limits. Counters adopt only newer
// versions, so it must grow whenever the subscription or tier changes, an override ends, or
// the subscription moves to a tier with a lower version. The subscription's own version is
// therefore the most significant part.
func (s *Subscription) limitsVersion(tier Tier, ended int64) int64 {
	return (s.Version<<4+ended)<<32 | tier.Version
}

// NextVersion returns the version that follows before, which is 0 for a new row. Versions
// are at least the minutes since 1970, so that a tier or subscription that is deleted and
// created again is newer than what counters remember of it.
func NextVersion(before int64, now time.Time) int64 {
	return max(before+1, now.Unix()/60)
}

// A KeySlot is the place of one of a subscription's two keys. Callers use one key while the
// other is replaced.
type KeySlot string

// The two slots of a subscription.
const (
	Primary   KeySlot = "primary"
	Secondary KeySlot = "secondary"
)

// A KeyRecord is the stored part of a key. The key itself is not stored.
type KeyRecord struct {
	Hash         string    `json:"-"` // Pepper.Hash of the key; never shown
	Subscription string    `json:"subscription"`
	Slot         KeySlot   `json:"slot"`
	Created      time.Time `json:"created,omitzero"`
	// Expires is when the key expires; zero: never.
	Expires time.Time `json:"expires,omitzero"`
}

// Expired reports whether the key has expired. now is the instance's own clock.
func (k *KeyRecord) Expired(now time.Time) bool {
	return !k.Expires.IsZero() && !now.Before(k.Expires)
}

// Errors of a Store.
var (
	// ErrNotFound means that there is no such row.
	ErrNotFound = errors.New("not found")
	// ErrExists means that a row to insert exists already.
	ErrExists = errors.New("exists already")
	// ErrConflict means that the stored row has another version than expected.
	ErrConflict = errors.New("was changed meanwhile")
)

// Errors of a Directory.
var (
	// ErrUnauthorized means that a key is malformed, unknown or expired, or that its
	// subscription or a group above it is suspended.
	ErrUnauthorized = errors.New("not a valid key of an active subscription")
	// ErrUnavailable means that a key could not be looked up. An error that wraps it also wraps
	// the cause.
	ErrUnavailable = errors.New("the directory can't be reached")
)

// A Store keeps tiers, groups, subscriptions and keys. Any error other than ErrNotFound,
// ErrExists and ErrConflict means that the store can't be reached.
type Store interface {
	Reader
	// PutTier inserts a tier whose Version is 0, or replaces the stored tier if it has
	// the same Version. It returns the new version, or ErrNotFound, ErrExists or
	// ErrConflict. PutSubscription and PutGroup work the same way.
	PutTier(ctx context.Context, t Tier) (version int64, err error)
	PutSubscription(ctx context.Context, s Subscription) (version int64, err error)
	PutGroup(ctx context.Context, g Group) (version int64, err error)
	// Tiers lists all tiers, sorted by id. Groups and Subscriptions work the same way.
	Tiers(ctx context.Context) ([]Tier, error)
	Groups(ctx context.Context) ([]Group, error)
	Subscriptions(ctx context.Context) ([]Subscription, error)
	// DeleteTier deletes a tier if it has this version, or returns ErrNotFound or
	// ErrConflict. DeleteGroup and DeleteSubscription work the same way.
	DeleteTier(ctx context.Context, id string, version int64) error
	DeleteGroup(ctx context.Context, id string, version int64) error
	DeleteSubscription(ctx context.Context, id string, version int64) error
	// PutKey inserts a key, or returns ErrExists.
	PutKey(ctx context.Context, k KeyRecord) error
	// Keys lists a subscription's keys.
	Keys(ctx context.Context, subscription string) ([]KeyRecord, error)
	// ExpireKey sets when a key expires (zero: never), or returns ErrNotFound.
	ExpireKey(ctx context.Context, hash string, at time.Time) error
	// DeleteKey deletes a key, or returns ErrNotFound.
	DeleteKey(ctx context.Context, hash string) error
	// Fingerprint returns the fingerprint of the pepper that the stored keys were hashed
	// with, or ErrNotFound if none is stored.
	Fingerprint(ctx context.Context) (string, error)
	// PutFingerprint stores a fingerprint, replacing any other.
	PutFingerprint(ctx context.Context, fingerprint string) error
}

// A Reader is the part of a Store that a Directory needs. A method that reads one row returns
// ErrNotFound if there is none.
type Reader interface {
	// Key returns the key with a hash.
	Key(ctx context.Context, hash string) (KeyRecord, error)
	// Hashes lists the hashes of up to atMost keys, in any order.
	Hashes(ctx context.Context, atMost int) ([]string, error)
	Subscription(ctx context.Context, id string) (Subscription, error)
	Tier(ctx context.Context, id string) (Tier, error)
	Group(ctx context.Context, id string) (Group, error)
}

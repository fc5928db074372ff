// Package subscription holds who may call and under which limits: subscriptions,
// their keys, the tiers that they share and the groups that they belong to.
//
// A call's key is hashed with a secret pepper and looked up by a Directory, which
// remembers results and answers with a Grant: the subscription, its effective tier and
// all limits. Operators change tiers, groups, subscriptions and keys through a Registry, which
// validates each change. Both work on a Store: memstore or tablestore.
//
// Start reading at Subscription, Tier and Limit, then Directory.Authenticate.
package subscription

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// A Subscription is a caller that limits are kept for.
type Subscription struct {
	ID   string `json:"id"`
	Name string `json:"name,omitempty"`
	// Tier is the id of its tier.
	Tier string `json:"tier"`
	// Group is the id of the group that it belongs to; empty: none.
	Group string `json:"group,omitempty"`
	// Overrides replace single values of the tier.
	Overrides Overrides `json:"overrides,omitzero"`
	Suspended bool      `json:"suspended,omitempty"`
	Created   time.Time `json:"created,omitzero"`
	// Version grows with every change.
	Version int64 `json:"version,omitempty"`
}

// Validate returns everything that is wrong with the subscription itself. Check
// checks it together with its tier.
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

// Effective returns the tier with the subscription's overrides at a time, and defaults
// filled in.
func (s *Subscription) Effective(tier Tier, now time.Time) (Tier, error) {
	rules, ended, err := s.Overrides.apply(tier.Rules, now)
	if err != nil {
		return Tier{}, err
	}
	rules.Normalize()
	var f faults
	for i := range rules.Limits {
		f.checkShared(tier, &rules.Limits[i])
	}
	if err := errors.Join(f.err(), rules.Validate()); err != nil {
		return Tier{}, fmt.Errorf("with the subscription's overrides: %w", err)
	}
	return Tier{ID: tier.ID, Rules: rules, Version: s.limitsVersion(tier, ended)}, nil
}

// checkShared adds a fault if a limit whose counters other subscriptions share differs
// from the tier's.
func (f *faults) checkShared(tier Tier, l *Limit) {
	before := FindLimit(tier.Limits, l.Name)
	if l.CounterKey.or(Owner{Tier: tier.ID}).Has(SubscriptionPart) || l.Windows(0) == before.Windows(0) {
		return
	}
	*f = append(*f, fieldError("overrides."+limitField(l.Name, "counterKey"), "has no {subscription}: other subscriptions share the counters of the changed limit",
		"change the tier, or override counterKey with one that has {subscription}"))
}

// Check returns what is wrong with the subscription's overrides in a tier: what
// Effective finds, and overrides that could never take effect. An override may make a
// value of the tier ineffective, as a lowered minute limit does a quota.
func (s *Subscription) Check(tier Tier, now time.Time) error {
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
		all.checkActs(l)
		for _, fault := range all {
			if o.sets(fault.(*FieldError).Field) {
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
// versions, so it must grow with every change of the subscription or tier, when an
// override ends, and when the subscription moves to a tier with a lower version: the
// subscription's own version is therefore the most significant part.
func (s *Subscription) limitsVersion(tier Tier, ended int64) int64 {
	return (s.Version<<4+ended)<<32 | tier.Version
}

// NextVersion returns the version that follows before, which is 0 for something new.
// Versions begin at the minutes since 1970, so that a tier or subscription created
// again under an old id is newer than what counters remember.
func NextVersion(before int64, now time.Time) int64 {
	return max(before+1, now.Unix()/60)
}

// A KeySlot is one of a subscription's two keys. Callers use one while the other is
// replaced.
type KeySlot string

// The two keys of a subscription.
const (
	Primary   KeySlot = "primary"
	Secondary KeySlot = "secondary"
)

// A KeyRecord is what is stored about a key.
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

// Errors of a Store and of a Directory.
var (
	ErrNotFound     = errors.New("not found")
	ErrExists       = errors.New("exists already")
	ErrConflict     = errors.New("was changed meanwhile")
	ErrUnauthorized = errors.New("not an active subscription's key")
	ErrUnavailable  = errors.New("the directory can't be reached")
)

// A Store keeps tiers, groups, subscriptions and keys. Any error other than ErrNotFound,
// ErrExists and ErrConflict means that the store can't be reached.
type Store interface {
	Reader
	// PutTier inserts a tier whose Version is 0, or replaces the stored tier if it has
	// the same Version. It returns the new version, ErrNotFound, ErrExists or ErrConflict.
	PutTier(ctx context.Context, t Tier) (version int64, err error)
	// PutSubscription does the same for a subscription.
	PutSubscription(ctx context.Context, s Subscription) (version int64, err error)
	// PutGroup does the same for a group.
	PutGroup(ctx context.Context, g Group) (version int64, err error)
	Tiers(ctx context.Context) ([]Tier, error)
	Groups(ctx context.Context) ([]Group, error)
	Subscriptions(ctx context.Context) ([]Subscription, error)
	// DeleteTier deletes the tier with this version. It returns ErrNotFound or
	// ErrConflict. DeleteGroup and DeleteSubscription do the same.
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
	// Fingerprint returns the fingerprint of the pepper that keys are hashed with, or
	// ErrNotFound.
	Fingerprint(ctx context.Context) (string, error)
	// PutFingerprint stores a fingerprint, replacing any other.
	PutFingerprint(ctx context.Context, fingerprint string) error
}

// A Reader is the part of a Store that looking up a key needs. It returns ErrNotFound
// for what doesn't exist.
type Reader interface {
	Key(ctx context.Context, hash string) (KeyRecord, error)
	// Hashes lists the hashes of at most `most` keys.
	Hashes(ctx context.Context, most int) ([]string, error)
	Subscription(ctx context.Context, id string) (Subscription, error)
	Tier(ctx context.Context, id string) (Tier, error)
	Group(ctx context.Context, id string) (Group, error)
}

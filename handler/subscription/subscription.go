// Package subscription holds who may call and under which limits: subscriptions,
// their keys, and the tiers that they share.
//
// A call's key is hashed with a secret pepper and looked up by a Directory, which
// remembers results and answers with a Grant: the subscription and its effective
// tier. Operators change tiers, subscriptions and keys through a Registry, which
// validates each change. Both work on a Store: memstore or tablestore.
//
// Start reading at Subscription and Tier, then Directory.Authenticate.
package subscription

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"
)

// A Subscription is a caller that limits are kept for.
type Subscription struct {
	ID   string `json:"id"`
	Name string `json:"name,omitempty"`
	// Tier is the id of its tier.
	Tier string `json:"tier"`
	// Overrides replaces single values of the tier: a JSON object of Limits' fields.
	Overrides json.RawMessage `json:"overrides,omitempty"`
	Suspended bool            `json:"suspended,omitempty"`
	Created   time.Time       `json:"created,omitzero"`
	// Version grows with every change.
	Version int64 `json:"version,omitempty"`
}

// Validate returns everything that is wrong with the subscription itself. Check
// checks it together with its tier.
func (s *Subscription) Validate() error {
	var f faults
	f.checkID("id", s.ID)
	f.checkID("tier", s.Tier)
	f.check(len(s.Name) <= 256, "name", "is longer than 256 bytes", "shorten it")
	f.checkText("name", s.Name)
	if len(s.Overrides) > 0 {
		f.checkColumnSize("overrides", s.Overrides)
	}
	return f.err()
}

// Effective returns the tier with the subscription's overrides applied and defaults
// filled in.
func (s *Subscription) Effective(tier Tier) (Tier, error) {
	limits, err := tier.With(s.Overrides)
	if err != nil {
		return Tier{}, fmt.Errorf("overrides: %w", err)
	}
	limits.Normalize()
	var f faults
	f.check(!limits.CounterKey.Shared() || limits.counterLimits() == tier.counterLimits(), "overrides",
		"change a limit whose counter other subscriptions share", "change the tier, or override counterKey with one that has {subscription}")
	if err := errors.Join(f.err(), limits.Validate()); err != nil {
		return Tier{}, fmt.Errorf("with the subscription's overrides: %w", err)
	}
	return Tier{ID: tier.ID, Limits: limits, Version: s.limitsVersion(tier, limits.CounterKey.Shared())}, nil
}

// Check returns what is wrong with the subscription's overrides in a tier: what
// Effective finds, and overrides that could never take effect. An override may make a
// value of the tier ineffective, as a lowered tokensPerMinute does a quota.
func (s *Subscription) Check(tier Tier) error {
	effective, err := s.Effective(tier)
	if err != nil {
		return err
	}
	var all, own faults
	all.checkEachLimitActs(&effective)
	for _, fault := range all {
		field := fault.(*FieldError).Field
		if s.Overrode(field) || field == "tokenQuota" && s.Overrode("tokenQuotaPeriod") {
			own = append(own, fault)
		}
	}
	if err := own.err(); err != nil {
		return fmt.Errorf("with the subscription's overrides: %w", err)
	}
	return nil
}

// Overrode reports whether the subscription overrides a field of Limits, given by its
// JSON name.
func (s *Subscription) Overrode(field string) bool {
	var values map[string]json.RawMessage
	if json.Unmarshal(s.Overrides, &values) != nil {
		return false
	}
	for name := range values {
		if strings.EqualFold(name, field) { // as encoding/json matches names
			return true
		}
	}
	return false
}

// limitsVersion returns the version of the effective limits. Counters adopt only newer
// versions, so it must grow with every change of the subscription or tier, and when the
// subscription moves to a tier with a lower version: the subscription's own version is
// therefore the more significant part. A shared counter has the tier's version for all.
func (s *Subscription) limitsVersion(tier Tier, shared bool) int64 {
	if shared {
		return tier.Version
	}
	return s.Version<<32 | tier.Version
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

// A Store keeps tiers, subscriptions and keys. Any error other than ErrNotFound,
// ErrExists and ErrConflict means that the store can't be reached.
type Store interface {
	Reader
	// PutTier inserts a tier whose Version is 0, or replaces the stored tier if it has
	// the same Version. It returns the new version, ErrNotFound, ErrExists or ErrConflict.
	PutTier(ctx context.Context, t Tier) (version int64, err error)
	// PutSubscription does the same for a subscription.
	PutSubscription(ctx context.Context, s Subscription) (version int64, err error)
	Tiers(ctx context.Context) ([]Tier, error)
	Subscriptions(ctx context.Context) ([]Subscription, error)
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
}

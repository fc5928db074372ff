// Package subscription knows who may call: tiers, subscriptions and their
// keys, and a directory that looks a key up.
package subscription

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"
)

// Subscription is a caller that limits are kept for.
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

// Validate names everything that is wrong with the subscription itself; its
// effective tier is Effective's to check.
func (s *Subscription) Validate() error {
	var f faults
	f.id("id", s.ID)
	f.id("tier", s.Tier)
	f.check(len(s.Name) <= 256, "name", "is longer than 256 bytes", "shorten it")
	f.text("name", s.Name)
	if len(s.Overrides) > 0 {
		f.column("overrides", s.Overrides)
	}
	return f.err()
}

// Effective is the tier as it holds for the subscription: its values, or the
// subscription's own.
func (s *Subscription) Effective(tier Tier) (Tier, error) {
	limits, err := tier.With(s.Overrides)
	if err != nil {
		return Tier{}, fmt.Errorf("overrides: %w", err)
	}
	limits.Normalize()
	var f faults
	f.check(!limits.CounterKey.Shared() || limits.counted() == tier.counted(), "overrides",
		"change a limit whose counter other subscriptions share", "leave it to the tier, or override counterKey with one that has {subscription}")
	if err := errors.Join(f.err(), limits.Validate()); err != nil {
		return Tier{}, fmt.Errorf("with the subscription's overrides: %w", err)
	}
	return Tier{ID: tier.ID, Limits: limits, Version: s.version(tier, limits.CounterKey.Shared())}, nil
}

// Check names what is wrong with the subscription's overrides in a tier: what
// Effective does, and an override that could never act. A value of the tier may
// be left without effect by one, as a quota is by a lowered tokensPerMinute.
func (s *Subscription) Check(tier Tier) error {
	effective, err := s.Effective(tier)
	if err != nil {
		return err
	}
	var all, own faults
	all.dominated(&effective)
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

// Overrode says whether a value, by the name that Limits gives it in JSON, is the
// subscription's own.
func (s *Subscription) Overrode(field string) bool {
	var values map[string]json.RawMessage
	if json.Unmarshal(s.Overrides, &values) != nil {
		return false
	}
	for name := range values {
		if strings.EqualFold(name, field) { // as the decoder takes it
			return true
		}
	}
	return false
}

// version tells counters newer limits from older ones, so it must grow with
// every change of either, and also when the subscription moves to a tier that
// was changed less often: its own version goes first. A shared counter is the
// tier's, whoever calls.
func (s *Subscription) version(tier Tier, shared bool) int64 {
	if shared {
		return tier.Version
	}
	return s.Version<<32 | tier.Version
}

// NextVersion is the version of a change to what had the version before, 0
// where nothing was. It begins at the minutes since 1970, so that what is made
// anew under an old id is newer than what counters remember of it.
func NextVersion(before int64, now time.Time) int64 {
	return max(before+1, now.Unix()/60)
}

// Slot is which of a subscription's two keys a key is, so that one can be
// replaced while the other goes on.
type Slot string

// The two keys of a subscription.
const (
	Primary   Slot = "primary"
	Secondary Slot = "secondary"
)

// KeyRecord is what is stored of a key: whose it is, found by its hash.
type KeyRecord struct {
	Hash         string    `json:"-"` // Pepper.Hash of the key; shown nowhere
	Subscription string    `json:"subscription"`
	Slot         Slot      `json:"slot"`
	Created      time.Time `json:"created,omitzero"`
	// Expires is when the key stops to be one; zero: never.
	Expires time.Time `json:"expires,omitzero"`
}

// Expired says whether the key is one no more. An instance judges by its own
// clock.
func (k *KeyRecord) Expired(now time.Time) bool {
	return !k.Expires.IsZero() && !now.Before(k.Expires)
}

// What a Store, and a Directory, may answer.
var (
	ErrNotFound     = errors.New("not found")
	ErrExists       = errors.New("exists already")
	ErrConflict     = errors.New("was changed meanwhile")
	ErrUnauthorized = errors.New("not an active subscription's key")
	ErrUnavailable  = errors.New("the directory can't be reached")
)

// Store keeps tiers, subscriptions and keys. Its errors are those above where
// they fit; any other means that the store can't be reached.
type Store interface {
	Reader
	// PutTier inserts a tier of Version 0, else replaces the one of this Version;
	// it returns the new version. ErrExists, ErrConflict.
	PutTier(ctx context.Context, t Tier) (version int64, err error)
	// PutSubscription does so for a subscription.
	PutSubscription(ctx context.Context, s Subscription) (version int64, err error)
	Tiers(ctx context.Context) ([]Tier, error)
	Subscriptions(ctx context.Context) ([]Subscription, error)
	// PutKey inserts a key. ErrExists.
	PutKey(ctx context.Context, k KeyRecord) error
	// Keys lists a subscription's keys.
	Keys(ctx context.Context, subscription string) ([]KeyRecord, error)
	// ExpireKey sets when a key expires; zero: never. ErrNotFound.
	ExpireKey(ctx context.Context, hash string, at time.Time) error
	// DeleteKey takes a key away. ErrNotFound.
	DeleteKey(ctx context.Context, hash string) error
	// Fingerprint is that of the pepper that keys are made under. ErrNotFound.
	Fingerprint(ctx context.Context) (string, error)
	// PutFingerprint keeps one, in place of any other.
	PutFingerprint(ctx context.Context, fingerprint string) error
}

// Reader is what looking a key up takes. ErrNotFound.
type Reader interface {
	Key(ctx context.Context, hash string) (KeyRecord, error)
	// Hashes lists the hashes of all keys, most of them at most.
	Hashes(ctx context.Context, most int) ([]string, error)
	Subscription(ctx context.Context, id string) (Subscription, error)
	Tier(ctx context.Context, id string) (Tier, error)
}

// Package subscription knows who may call: tiers, subscriptions and their
// keys, and a directory that looks a key up.
package subscription

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
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
	var v faults
	v.check(id.MatchString(s.ID), "id", "is not an id", "use 1 to 63 of a-z, 0-9, '.', '_' and '-', beginning with a letter or digit")
	v.check(id.MatchString(s.Tier), "tier", "is not an id", "name a tier")
	v.check(len(s.Name) <= 256, "name", "is longer than 256 bytes", "shorten it")
	return v.err()
}

// Effective is the tier as it holds for the subscription: its values, or the
// subscription's own. Versions only grow, so their sum tells newer from older
// whichever of the two has changed.
func (s *Subscription) Effective(tier Tier) (Tier, error) {
	limits, err := tier.override(s.Overrides)
	if err != nil {
		return Tier{}, fmt.Errorf("overrides: %w", err)
	}
	limits.Normalize()
	if err := limits.Validate(); err != nil {
		return Tier{}, fmt.Errorf("with its overrides: %w", err)
	}
	return Tier{ID: tier.ID, Limits: limits, Version: tier.Version + s.Version}, nil
}

// strict reads JSON and refuses fields that don't exist: a misspelt limit would be none.
func strict(data []byte, into any) error {
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.DisallowUnknownFields()
	return decoder.Decode(into)
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
	Hash         string // Pepper.Hash of the key
	Subscription string
	Slot         Slot
	Created      time.Time
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
	// DeleteKey takes a key away. ErrNotFound.
	DeleteKey(ctx context.Context, hash string) error
}

// Reader is what looking a key up takes. ErrNotFound.
type Reader interface {
	Key(ctx context.Context, hash string) (KeyRecord, error)
	Subscription(ctx context.Context, id string) (Subscription, error)
	Tier(ctx context.Context, id string) (Tier, error)
}

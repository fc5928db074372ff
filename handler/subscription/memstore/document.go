package memstore

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"tollgate/handler/subscription"
)

// A document is the JSON form of tiers, groups, subscriptions and keys, with the keys in plain
// text. It is meant for trying Tollgate out on one machine.
type document struct {
	Tiers         []subscription.Tier         `json:"tiers"`
	Groups        []subscription.Group        `json:"groups"`
	Subscriptions []subscription.Subscription `json:"subscriptions"`
	Keys          []Key                       `json:"keys"`
	// Currency and Prices are ignored here. price/memstore reads them.
	Currency json.RawMessage `json:"currency"`
	Prices   json.RawMessage `json:"prices"`
}

// A Key is a key in plain text.
type Key struct {
	Subscription string               `json:"subscription"`
	Slot         subscription.KeySlot `json:"slot"` // empty: primary
	Key          string               `json:"key"`
}

// Load returns a store with the content of a JSON document. The error lists every fault of
// the document, and contains no key.
func Load(text []byte, pepper subscription.Pepper) (*Store, error) {
	var d document
	if err := subscription.Decode(text, &d); err != nil {
		return nil, fmt.Errorf("read tiers, groups, subscriptions and keys: %w", err)
	}
	ctx, s := context.Background(), New()
	var faults []error
	for i, tier := range d.Tiers {
		tier.Version = 0
		err := errors.Join(tier.CheckSingleForm(), tier.ExpandShortForm())
		if err == nil {
			_, err = s.PutTier(ctx, tier)
		}
		faults = append(faults, prefixed(fmt.Sprintf("tiers[%d] %q", i, tier.ID), errors.Join(tier.Validate(), err)))
	}
	for i, group := range d.Groups {
		group.Version = 0
		_, err := s.PutGroup(ctx, group)
		faults = append(faults, prefixed(fmt.Sprintf("groups[%d] %q", i, group.ID), errors.Join(group.Validate(), err)))
	}
	for i, group := range d.Groups { // after all are stored, because they refer to each other
		_, err := subscription.GroupChain(ctx, group.ID, s.Group)
		faults = append(faults, prefixed(fmt.Sprintf("groups[%d] %q", i, group.ID), err))
	}
	for i, sub := range d.Subscriptions {
		sub.Version = 0
		_, err := s.PutSubscription(ctx, sub)
		faults = append(faults, prefixed(fmt.Sprintf("subscriptions[%d] %q", i, sub.ID), errors.Join(sub.Validate(time.Now()), s.checkTier(sub), s.checkGroup(sub), s.checkTogether(ctx, sub), err)))
	}
	for i, key := range d.Keys {
		faults = append(faults, prefixed(fmt.Sprintf("keys[%d]", i), s.loadKey(ctx, key, pepper)))
	}
	return s, errors.Join(faults...)
}

// checkTier returns an error if a subscription's tier doesn't exist or its overrides don't fit
// the tier.
func (s *Store) checkTier(sub subscription.Subscription) error {
	tier, known := s.tiers[sub.Tier]
	if !known {
		return fault("tier", "%q is not one of the tiers", "list it under tiers", sub.Tier)
	}
	return sub.CheckOverrides(tier, time.Now())
}

// checkGroup returns an error if a subscription's group doesn't exist.
func (s *Store) checkGroup(sub subscription.Subscription) error {
	if _, known := s.groups[sub.Group]; !known && sub.Group != "" {
		return fault("group", "%q is not one of the groups", "list it under groups", sub.Group)
	}
	return nil
}

// checkTogether returns an error if a subscription doesn't fit its tier and groups. It
// returns nil if one of them is invalid by itself, which is reported elsewhere.
func (s *Store) checkTogether(ctx context.Context, sub subscription.Subscription) error {
	tier, known := s.tiers[sub.Tier]
	if s.checkGroup(sub) != nil || !known || sub.CheckOverrides(tier, time.Now()) != nil {
		return nil
	}
	if _, err := subscription.GroupChain(ctx, sub.Group, s.Group); err != nil {
		return nil // reported as the group's fault
	}
	return subscription.CheckAssignment(ctx, &sub, tier, s.Group)
}

// loadKey stores a key's hash, or returns the key's faults.
func (s *Store) loadKey(ctx context.Context, key Key, pepper subscription.Pepper) error {
	var faults []error
	if _, known := s.subscriptions[key.Subscription]; !known {
		faults = append(faults, fault("subscription", "%q is not one of the subscriptions", "list it under subscriptions", key.Subscription))
	}
	if !subscription.WellFormed(key.Key) {
		faults = append(faults, fault("key", "is not a key", "use one that tollgate made: tg_, 32 characters and a checksum of 6"))
	}
	if key.Slot == "" {
		key.Slot = subscription.Primary
	}
	if key.Slot != subscription.Primary && key.Slot != subscription.Secondary {
		faults = append(faults, fault("slot", "%q is unknown", "use primary or secondary", key.Slot))
	}
	if err := errors.Join(faults...); err != nil {
		return err
	}
	return s.PutKey(ctx, subscription.KeyRecord{Hash: pepper.Hash(key.Key), Subscription: key.Subscription, Slot: key.Slot})
}

func fault(field, problem, fix string, of ...any) error {
	return &subscription.FieldError{Field: field, Problem: fmt.Sprintf(problem, of...), Fix: fix}
}

// prefixed puts the part of the document that an error concerns before each of its lines.
func prefixed(what string, err error) error {
	if err == nil {
		return nil
	}
	lines := strings.ReplaceAll(err.Error(), "\n", "\n"+what+": ")
	return fmt.Errorf("%s: %s", what, lines)
}

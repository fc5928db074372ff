package subscription

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"
)

// KeyOptions are an operator's choices for a new key.
type KeyOptions struct {
	// Expires is when the key expires; zero: never.
	Expires time.Time
	// Overlap is how long a replaced key stays valid; 0: it is deleted at once.
	Overlap time.Duration
}

// maxOverlap bounds how long a replaced key stays valid, so that it isn't forgotten.
const maxOverlap = 90 * 24 * time.Hour

func (t KeyOptions) check(now time.Time) error {
	var f faults
	f.check(t.Expires.IsZero() || t.Expires.After(now), "expires", "is not in the future", "use a later time, or leave it out for a key that never expires")
	f.check(t.Overlap >= 0 && t.Overlap <= maxOverlap, "overlap", "is out of range", "use 0s to 2160h, which is 90 days")
	return f.err()
}

// CreateKey creates a key in a slot that has none and returns it, to be shown once.
func (r Registry) CreateKey(ctx context.Context, pepper Pepper, id string, slot KeySlot, terms KeyOptions) (string, KeyRecord, error) {
	valid, expired, err := r.slotKeys(ctx, id, slot)
	if err == nil {
		err = terms.check(time.Now())
	}
	if err != nil {
		return "", KeyRecord{}, err
	}
	if len(valid) > 0 {
		return "", KeyRecord{}, fmt.Errorf("the %s key of subscription %q %w: rotate it, or make the other", slot, id, ErrExists)
	}
	_ = r.deleteKeys(ctx, expired) // they have expired; the next change of the slot tries again
	return r.storeNewKey(ctx, pepper, id, slot, terms)
}

// RotateKey replaces a slot's key and returns the new one, to be shown once. It
// stores the new key before it deletes the old one or sets its expiry; if the latter
// fails, it returns both the new key and the error.
func (r Registry) RotateKey(ctx context.Context, pepper Pepper, id string, slot KeySlot, terms KeyOptions) (string, KeyRecord, error) {
	valid, expired, err := r.slotKeys(ctx, id, slot)
	if err == nil {
		err = errors.Join(requireKey(valid, id, slot), terms.check(time.Now()))
	}
	if err != nil {
		return "", KeyRecord{}, err
	}
	key, record, err := r.storeNewKey(ctx, pepper, id, slot, terms)
	if err != nil {
		return "", KeyRecord{}, err
	}
	_ = r.deleteKeys(ctx, expired)
	if terms.Overlap == 0 {
		return key, record, r.deleteKeys(ctx, valid)
	}
	return key, record, r.expireKeys(ctx, valid, record.Created.Add(terms.Overlap))
}

// ExpireKey sets when a slot's newest key expires; zero: never.
func (r Registry) ExpireKey(ctx context.Context, id string, slot KeySlot, at time.Time) (KeyRecord, error) {
	valid, _, err := r.slotKeys(ctx, id, slot)
	if err == nil {
		err = errors.Join(requireKey(valid, id, slot), KeyOptions{Expires: at}.check(time.Now()))
	}
	if err != nil {
		return KeyRecord{}, err
	}
	newest := valid[len(valid)-1]
	newest.Expires = at
	err = r.Store.ExpireKey(ctx, newest.Hash, at)
	if errors.Is(err, ErrNotFound) {
		err = requireKey(nil, id, slot)
	}
	return newest, err
}

// RevokeKey deletes all keys of a slot, including one kept for an overlap.
func (r Registry) RevokeKey(ctx context.Context, id string, slot KeySlot) error {
	valid, expired, err := r.slotKeys(ctx, id, slot)
	if err == nil {
		err = requireKey(valid, id, slot)
	}
	if err != nil {
		return err
	}
	return r.deleteKeys(ctx, append(valid, expired...))
}

// slotKeys returns a slot's valid and expired keys, oldest first. More than one is
// valid during an overlap or after an interrupted rotation.
func (r Registry) slotKeys(ctx context.Context, id string, slot KeySlot) (valid, expired []KeyRecord, err error) {
	if _, err := r.find(ctx, id); err != nil {
		return nil, nil, err
	}
	if slot != Primary && slot != Secondary {
		return nil, nil, &FieldError{Field: "slot", Problem: fmt.Sprintf("%q is unknown", slot), Fix: "use primary or secondary"}
	}
	all, err := r.Keys(ctx, id)
	slices.SortStableFunc(all, compareAge)
	for _, k := range all {
		switch {
		case k.Slot != slot:
		case k.Expired(time.Now()):
			expired = append(expired, k)
		default:
			valid = append(valid, k)
		}
	}
	return valid, expired, err
}

// compareAge orders keys by creation time, oldest first. Of two keys of the same
// second, the one that expires first was replaced by the other.
func compareAge(a, b KeyRecord) int {
	if by := a.Created.Compare(b.Created); by != 0 || a.Expires.Equal(b.Expires) {
		return by
	}
	if !a.Expires.IsZero() && (b.Expires.IsZero() || a.Expires.Before(b.Expires)) {
		return -1
	}
	return 1
}

// requireKey returns ErrNotFound, explained, if keys is empty.
func requireKey(keys []KeyRecord, id string, slot KeySlot) error {
	if len(keys) == 0 {
		return fmt.Errorf("the %s key of subscription %q was %w: create it", slot, id, ErrNotFound)
	}
	return nil
}

// storeNewKey makes a key and stores its hash.
func (r Registry) storeNewKey(ctx context.Context, pepper Pepper, id string, slot KeySlot, terms KeyOptions) (string, KeyRecord, error) {
	if err := r.ClaimPepper(ctx, pepper); err != nil {
		return "", KeyRecord{}, err
	}
	key := NewKey()
	record := KeyRecord{Hash: pepper.Hash(key), Subscription: id, Slot: slot, Created: time.Now().UTC().Truncate(time.Second)}
	if !terms.Expires.IsZero() {
		record.Expires = terms.Expires.UTC().Truncate(time.Second)
	}
	if err := r.PutKey(ctx, record); err != nil {
		return "", KeyRecord{}, err
	}
	return key, record, nil
}

// expireKeys makes keys expire at a time, unless they expire earlier already.
func (r Registry) expireKeys(ctx context.Context, keys []KeyRecord, at time.Time) error {
	for _, k := range keys {
		if !k.Expires.IsZero() && k.Expires.Before(at) {
			continue
		}
		if err := r.Store.ExpireKey(ctx, k.Hash, at); err != nil && !errors.Is(err, ErrNotFound) {
			return fmt.Errorf("the old key is still valid and doesn't expire: %w", err)
		}
	}
	return nil
}

func (r Registry) deleteKeys(ctx context.Context, keys []KeyRecord) error {
	for _, k := range keys {
		if err := r.DeleteKey(ctx, k.Hash); err != nil && !errors.Is(err, ErrNotFound) {
			return fmt.Errorf("the old key is still valid: %w", err)
		}
	}
	return nil
}

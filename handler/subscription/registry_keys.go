package subscription

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"
)

// Terms are what an operator says of a new key.
type Terms struct {
	// Expires is when the key stops to be one; zero: never.
	Expires time.Time
	// Overlap is how long the key that a new one replaces goes on; 0: it ends at once.
	Overlap time.Duration
}

// maxOverlap bounds how long two keys of a slot go on side by side: longer, and
// nobody remembers that the old one is still good.
const maxOverlap = 90 * 24 * time.Hour

func (t Terms) validate(now time.Time) error {
	var f faults
	f.check(t.Expires.IsZero() || t.Expires.After(now), "expires", "is not in the future", "use a later time, or leave it out for a key that never expires")
	f.check(t.Overlap >= 0 && t.Overlap <= maxOverlap, "overlap", "is out of range", "use 0s to 2160h, which is 90 days")
	return f.err()
}

// CreateKey makes a key for a slot that has none and returns it, to be shown once.
func (r Registry) CreateKey(ctx context.Context, pepper Pepper, id string, slot Slot, terms Terms) (string, KeyRecord, error) {
	have, gone, err := r.slot(ctx, id, slot)
	if err == nil {
		err = terms.validate(time.Now())
	}
	if err != nil {
		return "", KeyRecord{}, err
	}
	if len(have) > 0 {
		return "", KeyRecord{}, fmt.Errorf("the %s key of subscription %q %w: rotate it, or make the other", slot, id, ErrExists)
	}
	_ = r.delete(ctx, gone) // they are no keys any more; the next to look here tries again
	return r.issue(ctx, pepper, id, slot, terms)
}

// RotateKey replaces a slot's key and returns the new one, to be shown once. The
// new key is there before the old one goes, or begins to expire; where that
// fails, the error comes with the new key.
func (r Registry) RotateKey(ctx context.Context, pepper Pepper, id string, slot Slot, terms Terms) (string, KeyRecord, error) {
	old, gone, err := r.slot(ctx, id, slot)
	if err == nil {
		err = errors.Join(present(old, id, slot), terms.validate(time.Now()))
	}
	if err != nil {
		return "", KeyRecord{}, err
	}
	key, record, err := r.issue(ctx, pepper, id, slot, terms)
	if err != nil {
		return "", KeyRecord{}, err
	}
	_ = r.delete(ctx, gone)
	if terms.Overlap == 0 {
		return key, record, r.delete(ctx, old)
	}
	return key, record, r.expire(ctx, old, record.Created.Add(terms.Overlap))
}

// ExpireKey sets when a slot's key, of several the newest, expires; zero: never.
func (r Registry) ExpireKey(ctx context.Context, id string, slot Slot, at time.Time) (KeyRecord, error) {
	have, _, err := r.slot(ctx, id, slot)
	if err == nil {
		err = errors.Join(present(have, id, slot), Terms{Expires: at}.validate(time.Now()))
	}
	if err != nil {
		return KeyRecord{}, err
	}
	newest := have[len(have)-1]
	newest.Expires = at
	err = r.Store.ExpireKey(ctx, newest.Hash, at)
	if errors.Is(err, ErrNotFound) {
		err = present(nil, id, slot)
	}
	return newest, err
}

// RevokeKey takes a slot's keys away, one that goes on for an overlap too.
func (r Registry) RevokeKey(ctx context.Context, id string, slot Slot) error {
	old, gone, err := r.slot(ctx, id, slot)
	if err == nil {
		err = present(old, id, slot)
	}
	if err != nil {
		return err
	}
	return r.delete(ctx, append(old, gone...))
}

// slot lists what a slot holds, oldest first: keys that are good, more than one
// during an overlap or where a rotation was cut short, and those that expired.
func (r Registry) slot(ctx context.Context, id string, slot Slot) (good, expired []KeyRecord, err error) {
	if _, err := r.find(ctx, id); err != nil {
		return nil, nil, err
	}
	if slot != Primary && slot != Secondary {
		return nil, nil, &FieldError{"slot", fmt.Sprintf("%q is unknown", slot), "use primary or secondary"}
	}
	all, err := r.Keys(ctx, id)
	slices.SortStableFunc(all, older)
	for _, k := range all {
		switch {
		case k.Slot != slot:
		case k.Expired(time.Now()):
			expired = append(expired, k)
		default:
			good = append(good, k)
		}
	}
	return good, expired, err
}

// older orders keys by age; of two of the same second, the one that expires is
// the one that was replaced.
func older(a, b KeyRecord) int {
	if by := a.Created.Compare(b.Created); by != 0 || a.Expires.Equal(b.Expires) {
		return by
	}
	if !a.Expires.IsZero() && (b.Expires.IsZero() || a.Expires.Before(b.Expires)) {
		return -1
	}
	return 1
}

func present(keys []KeyRecord, id string, slot Slot) error {
	if len(keys) == 0 {
		return fmt.Errorf("the %s key of subscription %q was %w: create it", slot, id, ErrNotFound)
	}
	return nil
}

func (r Registry) issue(ctx context.Context, pepper Pepper, id string, slot Slot, terms Terms) (string, KeyRecord, error) {
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

// expire has keys end at a time, or earlier where they were to end earlier.
func (r Registry) expire(ctx context.Context, keys []KeyRecord, at time.Time) error {
	for _, k := range keys {
		if !k.Expires.IsZero() && k.Expires.Before(at) {
			continue
		}
		if err := r.Store.ExpireKey(ctx, k.Hash, at); err != nil && !errors.Is(err, ErrNotFound) {
			return fmt.Errorf("the old key is still valid, without an end: %w", err)
		}
	}
	return nil
}

func (r Registry) delete(ctx context.Context, keys []KeyRecord) error {
	for _, k := range keys {
		if err := r.DeleteKey(ctx, k.Hash); err != nil && !errors.Is(err, ErrNotFound) {
			return fmt.Errorf("the old key is still valid: %w", err)
		}
	}
	return nil
}

package subscription

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"
)

// A Registry makes operators' changes. It checks each change against the tiers and
// subscriptions it affects, and never overwrites a concurrent change. Its errors
// wrap *FieldError, ErrNotFound, ErrExists or ErrConflict; any other error means
// that the store can't be reached.
type Registry struct{ Store }

// maxChangeTries is how many times a change is tried when it conflicts with
// concurrent ones. Operators are few, so conflicts are rare.
const maxChangeTries = 5

// An Account is a subscription with what its calls obey, and its keys.
type Account struct {
	Subscription
	// Rules are the tier's, with the subscription's overrides.
	Rules Rules `json:"rules"`
	// Groups are its group and those above it, the nearest first.
	Groups []Group     `json:"groups,omitempty"`
	Keys   []KeyRecord `json:"keys"`
}

// SetTier creates or changes a tier. It rejects a change that makes a subscription's
// overrides invalid, or gives its calls too many limits.
func (r Registry) SetTier(ctx context.Context, id string, change func(*Tier) error) (Tier, error) {
	if err := checkID(id); err != nil {
		return Tier{}, err
	}
	return retryConflicts(func() (Tier, error) {
		tier, err := r.Store.Tier(ctx, id)
		if err != nil && !errors.Is(err, ErrNotFound) {
			return Tier{}, err
		}
		tier.ID, tier.Limits = id, slices.Clone(tier.Limits) // which the store may share
		if err := change(&tier); err != nil {
			return Tier{}, err
		}
		if err := errors.Join(tier.Fold(), tier.Validate()); err != nil {
			return Tier{}, err
		}
		if err := r.checkSubscriptions(ctx, tier); err != nil {
			return Tier{}, err
		}
		tier.Version, err = r.PutTier(ctx, tier)
		return tier, explain("tier", id, err)
	})
}

// checkSubscriptions checks the tier with each of its subscriptions.
func (r Registry) checkSubscriptions(ctx context.Context, tier Tier) error {
	if tier.Version == 0 {
		return nil
	}
	all, err := r.Subscriptions(ctx)
	if err != nil {
		return err
	}
	groups, err := r.Groups(ctx)
	if err != nil {
		return err
	}
	read := readerOf(groups)
	var problems []error
	for _, s := range all {
		if s.Tier != tier.ID {
			continue
		}
		if err := CheckTogether(ctx, &s, tier, read); err != nil {
			problems = append(problems, fmt.Errorf("subscription %q: %w", s.ID, err))
		}
	}
	return errors.Join(problems...)
}

// CheckTogether returns an error if a subscription can't have its tier or groups, or its
// calls would obey too many limits. groups reads them.
func CheckTogether(ctx context.Context, s *Subscription, tier Tier, groups groupReader) error {
	effective, err := s.Effective(tier, time.Now())
	if err != nil {
		return err
	}
	chain, err := Chain(ctx, s.Group, groups)
	if err != nil {
		return err
	}
	return checkCount(ownedLimits(s, tier, effective, chain, time.Now()))
}

// Create stores a new subscription, without keys.
func (r Registry) Create(ctx context.Context, s Subscription) (Subscription, error) {
	s.Version, s.Created = 0, time.Now().UTC().Truncate(time.Second)
	return r.put(ctx, s)
}

// Change edits a subscription.
func (r Registry) Change(ctx context.Context, id string, change func(*Subscription) error) (Subscription, error) {
	return retryConflicts(func() (Subscription, error) {
		s, err := r.find(ctx, id)
		if err != nil {
			return s, err
		}
		s.Overrides = s.Overrides.withoutEnded(time.Now())
		if err := change(&s); err != nil {
			return s, err
		}
		return r.put(ctx, s)
	})
}

// Suspend suspends or resumes a subscription. Suspending must always work, so it
// doesn't require a valid tier.
func (r Registry) Suspend(ctx context.Context, id string, suspended bool) (Subscription, error) {
	if !suspended {
		return r.Change(ctx, id, func(s *Subscription) error { s.Suspended = false; return nil })
	}
	return retryConflicts(func() (Subscription, error) {
		s, err := r.find(ctx, id)
		if err != nil || s.Suspended {
			return s, err
		}
		s.Suspended = true
		s.Version, err = r.PutSubscription(ctx, s)
		return s, explain("subscription", id, err)
	})
}

// put stores a subscription if it is valid with its tier.
func (r Registry) put(ctx context.Context, s Subscription) (Subscription, error) {
	if err := s.Validate(time.Now()); err != nil {
		return s, err
	}
	tier, err := r.Store.Tier(ctx, s.Tier)
	if err != nil {
		return s, missing("tier", s.Tier, err)
	}
	if err := s.Check(tier, time.Now()); err != nil {
		return s, fmt.Errorf("with tier %q, %w", s.Tier, err)
	}
	if err := CheckTogether(ctx, &s, tier, r.Store.Group); err != nil {
		return s, err
	}
	s.Version, err = r.PutSubscription(ctx, s)
	return s, explain("subscription", s.ID, err)
}

func (r Registry) find(ctx context.Context, id string) (Subscription, error) {
	if err := checkID(id); err != nil {
		return Subscription{}, err
	}
	s, err := r.Store.Subscription(ctx, id)
	return s, explain("subscription", id, err)
}

func checkID(id string) error {
	var f faults
	f.checkID("id", id)
	return f.err()
}

// Tier reads a tier.
func (r Registry) Tier(ctx context.Context, id string) (Tier, error) {
	if err := checkID(id); err != nil {
		return Tier{}, err
	}
	tier, err := r.Store.Tier(ctx, id)
	return tier, explain("tier", id, err)
}

// Account reads a subscription, what its calls obey, and its keys.
func (r Registry) Account(ctx context.Context, id string) (Account, error) {
	s, err := r.find(ctx, id)
	if err != nil {
		return Account{}, err
	}
	tier, err := r.Store.Tier(ctx, s.Tier)
	if err != nil {
		return Account{}, missing("tier", s.Tier, err)
	}
	effective, err := s.Effective(tier, time.Now())
	if err != nil {
		return Account{}, fmt.Errorf("with tier %q, %w", s.Tier, err)
	}
	groups, err := Chain(ctx, s.Group, r.Store.Group)
	if err != nil {
		return Account{}, err
	}
	keys, err := r.Keys(ctx, id)
	return Account{s, effective.Rules, groups, keys}, err
}

// retryConflicts retries a change while it conflicts with concurrent ones.
func retryConflicts[T any](change func() (T, error)) (T, error) {
	for range maxChangeTries - 1 {
		if done, err := change(); !errors.Is(err, ErrConflict) {
			return done, err
		}
	}
	return change()
}

// explain adds to an error what it concerns and what to do.
func explain(kind, id string, err error) error {
	switch {
	case errors.Is(err, ErrNotFound):
		return fmt.Errorf("%s %q was %w: create it, or use one that exists", kind, id, err)
	case errors.Is(err, ErrExists):
		return fmt.Errorf("%s %q %w: change it, or choose another id", kind, id, err)
	case errors.Is(err, ErrConflict):
		return fmt.Errorf("%s %q %w: read it again and retry", kind, id, err)
	}
	return err
}

// missing names what a subscription or group refers to and doesn't exist.
func missing(kind, id string, err error) error {
	if errors.Is(err, ErrNotFound) {
		return &MissingError{kind, id}
	}
	return err
}

package subscription

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Registry makes operators' changes: each is checked against what it touches
// before it is stored, and none writes over another that came in between. Its
// errors wrap *FieldError, ErrNotFound, ErrExists or ErrConflict; any other
// means that the store can't be reached.
type Registry struct{ Store }

// changeTries is how often a change is made again because another came in
// between: operators are few.
const changeTries = 5

// Account is a subscription with what holds for it.
type Account struct {
	Subscription
	// Limits are the tier's, with the overrides.
	Limits Limits      `json:"limits"`
	Keys   []KeyRecord `json:"keys"`
}

// SetTier makes the tier, or changes it. The change is refused where the
// overrides of a subscription would no longer fit.
func (r Registry) SetTier(ctx context.Context, id string, change func(*Tier) error) (Tier, error) {
	if err := validID(id); err != nil {
		return Tier{}, err
	}
	return retried(func() (Tier, error) {
		tier, err := r.Store.Tier(ctx, id)
		if err != nil && !errors.Is(err, ErrNotFound) {
			return Tier{}, err
		}
		tier.ID = id
		if err := errors.Join(change(&tier), tier.Validate()); err != nil {
			return Tier{}, err
		}
		if err := r.fits(ctx, tier); err != nil {
			return Tier{}, err
		}
		tier.Version, err = r.PutTier(ctx, tier)
		return tier, about("tier", id, err)
	})
}

// fits checks a tier with the overrides of each subscription that it has.
func (r Registry) fits(ctx context.Context, tier Tier) error {
	if tier.Version == 0 {
		return nil
	}
	all, err := r.Subscriptions(ctx)
	if err != nil {
		return err
	}
	var problems []error
	for _, s := range all {
		if s.Tier != tier.ID {
			continue
		}
		if _, err := s.Effective(tier); err != nil {
			problems = append(problems, fmt.Errorf("subscription %q: %w", s.ID, err))
		}
	}
	return errors.Join(problems...)
}

// Create makes a subscription, without keys.
func (r Registry) Create(ctx context.Context, s Subscription) (Subscription, error) {
	s.Version, s.Created = 0, time.Now().UTC().Truncate(time.Second)
	return r.put(ctx, s)
}

// Change changes a subscription.
func (r Registry) Change(ctx context.Context, id string, change func(*Subscription) error) (Subscription, error) {
	return retried(func() (Subscription, error) {
		s, err := r.find(ctx, id)
		if err != nil {
			return s, err
		}
		if err := change(&s); err != nil {
			return s, err
		}
		return r.put(ctx, s)
	})
}

// Suspend has a subscription's calls refused, or pass again. Refusing must
// always work, so it asks for no fitting tier.
func (r Registry) Suspend(ctx context.Context, id string, suspended bool) (Subscription, error) {
	if !suspended {
		return r.Change(ctx, id, func(s *Subscription) error { s.Suspended = false; return nil })
	}
	return retried(func() (Subscription, error) {
		s, err := r.find(ctx, id)
		if err != nil || s.Suspended {
			return s, err
		}
		s.Suspended = true
		s.Version, err = r.PutSubscription(ctx, s)
		return s, about("subscription", id, err)
	})
}

// put stores a subscription that fits its tier.
func (r Registry) put(ctx context.Context, s Subscription) (Subscription, error) {
	if err := s.Validate(); err != nil {
		return s, err
	}
	tier, err := r.Store.Tier(ctx, s.Tier)
	if err != nil {
		return s, about("tier", s.Tier, err)
	}
	if err := s.Check(tier); err != nil {
		return s, fmt.Errorf("tier %q %w", s.Tier, err)
	}
	s.Version, err = r.PutSubscription(ctx, s)
	return s, about("subscription", s.ID, err)
}

func (r Registry) find(ctx context.Context, id string) (Subscription, error) {
	if err := validID(id); err != nil {
		return Subscription{}, err
	}
	s, err := r.Store.Subscription(ctx, id)
	return s, about("subscription", id, err)
}

func validID(id string) error {
	var f faults
	f.id("id", id)
	return f.err()
}

// Tier reads a tier.
func (r Registry) Tier(ctx context.Context, id string) (Tier, error) {
	if err := validID(id); err != nil {
		return Tier{}, err
	}
	tier, err := r.Store.Tier(ctx, id)
	return tier, about("tier", id, err)
}

// Account reads all there is to know of a subscription.
func (r Registry) Account(ctx context.Context, id string) (Account, error) {
	s, err := r.find(ctx, id)
	if err != nil {
		return Account{}, err
	}
	tier, err := r.Store.Tier(ctx, s.Tier)
	if err != nil {
		return Account{}, about("tier", s.Tier, err)
	}
	effective, err := s.Effective(tier)
	if err != nil {
		return Account{}, fmt.Errorf("tier %q %w", s.Tier, err)
	}
	keys, err := r.Keys(ctx, id)
	return Account{s, effective.Limits, keys}, err
}

// retried makes a change again while others come in between.
func retried[T any](change func() (T, error)) (T, error) {
	for range changeTries - 1 {
		if done, err := change(); !errors.Is(err, ErrConflict) {
			return done, err
		}
	}
	return change()
}

// about names what an error is about, and what to do.
func about(kind, id string, err error) error {
	switch {
	case errors.Is(err, ErrNotFound):
		return fmt.Errorf("%s %q was %w: list what there is, or make it first", kind, id, err)
	case errors.Is(err, ErrExists):
		return fmt.Errorf("%s %q %w: change it, or choose another id", kind, id, err)
	case errors.Is(err, ErrConflict):
		return fmt.Errorf("%s %q %w: look at it and try again", kind, id, err)
	}
	return err
}

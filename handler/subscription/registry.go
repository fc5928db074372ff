package subscription

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"
)

// A Registry makes operators' changes to tiers, groups, subscriptions and keys. It rejects a
// change that would make anything else invalid, and never overwrites a concurrent change. Its
// errors wrap *FieldError, ErrNotFound, ErrExists or ErrConflict, or are an *InUseError; any
// other error means that the store can't be reached.
type Registry struct{ Store }

// maxChangeTries bounds the attempts at a change that conflicts with concurrent ones.
// Conflicts are rare, because there are few operators.
const maxChangeTries = 5

// Details are a subscription, the rules and groups that apply to its calls, and its keys.
type Details struct {
	Subscription
	// Rules are the tier's rules with the subscription's overrides.
	Rules Rules `json:"rules"`
	// Groups are the subscription's group and the groups above it, nearest first.
	Groups []Group     `json:"groups,omitempty"`
	Keys   []KeyRecord `json:"keys"`
}

// SetTier creates or changes a tier. It calls change with the stored tier, or with an empty
// one. It rejects a change that makes a subscription's overrides invalid, or its calls subject
// to more than MaxCallLimits limits.
func (r Registry) SetTier(ctx context.Context, id string, change func(*Tier) error) (Tier, error) {
	if err := checkID(id); err != nil {
		return Tier{}, err
	}
	return retryConflicts(func() (Tier, error) {
		tier, err := r.Store.Tier(ctx, id)
		if err != nil && !errors.Is(err, ErrNotFound) {
			return Tier{}, err
		}
		tier.ID, tier.Limits = id, slices.Clone(tier.Limits) // the store may share them
		if err := change(&tier); err != nil {
			return Tier{}, err
		}
		if err := errors.Join(tier.ExpandShortForm(), tier.Validate()); err != nil {
			return Tier{}, err
		}
		if err := r.checkSubscriptions(ctx, tier); err != nil {
			return Tier{}, err
		}
		tier.Version, err = r.PutTier(ctx, tier)
		return tier, explain("tier", id, err)
	})
}

// checkSubscriptions returns an error if a changed tier doesn't fit one of its subscriptions.
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
	read := readFrom(groups)
	var problems []error
	for _, s := range all {
		if s.Tier != tier.ID {
			continue
		}
		if err := CheckAssignment(ctx, &s, tier, read); err != nil {
			problems = append(problems, fmt.Errorf("subscription %q: %w", s.ID, err))
		}
	}
	return errors.Join(problems...)
}

// CheckAssignment returns an error if a subscription's overrides don't fit a tier, its groups
// are invalid, or its calls would be charged to more than MaxCallLimits limits. groups reads
// the groups.
func CheckAssignment(ctx context.Context, s *Subscription, tier Tier, groups func(ctx context.Context, id string) (Group, error)) error {
	effective, err := s.Effective(tier, time.Now())
	if err != nil {
		return err
	}
	chain, err := GroupChain(ctx, s.Group, groups)
	if err != nil {
		return err
	}
	return checkLimitCount(ownedLimits(s, tier, effective, chain, time.Now()))
}

// Create stores a new subscription. It has no keys yet.
func (r Registry) Create(ctx context.Context, s Subscription) (Subscription, error) {
	s.Version, s.Created = 0, time.Now().UTC().Truncate(time.Second)
	return r.put(ctx, s)
}

// Change changes a subscription, and removes overrides that have ended.
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

// Suspend suspends or resumes a subscription. Suspending must always work, so it doesn't
// require the tier to be valid.
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

// put stores a subscription if it is valid, together with its tier and groups.
func (r Registry) put(ctx context.Context, s Subscription) (Subscription, error) {
	if err := s.Validate(time.Now()); err != nil {
		return s, err
	}
	tier, err := r.Store.Tier(ctx, s.Tier)
	if err != nil {
		return s, missing("tier", s.Tier, err)
	}
	if err := s.CheckOverrides(tier, time.Now()); err != nil {
		return s, fmt.Errorf("with tier %q, %w", s.Tier, err)
	}
	if err := CheckAssignment(ctx, &s, tier, r.Store.Group); err != nil {
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

// Tier returns a tier.
func (r Registry) Tier(ctx context.Context, id string) (Tier, error) {
	if err := checkID(id); err != nil {
		return Tier{}, err
	}
	tier, err := r.Store.Tier(ctx, id)
	return tier, explain("tier", id, err)
}

// Details returns the details of a subscription.
func (r Registry) Details(ctx context.Context, id string) (Details, error) {
	s, err := r.find(ctx, id)
	if err != nil {
		return Details{}, err
	}
	tier, err := r.Store.Tier(ctx, s.Tier)
	if err != nil {
		return Details{}, missing("tier", s.Tier, err)
	}
	effective, err := s.Effective(tier, time.Now())
	if err != nil {
		return Details{}, fmt.Errorf("with tier %q, %w", s.Tier, err)
	}
	groups, err := GroupChain(ctx, s.Group, r.Store.Group)
	if err != nil {
		return Details{}, err
	}
	keys, err := r.Keys(ctx, id)
	return Details{s, effective.Rules, groups, keys}, err
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

// explain adds to a store's error what it is about, and what to do.
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

// missing turns ErrNotFound into a *MissingError, for a row that another row refers to.
func missing(kind, id string, err error) error {
	if errors.Is(err, ErrNotFound) {
		return &MissingError{kind, id}
	}
	return err
}

package manage

import (
	"context"
	"fmt"
	"time"

	"tollgate/handler/subscription"
)

// A changeRecorder records an operator's changes in the audit.
type changeRecorder struct {
	audit Audit
	who   string
}

// recordChange writes an event, makes the change and sets the event's outcome. If the
// event can't be written, it changes nothing. If the outcome can't be written, the event
// stays unknown.
func (s changeRecorder) recordChange(ctx context.Context, action, target string, changes map[string]Change, change func(context.Context) error) error {
	// If the operator leaves in between, the event must still get its outcome.
	ctx = context.WithoutCancel(ctx)
	id, err := s.audit.Begin(ctx, Event{When: time.Now().UTC(), Who: s.who, Action: action, Target: target, Changes: changes})
	if err != nil {
		return fmt.Errorf("nothing was changed because the audit can't be written: %w", err)
	}
	err = change(ctx)
	switch {
	case err == nil:
		_ = s.audit.End(ctx, id, Done)
	case isConflict(err), isExists(err), isNotFound(err):
		_ = s.audit.End(ctx, id, Refused)
	}
	return err
}

// An auditedStore is a store that records every change in the audit.
type auditedStore struct {
	subscription.Store
	changeRecorder
}

// PutTier implements subscription.Store, as do the methods that follow.
func (s *auditedStore) PutTier(ctx context.Context, t subscription.Tier) (version int64, err error) {
	action, before := "tier.create", subscription.Tier{}
	if t.Version != 0 {
		action = "tier.change"
		if before, err = s.Store.Tier(ctx, t.ID); err != nil {
			return 0, err
		}
	}
	err = s.recordChange(ctx, action, t.ID, differences(before, t), func(ctx context.Context) error {
		version, err = s.Store.PutTier(ctx, t)
		return err
	})
	return version, err
}

func (s *auditedStore) DeleteTier(ctx context.Context, id string, version int64) error {
	before, err := s.Store.Tier(ctx, id)
	if err != nil {
		return err
	}
	return s.recordChange(ctx, "tier.delete", id, differences(before, subscription.Tier{}), func(ctx context.Context) error { return s.Store.DeleteTier(ctx, id, version) })
}

func (s *auditedStore) PutGroup(ctx context.Context, g subscription.Group) (version int64, err error) {
	action, before := "group.create", subscription.Group{}
	if g.Version != 0 {
		if before, err = s.Store.Group(ctx, g.ID); err != nil {
			return 0, err
		}
		action = "group." + changeVerb(before.Suspended, g.Suspended)
	}
	err = s.recordChange(ctx, action, g.ID, differences(before, g), func(ctx context.Context) error {
		version, err = s.Store.PutGroup(ctx, g)
		return err
	})
	return version, err
}

func (s *auditedStore) DeleteGroup(ctx context.Context, id string, version int64) error {
	before, err := s.Store.Group(ctx, id)
	if err != nil {
		return err
	}
	return s.recordChange(ctx, "group.delete", id, differences(before, subscription.Group{}), func(ctx context.Context) error { return s.Store.DeleteGroup(ctx, id, version) })
}

func (s *auditedStore) PutSubscription(ctx context.Context, sub subscription.Subscription) (version int64, err error) {
	action, before := "subscription.create", subscription.Subscription{}
	if sub.Version != 0 {
		if before, err = s.Store.Subscription(ctx, sub.ID); err != nil {
			return 0, err
		}
		action = "subscription." + changeVerb(before.Suspended, sub.Suspended)
	}
	err = s.recordChange(ctx, action, sub.ID, differences(before, sub), func(ctx context.Context) error {
		version, err = s.Store.PutSubscription(ctx, sub)
		return err
	})
	return version, err
}

func (s *auditedStore) DeleteSubscription(ctx context.Context, id string, version int64) error {
	before, err := s.Store.Subscription(ctx, id)
	if err != nil {
		return err
	}
	return s.recordChange(ctx, "subscription.delete", id, differences(before, subscription.Subscription{}), func(ctx context.Context) error {
		return s.Store.DeleteSubscription(ctx, id, version)
	})
}

// changeVerb returns what a change of something that can be suspended does.
func changeVerb(before, after bool) string {
	switch {
	case before == after:
		return "change"
	case after:
		return "suspend"
	}
	return "resume"
}

func (s *auditedStore) PutKey(ctx context.Context, k subscription.KeyRecord) error {
	return s.recordChange(ctx, "key.create", k.Subscription, keyChanges(k), func(ctx context.Context) error { return s.Store.PutKey(ctx, k) })
}

func (s *auditedStore) ExpireKey(ctx context.Context, hash string, at time.Time) error {
	k, err := s.Store.Key(ctx, hash)
	if err != nil {
		return err
	}
	before := k
	k.Expires = at
	changes := differences(before, k)
	changes["slot"] = Change{To: k.Slot}
	return s.recordChange(ctx, "key.expire", k.Subscription, changes, func(ctx context.Context) error { return s.Store.ExpireKey(ctx, hash, at) })
}

func (s *auditedStore) DeleteKey(ctx context.Context, hash string) error {
	k, err := s.Store.Key(ctx, hash)
	if err != nil {
		return err
	}
	return s.recordChange(ctx, "key.revoke", k.Subscription, map[string]Change{"slot": {From: k.Slot}, "created": {From: k.Created}},
		func(ctx context.Context) error { return s.Store.DeleteKey(ctx, hash) })
}

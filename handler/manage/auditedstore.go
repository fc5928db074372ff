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

// An auditedValue is a stored value whose changes are recorded: a tier, a group, a
// subscription or a price.
type auditedValue[T any] struct {
	kind   string // begins the event's action, such as tier.create
	target string // identifies the value in the audit
	// read returns the stored value.
	read func(ctx context.Context, target string) (T, error)
	// version returns a value's version; 0: it isn't stored yet.
	version func(T) int64
	// describe completes the changes of an event; nil: the fields that differ are enough.
	describe func(changes map[string]Change)
}

// put stores a value with write, which returns the new version. Where nothing would
// change, it writes neither the value nor an event.
func (v auditedValue[T]) put(ctx context.Context, recorder changeRecorder, after T, write func(context.Context, T) (int64, error)) (version int64, err error) {
	var before T
	basedOn := v.version(after)
	if basedOn != 0 {
		if before, err = v.read(ctx, v.target); err != nil {
			return 0, err
		}
	}
	changes := differences(before, after)
	if basedOn != 0 && len(changes) == 0 && v.version(before) == basedOn {
		return basedOn, nil
	}
	action := v.kind + "." + changeVerb(basedOn == 0, changes)
	err = recorder.recordChange(ctx, action, v.target, v.described(changes), func(ctx context.Context) error {
		version, err = write(ctx, after)
		return err
	})
	return version, err
}

// delete deletes the value with write.
func (v auditedValue[T]) delete(ctx context.Context, recorder changeRecorder, write func(context.Context) error) error {
	before, err := v.read(ctx, v.target)
	if err != nil {
		return err
	}
	var after T
	return recorder.recordChange(ctx, v.kind+".delete", v.target, v.described(differences(before, after)), write)
}

func (v auditedValue[T]) described(changes map[string]Change) map[string]Change {
	if v.describe != nil {
		v.describe(changes)
	}
	return changes
}

// changeVerb returns the last word of the action that stores a value.
func changeVerb(created bool, changes map[string]Change) string {
	switch suspended := changes["suspended"]; {
	case created:
		return "create"
	case suspended.To == true:
		return "suspend"
	case suspended.From == true:
		return "resume"
	}
	return "change"
}

// An auditedStore is a store that records every change in the audit.
type auditedStore struct {
	subscription.Store
	changeRecorder
}

func (s *auditedStore) tier(id string) auditedValue[subscription.Tier] {
	return auditedValue[subscription.Tier]{kind: "tier", target: id, read: s.Store.Tier, version: func(t subscription.Tier) int64 { return t.Version }}
}

func (s *auditedStore) group(id string) auditedValue[subscription.Group] {
	return auditedValue[subscription.Group]{kind: "group", target: id, read: s.Store.Group, version: func(g subscription.Group) int64 { return g.Version }}
}

func (s *auditedStore) subscription(id string) auditedValue[subscription.Subscription] {
	return auditedValue[subscription.Subscription]{kind: "subscription", target: id, read: s.Store.Subscription, version: func(s subscription.Subscription) int64 { return s.Version }}
}

// PutTier implements subscription.Store, as do the methods that follow.
func (s *auditedStore) PutTier(ctx context.Context, t subscription.Tier) (int64, error) {
	return s.tier(t.ID).put(ctx, s.changeRecorder, t, s.Store.PutTier)
}

func (s *auditedStore) DeleteTier(ctx context.Context, id string, version int64) error {
	return s.tier(id).delete(ctx, s.changeRecorder, func(ctx context.Context) error { return s.Store.DeleteTier(ctx, id, version) })
}

func (s *auditedStore) PutGroup(ctx context.Context, g subscription.Group) (int64, error) {
	return s.group(g.ID).put(ctx, s.changeRecorder, g, s.Store.PutGroup)
}

func (s *auditedStore) DeleteGroup(ctx context.Context, id string, version int64) error {
	return s.group(id).delete(ctx, s.changeRecorder, func(ctx context.Context) error { return s.Store.DeleteGroup(ctx, id, version) })
}

func (s *auditedStore) PutSubscription(ctx context.Context, sub subscription.Subscription) (int64, error) {
	return s.subscription(sub.ID).put(ctx, s.changeRecorder, sub, s.Store.PutSubscription)
}

func (s *auditedStore) DeleteSubscription(ctx context.Context, id string, version int64) error {
	return s.subscription(id).delete(ctx, s.changeRecorder, func(ctx context.Context) error { return s.Store.DeleteSubscription(ctx, id, version) })
}

func (s *auditedStore) PutKey(ctx context.Context, k subscription.KeyRecord) error {
	return s.recordChange(ctx, "key.create", k.Subscription, keyChanges(k), func(ctx context.Context) error { return s.Store.PutKey(ctx, k) })
}

func (s *auditedStore) ExpireKey(ctx context.Context, hash string, at time.Time) error {
	k, err := s.Store.Key(ctx, hash)
	if err != nil {
		return err
	}
	if k.Expires.Equal(at) {
		return nil // nothing would change
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

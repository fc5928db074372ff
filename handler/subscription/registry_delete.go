package subscription

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// DeleteOptions are an operator's choices for a deletion.
type DeleteOptions struct {
	// Force also deletes, or moves, whatever still uses the row. Without it, the deletion
	// fails with an *InUseError.
	Force bool
	// DryRun changes nothing. The returned Deletion says what would change.
	DryRun bool
	// Check prevents the deletion by returning an error. It gets the stored version. It may
	// be nil.
	Check func(version int64) error
}

// A Deletion says what else a deletion deleted or moved.
type Deletion struct {
	// Subscriptions are the ids of deleted subscriptions. Their keys were deleted too.
	Subscriptions []string `json:"subscriptions,omitempty"`
	// Keys is the number of keys deleted.
	Keys int `json:"keys,omitempty"`
	// MovedGroups and MovedSubscriptions are the ids of groups and subscriptions that
	// belonged to the deleted group. They now belong to MovedTo, the group above it; empty:
	// to none.
	MovedGroups        []string `json:"movedGroups,omitempty"`
	MovedSubscriptions []string `json:"movedSubscriptions,omitempty"`
	MovedTo            string   `json:"movedTo,omitempty"`
}

// An InUseError means that a tier, group or subscription can't be deleted because it is in
// use. Kind says which of the three it is.
type InUseError struct {
	Kind, ID string
	// Uses is what a forced deletion would also delete or move.
	Uses Deletion
}

// Error lists what uses it, and says what to do.
func (e *InUseError) Error() string {
	var users []string
	for _, use := range []struct {
		what string
		ids  []string
	}{{"subscription", e.Uses.Subscriptions}, {"group", e.Uses.MovedGroups}, {"subscription", e.Uses.MovedSubscriptions}} {
		if len(use.ids) > 0 {
			users = append(users, listIDs(use.what, use.ids))
		}
	}
	if e.Kind == "subscription" {
		users = append(users, plural(e.Uses.Keys, "valid key"))
	}
	return fmt.Sprintf("%s %q is in use by %s: %s", e.Kind, e.ID, strings.Join(users, " and "), e.fix())
}

func (e *InUseError) fix() string {
	switch e.Kind {
	case "tier":
		return "move them to another tier, or force the deletion to delete them and their keys too"
	case "group":
		return "move them, or force the deletion to move them to the group above, if there is one"
	}
	return "revoke them, or force the deletion to delete them too"
}

// listIDs returns the number of ids and the first few of them.
func listIDs(what string, ids []string) string {
	const few = 5
	text := plural(len(ids), what) + " (" + strings.Join(ids[:min(few, len(ids))], ", ")
	if len(ids) > few {
		text += fmt.Sprintf(" and %d more", len(ids)-few)
	}
	return text + ")"
}

func plural(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// DeleteTier deletes a tier. If subscriptions have the tier, it returns an *InUseError or,
// with Force, deletes them first. If it fails halfway, the same call deletes the rest.
func (r Registry) DeleteTier(ctx context.Context, id string, terms DeleteOptions) (Deletion, error) {
	tier, err := r.Tier(ctx, id)
	if err == nil {
		err = terms.checkVersion(tier.Version)
	}
	if err != nil {
		return Deletion{}, err
	}
	members, err := r.members(ctx, func(s Subscription) bool { return s.Tier == id })
	if err != nil {
		return Deletion{}, err
	}
	if len(members) > 0 && !terms.Force {
		return Deletion{}, &InUseError{"tier", id, Deletion{Subscriptions: idsOf(members)}}
	}
	var done Deletion
	for _, s := range members {
		keys, err := r.removeSubscription(ctx, s, terms.DryRun)
		if err != nil {
			return done, err
		}
		done.Subscriptions, done.Keys = append(done.Subscriptions, s.ID), done.Keys+keys
	}
	if terms.DryRun {
		return done, nil
	}
	return done, explain("tier", id, r.Store.DeleteTier(ctx, id, tier.Version))
}

// DeleteGroup deletes a group. If groups or subscriptions belong to it, it returns an
// *InUseError or, with Force, first moves them to the group above, whose limits apply to them
// already. If the group is suspended, it also suspends them, so that no call is admitted that
// wasn't before. If it fails halfway, the same call does the rest.
func (r Registry) DeleteGroup(ctx context.Context, id string, terms DeleteOptions) (Deletion, error) {
	g, err := r.Group(ctx, id)
	if err == nil {
		err = terms.checkVersion(g.Version)
	}
	if err != nil {
		return Deletion{}, err
	}
	members, e1 := r.members(ctx, func(s Subscription) bool { return s.Group == id })
	groups, e2 := r.Groups(ctx)
	if err := errors.Join(e1, e2); err != nil {
		return Deletion{}, err
	}
	below := slices.DeleteFunc(groups, func(child Group) bool { return child.Parent != id })
	moved := Deletion{MovedSubscriptions: idsOf(members), MovedTo: g.Parent}
	for _, child := range below {
		moved.MovedGroups = append(moved.MovedGroups, child.ID)
	}
	switch inUse := len(members)+len(below) > 0; {
	case !inUse:
		moved = Deletion{}
	case !terms.Force:
		return Deletion{}, &InUseError{"group", id, moved}
	}
	if terms.DryRun {
		return moved, nil
	}
	if err := r.moveMembers(ctx, g, members, below); err != nil {
		return Deletion{}, err
	}
	return moved, explain("group", id, r.Store.DeleteGroup(ctx, id, g.Version))
}

// moveMembers moves a group's subscriptions and groups to the group above it. It doesn't
// check them: fewer limits apply to them than before, and an invalid one must not prevent the
// deletion of the group.
func (r Registry) moveMembers(ctx context.Context, g Group, members []Subscription, below []Group) error {
	for _, s := range members {
		s.Group, s.Suspended = g.Parent, s.Suspended || g.Suspended
		if _, err := r.PutSubscription(ctx, s); err != nil && !errors.Is(err, ErrNotFound) {
			return explain("subscription", s.ID, err)
		}
	}
	for _, child := range below {
		child.Parent, child.Suspended = g.Parent, child.Suspended || g.Suspended
		if _, err := r.PutGroup(ctx, child); err != nil && !errors.Is(err, ErrNotFound) {
			return explain("group", child.ID, err)
		}
	}
	return nil
}

// DeleteSubscription deletes a subscription. If it has valid keys, it returns an *InUseError
// or, with Force, deletes them too. It deletes the keys first, so that if it fails halfway, the
// subscription admits nobody.
func (r Registry) DeleteSubscription(ctx context.Context, id string, terms DeleteOptions) (Deletion, error) {
	s, err := r.find(ctx, id)
	if err == nil {
		err = terms.checkVersion(s.Version)
	}
	if err != nil {
		return Deletion{}, err
	}
	keys, err := r.Keys(ctx, id)
	if err != nil {
		return Deletion{}, err
	}
	valid := slices.DeleteFunc(keys, func(k KeyRecord) bool { return k.Expired(time.Now()) })
	if len(valid) > 0 && !terms.Force {
		return Deletion{}, &InUseError{"subscription", id, Deletion{Keys: len(valid)}}
	}
	deleted, err := r.removeSubscription(ctx, s, terms.DryRun)
	return Deletion{Keys: deleted}, err
}

// removeSubscription deletes a subscription and its keys, and returns the number of keys. At
// the end it also deletes keys created in the meantime: they would be valid again for a later
// subscription with the same id.
func (r Registry) removeSubscription(ctx context.Context, s Subscription, dryRun bool) (keys int, err error) {
	all, err := r.Keys(ctx, s.ID)
	if err != nil || dryRun {
		return len(all), err
	}
	if err := r.deleteKeys(ctx, all); err != nil {
		return 0, err
	}
	if err := r.Store.DeleteSubscription(ctx, s.ID, s.Version); err != nil && !errors.Is(err, ErrNotFound) {
		return len(all), explain("subscription", s.ID, err)
	}
	late, err := r.Keys(ctx, s.ID)
	if err != nil {
		return len(all), err
	}
	return len(all) + len(late), r.deleteKeys(ctx, late)
}

// members returns the subscriptions for which a condition is true, sorted by id.
func (r Registry) members(ctx context.Context, of func(Subscription) bool) ([]Subscription, error) {
	all, err := r.Subscriptions(ctx)
	all = slices.DeleteFunc(all, func(s Subscription) bool { return !of(s) })
	slices.SortFunc(all, func(a, b Subscription) int { return strings.Compare(a.ID, b.ID) })
	return all, err
}

func idsOf(all []Subscription) (ids []string) {
	for _, s := range all {
		ids = append(ids, s.ID)
	}
	return ids
}

func (t DeleteOptions) checkVersion(version int64) error {
	if t.Check == nil {
		return nil
	}
	return t.Check(version)
}

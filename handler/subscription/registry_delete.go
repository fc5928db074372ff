package subscription

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// DeleteTerms are an operator's choices for a deletion.
type DeleteTerms struct {
	// Force takes along what uses the thing that is deleted.
	Force bool
	// DryRun deletes nothing: the Deletion says what would be.
	DryRun bool
	// Check returns an error if what is stored isn't to be deleted; nil: there is nothing
	// to check.
	Check func(version int64) error
}

// A Deletion says what a deletion took along.
type Deletion struct {
	// Subscriptions were deleted, with their keys.
	Subscriptions []string `json:"subscriptions,omitempty"`
	// Keys is the number of keys deleted.
	Keys int `json:"keys,omitempty"`
	// MovedGroups and MovedSubscriptions belonged to the deleted group, and now to the one
	// above it, MovedTo; empty: to none.
	MovedGroups        []string `json:"movedGroups,omitempty"`
	MovedSubscriptions []string `json:"movedSubscriptions,omitempty"`
	MovedTo            string   `json:"movedTo,omitempty"`
}

// An InUseError says that something can't be deleted because other things use it.
type InUseError struct {
	Kind, ID string
	// Uses is what would be taken along.
	Uses Deletion
}

// Error says what uses it, and what to do.
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

// listIDs lists a few ids after their number.
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

// DeleteTier deletes a tier. If subscriptions have it, it returns an *InUseError or, with
// Force, deletes them first. If it fails on the way, what is left can be deleted by the
// same call.
func (r Registry) DeleteTier(ctx context.Context, id string, terms DeleteTerms) (Deletion, error) {
	tier, err := r.Tier(ctx, id)
	if err == nil {
		err = terms.check(tier.Version)
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
// *InUseError or, with Force, first moves them to the group above it, whose limits they
// obey already; what a suspended group had is suspended itself, so that no call is
// admitted that wasn't before. If it fails on the way, the same call does the rest.
func (r Registry) DeleteGroup(ctx context.Context, id string, terms DeleteTerms) (Deletion, error) {
	g, err := r.Group(ctx, id)
	if err == nil {
		err = terms.check(g.Version)
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

// moveMembers moves what belongs to a group to the group above it. It doesn't check them:
// they obey fewer limits then, and what is invalid must not keep the group from being
// deleted.
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

// DeleteSubscription deletes a subscription. If it has valid keys, it returns an
// *InUseError or, with Force, deletes them too. Keys go first, so that a deletion that
// fails on the way leaves a subscription that admits nobody.
func (r Registry) DeleteSubscription(ctx context.Context, id string, terms DeleteTerms) (Deletion, error) {
	s, err := r.find(ctx, id)
	if err == nil {
		err = terms.check(s.Version)
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

// removeSubscription deletes a subscription, its keys first, and returns their number. A
// key that is created meanwhile is deleted last: it would be valid again for a later
// subscription of the same id.
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

// members lists the subscriptions that a condition is true of, ordered by id.
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

func (t DeleteTerms) check(version int64) error {
	if t.Check == nil {
		return nil
	}
	return t.Check(version)
}

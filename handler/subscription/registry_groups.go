package subscription

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// SetGroup creates or changes a group. It calls change with the stored group, or with an
// empty one. It rejects a change that makes a group its own ancestor, a chain of groups longer
// than MaxDepth, or a subscription's calls subject to more than MaxCallLimits limits.
func (r Registry) SetGroup(ctx context.Context, id string, change func(*Group) error) (Group, error) {
	if err := checkID(id); err != nil {
		return Group{}, err
	}
	return retryConflicts(func() (Group, error) {
		g, err := r.Store.Group(ctx, id)
		if err != nil && !errors.Is(err, ErrNotFound) {
			return Group{}, err
		}
		g.ID = id
		before := g
		if g.Version == 0 {
			g.Created = time.Now().UTC().Truncate(time.Second)
		}
		if err := change(&g); err != nil {
			return Group{}, err
		}
		if err := g.Validate(); err != nil {
			return Group{}, err
		}
		if err := r.checkMembers(ctx, g); err != nil {
			return Group{}, err
		}
		g.Version, err = r.PutGroup(ctx, g)
		if err == nil && before.Version != 0 && g.Parent != before.Parent {
			err = r.restoreParent(ctx, g, before.Parent)
		}
		return g, explain("group", id, err)
	})
}

// restoreParent undoes a stored change of a group's parent if the groups above it are invalid
// with it, because another operator changed one of them at the same time.
func (r Registry) restoreParent(ctx context.Context, g Group, parent string) error {
	_, err := GroupChain(ctx, g.ID, r.Store.Group)
	if err == nil {
		return nil
	}
	g.Parent = parent
	if _, undone := r.PutGroup(ctx, g); undone != nil {
		return errors.Join(err, undone)
	}
	return err
}

// SuspendGroup suspends or resumes a group. Suspending must always work, so it doesn't
// require the groups above and below to be valid.
func (r Registry) SuspendGroup(ctx context.Context, id string, suspended bool) (Group, error) {
	return retryConflicts(func() (Group, error) {
		g, err := r.Group(ctx, id)
		if err != nil || g.Suspended == suspended {
			return g, err
		}
		g.Suspended = suspended
		g.Version, err = r.PutGroup(ctx, g)
		return g, explain("group", id, err)
	})
}

// Group returns a group.
func (r Registry) Group(ctx context.Context, id string) (Group, error) {
	if err := checkID(id); err != nil {
		return Group{}, err
	}
	g, err := r.Store.Group(ctx, id)
	return g, explain("group", id, err)
}

// checkMembers returns an error if a group's new values don't fit the groups above it, or the
// groups and subscriptions below it.
func (r Registry) checkMembers(ctx context.Context, g Group) error {
	groups, err := r.Groups(ctx)
	if err != nil {
		return err
	}
	read := readFrom(append(groups, g))
	if _, err := GroupChain(ctx, g.ID, read); err != nil || g.Version == 0 {
		return err // a new group has nothing below it
	}
	var problems []error
	for _, below := range groups {
		if below.ID == g.ID || !isWithin(below.Parent, g.ID, read) {
			continue
		}
		if _, err := GroupChain(ctx, below.ID, read); err != nil {
			problems = append(problems, fmt.Errorf("group %q: %w", below.ID, err))
		}
	}
	if err := errors.Join(problems...); err != nil {
		return err
	}
	return r.checkSubscriptionsBelow(ctx, g.ID, read)
}

// checkSubscriptionsBelow returns an error if a subscription below a group doesn't fit its
// tier and groups.
func (r Registry) checkSubscriptionsBelow(ctx context.Context, id string, read groupReader) error {
	all, e1 := r.Subscriptions(ctx)
	tiers, e2 := r.Tiers(ctx)
	if err := errors.Join(e1, e2); err != nil {
		return err
	}
	byID := make(map[string]Tier, len(tiers))
	for _, t := range tiers {
		byID[t.ID] = t
	}
	var problems []error
	for _, s := range all {
		tier, known := byID[s.Tier]
		if !known || !isWithin(s.Group, id, read) {
			continue // a subscription without a tier admits no calls
		}
		if err := CheckAssignment(ctx, &s, tier, read); err != nil {
			problems = append(problems, fmt.Errorf("subscription %q: %w", s.ID, err))
		}
	}
	return errors.Join(problems...)
}

// A groupReader reads a group by its id.
type groupReader = func(ctx context.Context, id string) (Group, error)

// readFrom returns a function that reads one of the given groups. If two have the same id, it
// reads the later one.
func readFrom(groups []Group) groupReader {
	byID := make(map[string]Group, len(groups))
	for _, g := range groups {
		byID[g.ID] = g
	}
	return func(_ context.Context, id string) (Group, error) {
		g, ok := byID[id]
		if !ok {
			return g, ErrNotFound
		}
		return g, nil
	}
}

// isWithin reports whether a group is the group top or below it. It gives up after
// 2 × MaxDepth groups, more than a valid chain has, so that it ends even if there is a cycle.
func isWithin(id, top string, read groupReader) bool {
	for range 2 * MaxDepth {
		if id == top {
			return true
		}
		g, err := read(context.Background(), id)
		if err != nil || g.Parent == "" {
			return false
		}
		id = g.Parent
	}
	return false
}

// WithinGroup returns a function that reports whether the group with an id is the group top,
// or below it. groups are all groups, as listed by Store.Groups.
func WithinGroup(groups []Group, top string) func(id string) bool {
	read := readFrom(groups)
	return func(id string) bool { return id != "" && isWithin(id, top, read) }
}

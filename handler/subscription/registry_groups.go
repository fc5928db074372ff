package subscription

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// SetGroup creates or changes a group. It rejects a change that makes a group its own
// ancestor, groups nest deeper than MaxDepth, or a subscription's calls obey more than
// MaxCallLimits limits.
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
			err = r.keepParent(ctx, g, before.Parent)
		}
		return g, explain("group", id, err)
	})
}

// keepParent takes back a stored change of a group's parent if the groups above it are
// invalid together with it: another operator changed one of them at the same time.
func (r Registry) keepParent(ctx context.Context, g Group, parent string) error {
	_, err := Chain(ctx, g.ID, r.Store.Group)
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
// require valid groups above or below.
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

// Group reads a group.
func (r Registry) Group(ctx context.Context, id string) (Group, error) {
	if err := checkID(id); err != nil {
		return Group{}, err
	}
	g, err := r.Store.Group(ctx, id)
	return g, explain("group", id, err)
}

// checkMembers checks a group's new values with the groups above it, and with the groups
// and subscriptions below it.
func (r Registry) checkMembers(ctx context.Context, g Group) error {
	groups, err := r.Groups(ctx)
	if err != nil {
		return err
	}
	read := readerOf(append(groups, g))
	if _, err := Chain(ctx, g.ID, read); err != nil || g.Version == 0 {
		return err // a new group has nothing below it
	}
	var problems []error
	for _, below := range groups {
		if below.ID == g.ID || !isBelow(below.Parent, g.ID, read) {
			continue
		}
		if _, err := Chain(ctx, below.ID, read); err != nil {
			problems = append(problems, fmt.Errorf("group %q: %w", below.ID, err))
		}
	}
	if err := errors.Join(problems...); err != nil {
		return err
	}
	return r.checkSubscriptionsBelow(ctx, g.ID, read)
}

// checkSubscriptionsBelow checks each subscription below a group with its tier and groups.
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
		if !known || !isBelow(s.Group, id, read) {
			continue // without its tier, no call of it is admitted
		}
		if err := CheckTogether(ctx, &s, tier, read); err != nil {
			problems = append(problems, fmt.Errorf("subscription %q: %w", s.ID, err))
		}
	}
	return errors.Join(problems...)
}

// A groupReader reads a group by its id.
type groupReader = func(ctx context.Context, id string) (Group, error)

// readerOf returns a function that reads one of the groups. Of two with one id it reads
// the last.
func readerOf(groups []Group) groupReader {
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

// isBelow reports whether a group is another one or below it. It follows at most as many
// parents as there may be in valid groups and one beyond, so that a cycle ends it.
func isBelow(id, top string, read groupReader) bool {
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

// Below returns a function that reports whether a group is the one with the id top or
// below it, among groups as Store.Groups lists them.
func Below(groups []Group, top string) func(id string) bool {
	read := readerOf(groups)
	return func(id string) bool { return id != "" && isBelow(id, top, read) }
}

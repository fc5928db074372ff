package doctor

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"tollgate/handler/subscription"
)

// A listing holds everything in a directory except keys.
type listing struct {
	tiers  []subscription.Tier
	groups []subscription.Group
	subs   []subscription.Subscription
	tier   map[string]subscription.Tier  // by id
	group  map[string]subscription.Group // by id
}

// list reads a directory.
func list(ctx context.Context, directory subscription.Store) (listing, error) {
	tiers, e1 := directory.Tiers(ctx)
	groups, e2 := directory.Groups(ctx)
	subs, e3 := directory.Subscriptions(ctx)
	l := listing{tiers: tiers, groups: groups, subs: subs, tier: make(map[string]subscription.Tier), group: make(map[string]subscription.Group)}
	for _, t := range tiers {
		l.tier[t.ID] = t
	}
	for _, g := range groups {
		l.group[g.ID] = g
	}
	return l, errors.Join(e1, e2, e3)
}

// read returns a group; subscription.Chain calls it.
func (l listing) read(_ context.Context, id string) (subscription.Group, error) {
	g, known := l.group[id]
	if !known {
		return g, subscription.ErrNotFound
	}
	return g, nil
}

// checkDirectory checks every tier and group, and every subscription with its own.
func checkDirectory(ctx context.Context, directory subscription.Store) (string, error) {
	l, err := list(ctx, directory)
	if err != nil {
		return "", err
	}
	var wrong []string
	add := func(kind, id string, err error) {
		if err != nil {
			wrong = append(wrong, fmt.Sprintf("%s %s: %s", kind, id, strings.ReplaceAll(err.Error(), "\n", "; ")))
		}
	}
	for _, t := range l.tiers {
		add("tier", t.ID, t.Validate())
	}
	for _, g := range l.groups {
		_, err := subscription.GroupChain(ctx, g.Parent, l.read)
		add("group", g.ID, errors.Join(g.Validate(), err))
	}
	for _, s := range l.subs {
		add("subscription", s.ID, l.checkSubscription(ctx, s))
	}
	if wrong != nil {
		return "", errors.New(firstFew(wrong))
	}
	note := fmt.Sprintf("rows can be written, read and deleted; %s, %s, %s", plural(len(l.tiers), "tier"), plural(len(l.groups), "group"), plural(len(l.subs), "subscription"))
	if byHeader := l.countedByHeader(); byHeader != nil {
		note += ". Callers get a separate limit for each value of a header that they send: " + firstFew(byHeader) +
			". Count by a header only if a proxy of yours sets it and callers can't bypass the proxy"
	}
	return note, nil
}

// checkSubscription checks a subscription with its tier and groups.
func (l listing) checkSubscription(ctx context.Context, s subscription.Subscription) error {
	tier, exists := l.tier[s.Tier]
	if !exists {
		return fmt.Errorf("tier %s doesn't exist: create it, or use another", s.Tier)
	}
	if _, err := subscription.GroupChain(ctx, s.Group, l.read); err != nil {
		return err
	}
	return s.CheckOverrides(tier, time.Now())
}

// countedByHeader lists the limits that count by a header, which callers can set.
func (l listing) countedByHeader() (found []string) {
	collect := func(what, id string, limits []subscription.Limit, known func(name string) subscription.CounterKey) {
		for _, lim := range limits {
			if headers := lim.CounterKey.Headers(); headers != nil && lim.CounterKey != known(lim.Name) {
				found = append(found, fmt.Sprintf("%s of %s %s counts by %s", lim.Name, what, id, strings.Join(headers, " and ")))
			}
		}
	}
	none := func(string) subscription.CounterKey { return "" }
	for _, t := range l.tiers {
		collect("tier", t.ID, t.Limits, none)
	}
	for _, g := range l.groups {
		collect("group", g.ID, g.Limits, none)
	}
	for _, s := range l.subs {
		tier := l.tier[s.Tier]
		if own, err := s.Effective(tier, time.Now()); err == nil {
			collect("subscription", s.ID, own.Limits, func(name string) subscription.CounterKey {
				if of := subscription.FindLimit(tier.Limits, name); of != nil {
					return of.CounterKey
				}
				return ""
			})
		}
	}
	return found
}

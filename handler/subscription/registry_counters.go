package subscription

import (
	"context"
	"errors"
	"strings"
	"time"

	"tollgate/handler/limit"
)

// A CounterName is the part of a counter's key that identifies the limit: its owner, and its
// name and unit.
type CounterName struct {
	limit.Owner
	Limit string // the limit's name, followed by "." and its unit unless that is the name
}

// CounterNameOf returns the name of the counter with a key.
func CounterNameOf(key string) CounterName {
	owner, name := limit.ParseKey(key)
	return CounterName{owner, name}
}

// LimitName returns the name and unit of the limit.
func (n CounterName) LimitName() (name string, unit limit.Unit) {
	name, of, given := strings.Cut(n.Limit, ".")
	if !given {
		of = name
	}
	return name, limit.Unit(of)
}

// CounterLimits returns all stored limits by the names of their counters. A counter may still
// hold older values: it adopts a change only with its next call.
func CounterLimits(ctx context.Context, store Store) (map[CounterName]OwnedLimit, error) {
	tiers, e1 := store.Tiers(ctx)
	groups, e2 := store.Groups(ctx)
	subs, e3 := store.Subscriptions(ctx)
	if err := errors.Join(e1, e2, e3); err != nil {
		return nil, err
	}
	all, byID, now := make(map[CounterName]OwnedLimit), make(map[string]Tier, len(tiers)), time.Now()
	add := func(owner limit.Owner, limits []OwnedLimit) {
		for _, l := range limits {
			all[CounterName{owner, keyName(l.Name, l.Unit)}] = l
		}
	}
	for _, t := range tiers {
		byID[t.ID] = t
		add(limit.Owner{Tier: t.ID}, ownedLimits(&Subscription{}, t, t, nil, now))
	}
	for _, g := range groups {
		add(limit.Owner{Group: g.ID}, ownedLimits(&Subscription{}, Tier{}, Tier{}, []Group{g}, now))
	}
	for _, s := range subs {
		tier, known := byID[s.Tier]
		if effective, err := s.Effective(tier, now); known && err == nil { // tollgate doctor reports invalid subscriptions
			add(limit.Owner{Subscription: s.ID}, ownedLimits(&s, tier, effective, nil, now))
		}
	}
	return all, nil
}

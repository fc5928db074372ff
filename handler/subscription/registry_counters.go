package subscription

import (
	"context"
	"errors"
	"strings"
	"time"

	"tollgate/handler/limit"
)

// A CounterName is what limit.ParseKey finds in a counter's key: the owner, and the limit
// with its unit.
type CounterName struct {
	limit.Owner
	Limit string
}

// CounterNameOf returns the name of the counter with a key.
func CounterNameOf(key string) CounterName {
	owner, name := limit.ParseKey(key)
	return CounterName{owner, name}
}

// LimitName returns the name and the unit of the counter's limit.
func (n CounterName) LimitName() (name string, unit limit.Unit) {
	name, of, given := strings.Cut(n.Limit, ".")
	if !given {
		of = name
	}
	return name, limit.Unit(of)
}

// CounterLimits returns the current values of all limits, by the counters that they have.
// Counters adopt a change only with their next call.
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
		if effective, err := s.Effective(tier, now); known && err == nil { // the checks report invalid subscriptions
			add(limit.Owner{Subscription: s.ID}, ownedLimits(&s, tier, effective, nil, now))
		}
	}
	return all, nil
}

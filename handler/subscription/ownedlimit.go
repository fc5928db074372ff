package subscription

import (
	"fmt"
	"time"

	"tollgate/handler/limit"
)

// An OwnedLimit is a limit that calls of a subscription are charged to, with the tier or
// group that has it.
type OwnedLimit struct {
	Limit
	// Owner is the tier or group: exactly one of the two is set.
	Owner Owner
	// Overridden: the subscription overrides values of its tier's limit.
	Overridden bool
	// Version is that of the limit's values: counters adopt only newer ones.
	Version int64

	// What calls would otherwise work out again and again.
	measure limit.Measure
	ofModel bool   // the counter depends on the model
	fixed   string // the counter's key if it is the same for all of the subscription's calls; else empty
}

// An Owner is the tier or group that has a limit.
type Owner struct {
	Tier  string `json:"tier,omitempty"`
	Group string `json:"group,omitempty"`
}

// FullName returns the limit's name, after the group's id if it is a group's: unique
// among the limits of a call.
func (l *OwnedLimit) FullName() string {
	if l.Owner.Group != "" {
		return l.Owner.Group + "/" + l.Name
	}
	return l.Name
}

// OfModel reports whether only calls of some models are charged to the limit, or those of
// each model to another counter.
func (l *OwnedLimit) OfModel() bool { return l.ofModel || len(l.Models) > 0 }

// Measure returns what the limit counts of a call.
func (l *OwnedLimit) Measure() limit.Measure { return l.measure }

// Windows returns the limit as its counters hold it.
func (l *OwnedLimit) Windows() limit.Limits { return l.Limit.Windows(l.Version) }

// Template returns the counter-key template, the owner's usual one where the limit has
// none.
func (l *OwnedLimit) Template() CounterKey { return l.CounterKey.or(l.Owner) }

// Shared reports whether other subscriptions are charged to the limit's counters too.
func (l *OwnedLimit) Shared() bool { return !l.Template().Has(SubscriptionPart) }

// Key returns the key of the counter that a call of a subscription is charged to.
// value returns the call's value for each placeholder other than {subscription} and
// {group}.
func (l *OwnedLimit) Key(s *Subscription, value func(Placeholder) string) string {
	if l.fixed != "" {
		return l.fixed
	}
	return l.Template().render(l.Owner, s, keyName(l.Name, l.Unit), value)
}

// keyName returns how counters' keys name a limit: with its unit if that isn't its
// name, so that a limit whose unit changes has new counters.
func keyName(name string, unit limit.Unit) string {
	if name == string(unit) {
		return name
	}
	return name + "." + string(unit)
}

// ownedLimits returns the limits that a subscription's calls are charged to: those of
// its tier, with its overrides, then those of its groups, the nearest first.
func ownedLimits(s *Subscription, tier, effective Tier, groups []Group, now time.Time) []OwnedLimit {
	all := make([]OwnedLimit, 0, len(effective.Limits))
	add := func(l OwnedLimit) {
		l.Shadow = l.Shadow || effective.Shadow
		l.prepare(s)
		all = append(all, l)
	}
	for _, l := range effective.Limits {
		owned := OwnedLimit{Limit: l, Owner: Owner{Tier: tier.ID}, Overridden: s.Overrides.overrides(l.Name, now), Version: effective.Version}
		if owned.Shared() {
			owned.Version = tier.Version
		}
		add(owned)
	}
	for _, g := range groups {
		for _, l := range g.Limits {
			add(OwnedLimit{Limit: l, Owner: Owner{Group: g.ID}, Version: g.Version})
		}
	}
	return all
}

// prepare works out what the limit's calls need of it.
func (l *OwnedLimit) prepare(s *Subscription) {
	l.measure, l.ofModel = l.Limit.Measure(), l.Template().Has(ModelPart)
	for p := range l.Template().Placeholders() {
		if p != SubscriptionPart && p != GroupPart {
			return
		}
	}
	l.fixed = l.Key(s, nil)
}

// checkCount returns an error if a call would be charged to too many limits.
func checkCount(limits []OwnedLimit) error {
	if len(limits) <= MaxCallLimits {
		return nil
	}
	return fieldError("group", fmt.Sprintf("with the tier gives each call %d limits", len(limits)), fmt.Sprintf("have at most %d in the tier, the group and the groups above it", MaxCallLimits))
}

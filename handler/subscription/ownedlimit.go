package subscription

import (
	"fmt"
	"time"

	"tollgate/handler/limit"
)

// An OwnedLimit is a limit that a subscription's calls are charged to, and the tier or group
// that it belongs to.
type OwnedLimit struct {
	Limit
	// Owner is the tier or group that has the limit.
	Owner Owner
	// Overridden reports whether the subscription overrides values of its tier's limit.
	Overridden bool
	// Version is the version of the limit's values. Counters adopt only newer ones.
	Version int64

	// Computed once by precompute, because every call needs them.
	counted     limit.Measure
	keyHasModel bool   // the counter depends on the model
	constantKey string // the counter's key if it is the same for all of the subscription's calls; else empty
}

// An Owner is the tier or group that has a limit: exactly one field is set, to its id.
type Owner struct {
	Tier  string `json:"tier,omitempty"`
	Group string `json:"group,omitempty"`
}

// FullName returns a name that is unique among the limits of a call: the limit's name,
// preceded by the group's id and a slash if a group has it.
func (l *OwnedLimit) FullName() string {
	if l.Owner.Group != "" {
		return l.Owner.Group + "/" + l.Name
	}
	return l.Name
}

// DependsOnModel reports whether a call's model decides if it is charged to the limit, or to
// which of its counters.
func (l *OwnedLimit) DependsOnModel() bool { return l.keyHasModel || len(l.Models) > 0 }

// Measure returns the limit's unit and weights, by which calls are measured.
func (l *OwnedLimit) Measure() limit.Measure { return l.counted }

// Windows returns the amounts of the limit's minute and period, as its counters hold them.
func (l *OwnedLimit) Windows() limit.Limits { return l.Limit.Windows(l.Version) }

// Template returns the counter-key template: the limit's own, or else the default of its
// owner.
func (l *OwnedLimit) Template() CounterKey { return l.CounterKey.orDefault(l.Owner) }

// Shared reports whether calls of other subscriptions are charged to the same counters.
func (l *OwnedLimit) Shared() bool { return !l.Template().Has(SubscriptionPart) }

// Key returns the key of the counter that a call of a subscription is charged to.
// value returns the call's value for each placeholder other than {subscription} and
// {group}.
func (l *OwnedLimit) Key(s *Subscription, value func(Placeholder) string) string {
	if l.constantKey != "" {
		return l.constantKey
	}
	return l.Template().render(l.Owner, s, keyName(l.Name, l.Unit), value)
}

// keyName returns the name of a limit in counter keys. It includes the unit unless that is
// the limit's name, so that a limit whose unit changes gets new counters.
func keyName(name string, unit limit.Unit) string {
	if name == string(unit) {
		return name
	}
	return name + "." + string(unit)
}

// ownedLimits returns the limits that a subscription's calls are charged to: those of its
// effective tier, then those of its groups, nearest first.
func ownedLimits(s *Subscription, tier, effective Tier, groups []Group, now time.Time) []OwnedLimit {
	all := make([]OwnedLimit, 0, len(effective.Limits))
	add := func(l OwnedLimit) {
		l.Shadow = l.Shadow || effective.Shadow
		l.precompute(s)
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

// precompute sets the fields that every call needs.
func (l *OwnedLimit) precompute(s *Subscription) {
	l.counted, l.keyHasModel = l.Limit.Measure(), l.Template().Has(ModelPart)
	for p := range l.Template().Placeholders() {
		if p != SubscriptionPart && p != GroupPart {
			return
		}
	}
	l.constantKey = l.Key(s, nil)
}

// checkLimitCount returns an error if a call would be charged to more than MaxCallLimits
// limits.
func checkLimitCount(limits []OwnedLimit) error {
	if len(limits) <= MaxCallLimits {
		return nil
	}
	return newFieldError("group", fmt.Sprintf("and tier together charge each call to %d limits", len(limits)), fmt.Sprintf("have at most %d in the tier, the group and the groups above it", MaxCallLimits))
}

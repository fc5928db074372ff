package doctor

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"tollgate/handler/manage"
	"tollgate/handler/subscription"
)

// Models checks that tiers, groups and subscriptions' overrides name only models that the
// gateway serves. Any other name is a mistake.
func Models(served []string, directory subscription.Store) manage.Check {
	return manage.Check{Name: "models", Run: func(ctx context.Context) (string, error) {
		l, err := list(ctx, directory)
		if err != nil {
			return "", err
		}
		var wrong []string
		check := func(of string, models []string) {
			for _, model := range models {
				if !slices.Contains(served, model) {
					wrong = append(wrong, fmt.Sprintf("%s names the model %q, which the gateway doesn't serve: correct it, or add it to MODELS", of, model))
				}
			}
		}
		limits := func(of string, limits []subscription.Limit) {
			for _, lim := range limits {
				check("limit "+lim.Name+" of "+of, lim.Models)
			}
		}
		for _, t := range l.tiers {
			check("tier "+t.ID, t.Models)
			limits("tier "+t.ID, t.Limits)
		}
		for _, g := range l.groups {
			limits("group "+g.ID, g.Limits)
		}
		for _, s := range l.subs {
			own := overridden(s, l.tier[s.Tier])
			check("subscription "+s.ID, own.Models)
			limits("subscription "+s.ID, own.Limits)
		}
		if wrong != nil {
			return "", errors.New(firstFew(wrong))
		}
		return plural(len(served), "model") + " served; tiers, groups and subscriptions name no other", nil
	}}
}

// overridden returns those of a subscription's rules whose models differ from its tier's. It
// returns none if the rules are invalid, which the tables check reports.
func overridden(s subscription.Subscription, tier subscription.Tier) (own subscription.Rules) {
	effective, err := s.Effective(tier, time.Now())
	if err != nil {
		return own
	}
	if !slices.Equal(effective.Models, tier.Models) {
		own.Models = effective.Models
	}
	for _, l := range effective.Limits {
		if of := subscription.FindLimit(tier.Limits, l.Name); of == nil || !slices.Equal(of.Models, l.Models) {
			own.Limits = append(own.Limits, l)
		}
	}
	return own
}

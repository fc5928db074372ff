package doctor

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"tollgate/handler/manage"
	"tollgate/handler/subscription"
)

// Models checks that tiers and subscriptions' overrides name only models that the gateway
// serves. Any other name is a mistake.
func Models(served []string, directory subscription.Store) manage.Check {
	return manage.Check{Name: "models", Run: func(ctx context.Context) (string, error) {
		tiers, e1 := directory.Tiers(ctx)
		subs, e2 := directory.Subscriptions(ctx)
		if err := errors.Join(e1, e2); err != nil {
			return "", err
		}
		var wrong []string
		check := func(kind, id string, models []string) {
			for _, model := range models {
				if !slices.Contains(served, model) {
					wrong = append(wrong, fmt.Sprintf("%s %s names the model %q, which the gateway doesn't serve: correct it, or add it to MODELS", kind, id, model))
				}
			}
		}
		for _, t := range tiers {
			check("tier", t.ID, t.Models)
		}
		for _, s := range subs {
			if own, err := (subscription.Limits{}).With(s.Overrides); err == nil { // otherwise the tables check reports it
				check("subscription", s.ID, own.Models)
			}
		}
		if wrong != nil {
			return "", errors.New(firstFew(wrong))
		}
		return plural(len(served), "model") + " served; tiers and subscriptions name no other", nil
	}}
}

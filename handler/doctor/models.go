package doctor

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"tollgate/handler/manage"
	"tollgate/handler/subscription"
)

// Models looks whether tiers, and subscriptions of their own, name models that the
// gateway serves: any other can be a misspelling alone.
func Models(served []string, directory subscription.Store) manage.Check {
	return manage.Check{Name: "models", Run: func(ctx context.Context) (string, error) {
		tiers, e1 := directory.Tiers(ctx)
		subs, e2 := directory.Subscriptions(ctx)
		if err := errors.Join(e1, e2); err != nil {
			return "", err
		}
		var wrong []string
		look := func(kind, id string, models []string) {
			for _, model := range models {
				if !slices.Contains(served, model) {
					wrong = append(wrong, fmt.Sprintf("%s %s names the model %q, which the gateway doesn't serve: correct it, or add it to MODELS", kind, id, model))
				}
			}
		}
		for _, t := range tiers {
			look("tier", t.ID, t.Models)
		}
		for _, s := range subs {
			if own, err := (subscription.Limits{}).With(s.Overrides); err == nil { // else the tables' check names it
				look("subscription", s.ID, own.Models)
			}
		}
		if wrong != nil {
			return "", errors.New(some(wrong))
		}
		return count(len(served), "model") + " served; tiers and subscriptions name no other", nil
	}}
}

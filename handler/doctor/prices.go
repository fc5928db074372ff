package doctor

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"tollgate/handler/manage"
	"tollgate/handler/price"
	"tollgate/handler/subscription"
)

// Prices checks that all models that limits in cost apply to have prices, since calls without a
// price are refused. Other findings about prices are notes.
func Prices(served price.Served, directory subscription.Store, prices price.Store) manage.Check {
	return manage.Check{Name: "prices", Run: func(ctx context.Context) (string, error) {
		l, e1 := list(ctx, directory)
		stored, e2 := prices.Read(ctx)
		if err := errors.Join(e1, e2); err != nil {
			return "", err
		}
		var wrong, notes []string
		for _, f := range price.Check(stored, served, time.Now()) {
			text := spell(f)
			switch {
			case f.Kind.AffectsCalls() && l.limitsCost(served.Models, f.Model):
				wrong = append(wrong, text)
			case !f.Kind.AffectsCalls():
				notes = append(notes, text)
			}
		}
		switch {
		case wrong != nil:
			return "", errors.New(firstFew(wrong))
		case notes != nil:
			return firstFew(notes), nil
		case !l.limitsCost(served.Models, ""):
			return "no limit is in cost", nil
		}
		return "every model that a limit in cost applies to has a price", nil
	}}
}

// spell returns a finding as a sentence.
func spell(f price.Finding) string {
	if f.Model == "" {
		return f.Problem + "; " + f.Fix
	}
	return fmt.Sprintf("model %s: %s; %s", f.Model, f.Problem, f.Fix)
}

// limitsCost reports whether a limit in cost applies to a model; with an empty one, to any
// of those served.
func (l listing) limitsCost(served []string, model string) bool {
	if model == "" {
		return slices.ContainsFunc(served, func(model string) bool { return l.limitsCost(nil, model) })
	}
	for _, t := range l.tiers {
		if t.LimitsCost(model) {
			return true
		}
	}
	for _, g := range l.groups {
		if rules := (subscription.Rules{Limits: g.Limits}); rules.LimitsCost(model) {
			return true
		}
	}
	return slices.ContainsFunc(l.subs, func(s subscription.Subscription) bool {
		own, err := s.Effective(l.tier[s.Tier], time.Now())
		return err == nil && own.LimitsCost(model) // the tables check reports the error
	})
}

// MissingPrices returns what is wrong with the prices of models that limits in cost of tiers and
// groups apply to. It doesn't read subscriptions, of which there may be many: their overrides
// can change only the models of such a limit.
func MissingPrices(ctx context.Context, served price.Served, directory subscription.Store, prices price.Store) ([]price.Finding, error) {
	tiers, e1 := directory.Tiers(ctx)
	groups, e2 := directory.Groups(ctx)
	stored, e3 := prices.Read(ctx)
	if err := errors.Join(e1, e2, e3); err != nil {
		return nil, err
	}
	l := listing{tiers: tiers, groups: groups}
	return slices.DeleteFunc(price.Check(stored, served, time.Now()), func(f price.Finding) bool {
		return !f.Kind.AffectsCalls() || !l.limitsCost(served.Models, f.Model)
	}), nil
}

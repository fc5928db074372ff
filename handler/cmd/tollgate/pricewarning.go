package main

import (
	"fmt"
	"net/http"
	"slices"

	"github.com/spf13/cobra"

	"tollgate/handler/limit"
	"tollgate/handler/manage"
	"tollgate/handler/price"
	"tollgate/handler/subscription"
)

// maxPriceWarnings is the most models that a change warns of one by one.
const maxPriceWarnings = 5

// warnOfPrices warns of models whose calls the limits in cost among rules refuse for want
// of a price. The change itself is made, so a failure is a warning too.
func (a *app) warnOfPrices(cmd *cobra.Command, rules subscription.Rules) {
	if !slices.ContainsFunc(rules.Limits, func(l subscription.Limit) bool { return l.Unit == limit.Cost }) {
		return
	}
	var check manage.PriceCheck
	if err := a.call(cmd, request{method: http.MethodGet, path: "/prices/check"}, &check); err != nil {
		a.warn([]string{"the prices of the models that limits in cost apply to could not be checked: " + err.Error()})
		return
	}
	var warnings []string
	for _, f := range check.Items {
		switch {
		case !f.Kind.AffectsCalls():
		case f.Kind == price.NoCurrency:
			warnings = append(warnings, fmt.Sprintf("%s: %s", f.Problem, f.Fix))
		case rules.LimitsCost(f.Model):
			warnings = append(warnings, fmt.Sprintf("the limit in cost refuses calls of %s: %s; %s", f.Model, f.Problem, f.Fix))
		}
	}
	if more := len(warnings) - maxPriceWarnings; more > 0 {
		warnings = append(warnings[:maxPriceWarnings], fmt.Sprintf("and %d more: see 'tollgate price check'", more))
	}
	a.warn(warnings)
}

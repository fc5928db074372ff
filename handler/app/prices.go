package app

import (
	"context"
	"log/slog"
	"time"

	"tollgate/handler/doctor"
	"tollgate/handler/price"
	"tollgate/handler/subscription"
)

const (
	// pricesTimeout bounds the check of prices at the start.
	pricesTimeout = 15 * time.Second
	// maxNamed is the most models that one line of the log names.
	maxNamed = 10
)

// warnOfPrices logs the models whose calls limits in cost refuse for lack of a price: one line
// for each kind of fault. If the check fails it only logs that, since 'tollgate doctor' checks
// the same.
func warnOfPrices(ctx context.Context, served price.Served, directory subscription.Store, prices price.Store, log *slog.Logger) {
	ctx, cancel := context.WithTimeout(ctx, pricesTimeout)
	defer cancel()
	found, err := doctor.MissingPrices(ctx, served, directory, prices)
	if err != nil {
		log.Info("cannot check the prices of models that limits in cost apply to", "cause", err.Error())
		return
	}
	var kinds []price.FindingKind
	byKind := make(map[price.FindingKind][]price.Finding)
	for _, f := range found {
		if byKind[f.Kind] == nil {
			kinds = append(kinds, f.Kind)
		}
		byKind[f.Kind] = append(byKind[f.Kind], f)
	}
	for _, kind := range kinds {
		all := byKind[kind]
		var models []string
		for _, f := range all[:min(len(all), maxNamed)] {
			models = append(models, f.Model)
		}
		log.Warn("limits in cost refuse calls of models without a usable price", "kind", string(kind), "count", len(all), "models", models, "problem", all[0].Problem, "fix", all[0].Fix)
	}
}

package app

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"tollgate/handler/limit"
	"tollgate/handler/price"
	pricemem "tollgate/handler/price/memstore"
	"tollgate/handler/subscription"
	"tollgate/handler/subscription/memstore"
)

// TestMissingPricesAreLoggedAtTheStart, in one line for each kind of fault.
func TestMissingPricesAreLoggedAtTheStart(t *testing.T) {
	var served price.Served
	for i := range 30 {
		served.Models = append(served.Models, fmt.Sprintf("m%02d", i))
	}
	prices, err := pricemem.Load([]byte(`{"currency":"EUR","prices":[{"model":"m00","from":"2020-01-01","prompt":"1","completion":"1","partial":["audio"]},{"model":"m01","from":"2020-01-01","prompt":"1","completion":"1"}]}`))
	if err != nil {
		t.Fatal(err)
	}
	directory := memstore.New()
	start := func() string {
		var lines bytes.Buffer
		warnOfPrices(t.Context(), served, directory, prices, slog.New(slog.NewJSONHandler(&lines, nil)))
		return lines.String()
	}
	if got := start(); got != "" {
		t.Errorf("without a limit in cost: got %s, want nothing", got)
	}
	if _, err := directory.PutTier(t.Context(), subscription.Tier{ID: "gold", Rules: subscription.Rules{Limits: []subscription.Limit{{Name: "budget", Unit: limit.Cost, Quota: 1, Period: limit.Daily}}}}); err != nil {
		t.Fatal(err)
	}
	got := start()
	if strings.Count(got, "\n") != 2 || strings.Count(got, `"level":"WARN"`) != 2 {
		t.Errorf("got %s, want two warnings, one a kind", got)
	}
	for _, part := range []string{`"kind":"partial","count":1,"models":["m00"]`, `"kind":"unpriced","count":28,"models":["m02",`, `"m11"]`, "tollgate price set m02"} {
		if !strings.Contains(got, part) {
			t.Errorf("got %s, want %s in it", got, part)
		}
	}
	prices.Fail(errors.New("down"))
	if got := start(); strings.Count(got, "\n") != 1 || !strings.Contains(got, `"cause":"down"`) {
		t.Errorf("while prices can't be read: got %s, want one line with the cause", got)
	}
}

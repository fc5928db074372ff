package price_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"tollgate/handler/field"
	"tollgate/handler/price"
	"tollgate/handler/price/memstore"
)

// findings returns findings as "kind model: problem", one a line.
func findings(all []price.Finding) string {
	var text strings.Builder
	for _, f := range all {
		fmt.Fprintf(&text, "%s %s: %s\n", f.Kind, f.Model, f.Problem)
	}
	return text.String()
}

func TestCheckReportsMistakesAndComingChanges(t *testing.T) {
	of := func(model string, from price.Date, r price.Rates) price.Price {
		p := since(from, r)
		p.Model = model
		return p
	}
	usual := price.Rates{Prompt: "2", Completion: "8"}
	partial, accepted := of("partial", "2026-11-01", usual), of("accepted", "2026-11-01", usual)
	partial.Partial, accepted.Partial, accepted.AcceptPartial = []string{"a_cost"}, []string{"a_cost"}, true
	broken := of("broken", "2026-11-01", usual)
	broken.Unreadable = "edited"
	elsewhere, dropped := of("moved", "2026-11-01", usual), of("moved", "2026-12-05", price.Rates{Prompt: "2", Completion: "81"})
	elsewhere.Multipliers = map[string]price.Decimal{"gone": "1.1", "one": "1.2"}
	stored := price.Snapshot{Currency: currency, Prices: []price.Price{partial, accepted, broken, elsewhere, dropped,
		of("fine", "2026-11-01", usual), of("fine", "2027-06-01", usual), of("later", "2026-12-01", usual), of("typo", "2026-11-01", usual)}}
	served := price.Served{Models: []string{"none", "partial", "accepted", "broken", "moved", "fine", "later"}, Endpoints: []string{"one"}}
	want := `unreadable broken: its price from 2026-11-01 can't be used: edited
unpriced later: has no price before 2026-12-01
unpriced none: has no price
partial partial: its price from 2026-11-01 also depends on a_cost
changes later: on 2026-12-01 its price changes to prompt 2, completion 8
endpoint moved: its price from 2026-11-01 has a multiplier for the endpoint gone, which doesn't exist
changes moved: on 2026-12-05 its price changes to prompt 2, completion 81
jump moved: on 2026-12-05 completion changes from 8 to 81
jump moved: from 2026-12-05, the endpoint gone no longer has a multiplier
jump moved: from 2026-12-05, the endpoint one no longer has a multiplier
unserved typo: has a price, but the gateway doesn't serve it
`
	got := price.Check(stored, served, noon)
	if findings(got) != want {
		t.Errorf("got\n%swant\n%s", findings(got), want)
	}
	if want := "'tollgate price set partial --from 2026-11-01 --accept-partial'"; !strings.Contains(got[3].Fix, want) {
		t.Errorf("the fix for a partial price: got %q, want it to contain %s", got[3].Fix, want)
	}
	for _, f := range got {
		if f.Fix == "" {
			t.Errorf("%s of %s: got no fix, want one", f.Kind, f.Model)
		}
	}
	stored.Currency = price.Currency{}
	got = price.Check(stored, price.Served{}, noon)
	if text := findings(got); !strings.HasPrefix(text, "currency ") || strings.Contains(text, "typo") || strings.Contains(text, "gone, which") {
		t.Errorf("without knowing what is served: got\n%swant the currency first, and nothing about unserved models and endpoints", text)
	}
	if got := price.Check(price.Snapshot{}, price.Served{}, noon); got == nil || len(got) != 0 {
		t.Errorf("no prices: got %v, want an empty list", got)
	}
}

func TestOnlyChangesOfMoreThanTenfoldAreNamed(t *testing.T) {
	r := func(prompt, cached, completion price.Decimal) price.Rates {
		return price.Rates{Prompt: prompt, Cached: cached, Completion: completion}
	}
	for _, c := range []struct {
		before, after price.Rates
		want          []string
	}{
		{r("1", "1", "1"), r("10", "0.1", "1"), nil},
		{r("1", "1", "1"), r("10.000000001", "1", "1"), []string{"prompt", "cacheWrite", "cacheWriteLong"}},
		{r("1", "0.1", "1"), r("1", "0.009", "1"), []string{"cached"}},
		{r("1", "1", "0"), r("1", "1", "0.000000001"), []string{"completion"}},
		{r("0", "0", "0"), r("0", "0", "0"), nil},
		{r("1000000000", "1", "1"), r("1", "1", "1"), []string{"prompt", "cacheWrite", "cacheWriteLong"}},
		{r("1", "0.05", "1"), r("1", "", "1"), []string{"cached"}},
	} {
		var got []string
		for _, change := range price.TenfoldChanges(c.before, c.after) {
			name, _, _ := strings.Cut(change, " ")
			got = append(got, name)
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%+v to %+v: got %q, want %q", c.before, c.after, got, c.want)
		}
	}
}

func TestPricesNeedACurrencyThatCannotChangeUnderThem(t *testing.T) {
	r, ctx := price.Registry{Store: new(memstore.Store)}, t.Context()
	set := func(p *price.Price) error { p.Rates = price.Rates{Prompt: "1.0", Completion: "2"}; return nil }
	always := func(price.Currency) error { return nil }
	if _, err := r.Set(ctx, "m", "2026-11-01", set); err == nil || !strings.Contains(err.Error(), "currency is not set") {
		t.Errorf("a price without a currency: got error %v, want that it is not set", err)
	}
	if _, err := r.SetCurrency(ctx, "euro", always); !isField(err, "currency") {
		t.Errorf("currency euro: got error %v, want a fault of currency", err)
	}
	for range 2 {
		if c, err := r.SetCurrency(ctx, "EUR", always); err != nil || c.Code != "EUR" {
			t.Fatalf("currency EUR: got %+v and error %v, want it set", c, err)
		}
	}
	p, err := r.Set(ctx, "m", "2026-11-01", set)
	if err != nil || p.Prompt != "1" || p.Version == 0 {
		t.Errorf("Set: got %+v and error %v, want the price normalized, with a version", p, err)
	}
	if _, err := r.SetCurrency(ctx, "USD", always); !isField(err, "currency") || !strings.Contains(err.Error(), "delete the prices first") {
		t.Errorf("another currency while there are prices: got error %v, want a fault with the fix", err)
	}
	if err := r.Remove(ctx, "m", "2026-11-01", func(price.Price) error { return nil }); err != nil {
		t.Errorf("Remove: got error %v, want none", err)
	}
	if _, err := r.SetCurrency(ctx, "USD", always); err != nil {
		t.Errorf("another currency without prices: got error %v, want none", err)
	}
}

func isField(err error, name string) bool {
	fault, ok := errors.AsType[*field.Error](err)
	return ok && fault.Field == name
}

func TestARegistryRejectsInvalidChanges(t *testing.T) {
	r, ctx := price.Registry{Store: new(memstore.Store)}, t.Context()
	nothing := func(*price.Price) error { return nil }
	if _, err := r.Set(ctx, "m", "2026-11-01", nothing); !isField(err, "prompt") {
		t.Errorf("a price without rates: got error %v, want a fault of prompt", err)
	}
	if _, err := r.Set(ctx, "", "2026-11-01", nothing); !isField(err, "model") {
		t.Errorf("no model: got error %v, want a fault of model", err)
	}
	if _, err := r.Find(ctx, "m", "../x"); !isField(err, "from") {
		t.Errorf("no date: got error %v, want a fault of from", err)
	}
	if _, err := r.Find(ctx, "m", "2026-11-01"); !errors.Is(err, price.ErrNotFound) || !strings.Contains(err.Error(), `"m"`) {
		t.Errorf("an unknown price: got error %v, want ErrNotFound with the model", err)
	}
	stop := errors.New("stop")
	if err := r.Remove(ctx, "m", "2026-11-01", func(price.Price) error { return stop }); !errors.Is(err, price.ErrNotFound) {
		t.Errorf("Remove of an unknown price: got error %v, want ErrNotFound", err)
	}
	if _, err := r.Set(ctx, "m", "2026-11-01", func(*price.Price) error { return stop }); !errors.Is(err, stop) {
		t.Errorf("a change function that fails: got error %v, want its own, %v", err, stop)
	}
}

// Package pricetest tests implementations of price.Store. Start reading at Run.
package pricetest

import (
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"tollgate/handler/price"
)

// Run runs all tests on stores. open returns a new empty one.
func Run(t *testing.T, open func(*testing.T) price.Store) {
	for name, test := range map[string]func(*testing.T, price.Store){
		"an empty store has nothing":                         empty,
		"a price is read back with every field":              found,
		"prices are listed by model, then by date":           ordered,
		"a price is replaced only at its current version":    versions,
		"a price is deleted only at its current version":     deleted,
		"a deleted price can be stored again":                again,
		"the currency is replaced only at its version":       currency,
		"one of several concurrent changes succeeds":         race,
		"a change affects one model and date":                apart,
		"names that differ in any byte are different":        names,
		"callers may change what they got and what they put": aliases,
	} {
		t.Run(name, func(t *testing.T) { test(t, open(t)) })
	}
}

func example(model string, from price.Date) price.Price {
	return price.Price{Model: model, From: from, Terms: price.Terms{
		Rates:       price.Rates{Prompt: "2.5", Cached: "0.25", CacheWrite: "3.125", CacheWriteLong: "5", Completion: "10"},
		Multipliers: map[string]price.Decimal{"us-zone": "1.1", "own_1.x": "0"},
		Partial:     []string{"input_cost_per_token_above_200k_tokens"}, AcceptPartial: true, Source: "a list of 2026-11-01, azure/gpt",
	}}
}

// put stores a price that must be accepted, and returns it with its version.
func put(t *testing.T, s price.Store, p price.Price) price.Price {
	t.Helper()
	version, err := s.Put(t.Context(), p)
	if err != nil || version <= p.Version {
		t.Fatalf("Put %s from %s: got version %d and error %v, want one after %d", p.Model, p.From, version, err, p.Version)
	}
	p.Version = version
	return p
}

func wantPrice(t *testing.T, s price.Store, want price.Price) {
	t.Helper()
	got, err := s.Price(t.Context(), want.Model, want.From)
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Errorf("Price %s from %s: got error %v and a price that differs (-want +got):\n%s", want.Model, want.From, err, diff)
	}
}

func wantAll(t *testing.T, s price.Store, want ...price.Price) {
	t.Helper()
	got, err := s.Read(t.Context())
	if diff := cmp.Diff(want, got.Prices); err != nil || len(want)+len(got.Prices) > 0 && diff != "" {
		t.Errorf("Read: got error %v and prices that differ (-want +got):\n%s", err, diff)
	}
}

func wantError(t *testing.T, doing string, got, want error) {
	t.Helper()
	if !errors.Is(got, want) {
		t.Errorf("%s: got error %v, want %v", doing, got, want)
	}
}

func empty(t *testing.T, s price.Store) {
	wantAll(t, s)
	got, err := s.Read(t.Context())
	if err != nil || got.Currency != (price.Currency{}) {
		t.Errorf("Read: got the currency %+v and error %v, want none", got.Currency, err)
	}
	_, err = s.Price(t.Context(), "m", "2026-11-01")
	wantError(t, "Price", err, price.ErrNotFound)
	wantError(t, "Delete", s.Delete(t.Context(), "m", "2026-11-01", 1), price.ErrNotFound)
}

func found(t *testing.T, s price.Store) {
	full := put(t, s, example("gpt-4.1", "2026-11-01"))
	least := put(t, s, price.Price{Model: "free", From: "2026-11-01", Terms: price.Terms{Rates: price.Rates{Prompt: "0", Completion: "0"}}})
	wantPrice(t, s, full)
	wantPrice(t, s, least)
	wantAll(t, s, least, full)
}

func ordered(t *testing.T, s price.Store) {
	b2, b1 := put(t, s, example("b", "2026-12-01")), put(t, s, example("b", "2026-02-01"))
	slash, a := put(t, s, example("b/c", "2026-01-01")), put(t, s, example("a", "2027-01-01"))
	wantAll(t, s, a, b1, b2, slash)
}

func versions(t *testing.T, s price.Store) {
	first := put(t, s, example("m", "2026-11-01"))
	second := first
	second.Prompt, second.Cached, second.Multipliers, second.Partial, second.AcceptPartial = "3", "", nil, nil, false
	second = put(t, s, second)
	wantPrice(t, s, second)
	_, err := s.Put(t.Context(), first)
	wantError(t, "Put with an older version", err, price.ErrConflict)
	fresh := first
	fresh.Version = 0
	_, err = s.Put(t.Context(), fresh)
	wantError(t, "Put of a price that exists", err, price.ErrExists)
	gone := first
	gone.From = "2026-12-01"
	_, err = s.Put(t.Context(), gone)
	wantError(t, "Put with a version of a price that doesn't exist", err, price.ErrNotFound)
	wantAll(t, s, second)
}

func deleted(t *testing.T, s price.Store) {
	first := put(t, s, example("m", "2026-11-01"))
	second := put(t, s, first)
	other := put(t, s, example("m", "2026-12-01"))
	wantError(t, "Delete of an older version", s.Delete(t.Context(), "m", "2026-11-01", first.Version), price.ErrConflict)
	wantAll(t, s, second, other)
	if err := s.Delete(t.Context(), "m", "2026-11-01", second.Version); err != nil {
		t.Errorf("Delete: got error %v, want none", err)
	}
	wantAll(t, s, other)
	wantError(t, "a second Delete", s.Delete(t.Context(), "m", "2026-11-01", second.Version), price.ErrNotFound)
}

func again(t *testing.T, s price.Store) {
	p := put(t, s, example("m", "2026-11-01"))
	if err := s.Delete(t.Context(), p.Model, p.From, p.Version); err != nil {
		t.Fatalf("Delete: got error %v, want none", err)
	}
	wantPrice(t, s, put(t, s, example("m", "2026-11-01")))
}

func currency(t *testing.T, s price.Store) {
	version, err := s.PutCurrency(t.Context(), price.Currency{Code: "USD"})
	if err != nil || version == 0 {
		t.Fatalf("PutCurrency: got version %d and error %v, want a version", version, err)
	}
	_, err = s.PutCurrency(t.Context(), price.Currency{Code: "GBP"})
	wantError(t, "a second currency", err, price.ErrExists)
	_, err = s.PutCurrency(t.Context(), price.Currency{Code: "GBP", Version: version + 1})
	wantError(t, "a currency with another version", err, price.ErrConflict)
	second, err := s.PutCurrency(t.Context(), price.Currency{Code: "EUR", Version: version})
	if err != nil || second <= version {
		t.Errorf("a changed currency: got version %d and error %v, want one after %d", second, err, version)
	}
	put(t, s, example("currency", "2026-11-01"))
	got, err := s.Read(t.Context())
	if want := (price.Currency{Code: "EUR", Version: second}); err != nil || got.Currency != want || len(got.Prices) != 1 {
		t.Errorf("Read: got %+v, %d prices and error %v; want %+v and 1", got.Currency, len(got.Prices), err, want)
	}
}

func race(t *testing.T, s price.Store) {
	first := put(t, s, example("m", "2026-11-01"))
	const several = 8
	errs := make([]error, several)
	var all sync.WaitGroup
	for i := range several {
		all.Go(func() {
			p := first
			p.Source = fmt.Sprint(i)
			_, errs[i] = s.Put(t.Context(), p)
		})
	}
	all.Wait()
	won := -1
	for i, err := range errs {
		switch {
		case err == nil && won >= 0:
			t.Errorf("changes %d and %d: got both accepted, want one", won, i)
		case err == nil:
			won = i
		default:
			wantError(t, "a change that lost", err, price.ErrConflict)
		}
	}
	if got, err := s.Price(t.Context(), "m", "2026-11-01"); err != nil || got.Source != fmt.Sprint(won) {
		t.Errorf("got the change of %s and error %v, want that of %d", got.Source, err, won)
	}
}

func apart(t *testing.T, s price.Store) {
	a, b := put(t, s, example("m", "2026-11-01")), put(t, s, example("m", "2026-11-02"))
	a.Prompt = "7"
	a = put(t, s, a)
	wantAll(t, s, a, b)
}

func names(t *testing.T, s price.Store) {
	var all []price.Price
	for _, model := range []string{" m", "A/b", `A\b`, "a#b", "a%2Fb", "a/b", "a?b", "a|2026-11-01", "a!7C", "m", "o'neil", "é"} {
		all = append(all, put(t, s, price.Price{Model: model, From: "2026-11-01", Terms: price.Terms{Rates: price.Rates{Prompt: "1", Completion: "1"}}}))
	}
	for _, p := range all {
		wantPrice(t, s, p)
	}
	got, err := s.Read(t.Context())
	if err != nil || len(got.Prices) != len(all) {
		t.Errorf("Read: got %d prices and error %v, want %d", len(got.Prices), err, len(all))
	}
}

func aliases(t *testing.T, s price.Store) {
	want := put(t, s, example("m", "2026-11-01"))
	got, err := s.Read(t.Context())
	if err != nil || len(got.Prices) != 1 {
		t.Fatalf("Read: got %+v and error %v, want one price", got, err)
	}
	got.Prices[0].Multipliers["us-zone"], got.Prices[0].Partial[0], got.Prices[0].Prompt = "9", "changed", "9"
	wantPrice(t, s, want)
	want.Multipliers["us-zone"] = "8"
	if kept, err := s.Price(t.Context(), "m", "2026-11-01"); err != nil || kept.Multipliers["us-zone"] != "1.1" {
		t.Errorf("Price: got %+v and error %v, want what was stored", kept, err)
	}
}

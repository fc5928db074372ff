package memstore_test

import (
	"strings"
	"testing"
	"time"

	"tollgate/handler/limit"
	"tollgate/handler/price"
	"tollgate/handler/price/memstore"
)

func TestLoadReadsPricesAndTheirCurrency(t *testing.T) {
	store, err := memstore.Load([]byte(`{"tiers":[{"id":"demo"}],"currency":"EUR","prices":[{"model":"m","from":"2026-01-01","prompt":"2.50","completion":"10","multipliers":{"zone":"1.1"}}]}`))
	if err != nil {
		t.Fatal(err)
	}
	q, err := price.NewBook(store).Quote(t.Context(), "m", nil, time.Date(2026, 2, 1, 0, 0, 0, 0, time.UTC))
	if got := q.Cost(limit.Usage{PromptTokens: 1}, "zone"); err != nil || got != 2_750 || q.Currency != "EUR" {
		t.Errorf("a prompt token at zone: got %d %s, %v; want 2750 EUR", got, q.Currency, err)
	}
	if store, err := memstore.Load([]byte(`{}`)); err != nil || store == nil {
		t.Errorf("a document without prices: got error %v, want an empty store", err)
	}
}

func TestLoadNamesEveryFault(t *testing.T) {
	_, err := memstore.Load([]byte(`{"currency":"euro","prices":[{"model":"m","from":"2026-01-01","prompt":"x","completion":"1"}]}`))
	_, several := memstore.Load([]byte(`{"currency":"EUR","prices":[{"model":"m","from":"2026-01-01","prompt":"1"},{"model":"m","from":"soon","prompt":"1","completion":"1"},
		{"model":"n","from":"2026-01-01","prompt":"1","completion":"1"},{"model":"n","from":"2026-01-01","prompt":"2","completion":"1"},{"model":"m","pormpt":"1"},{"model":"m","from":"2026-01-01","prompt":1}]}`))
	_, noCurrency := memstore.Load([]byte(`{"prices":[{"model":"m","from":"2026-01-01","prompt":"1","completion":"1"}]}`))
	for _, c := range []struct {
		err  error
		want string
	}{
		{err, "currency"}, {err, `prices[0]: prompt "x"`}, {several, "prices[0]: completion is missing"}, {several, `prices[1]: from "soon"`}, {several, `prices[3]: the price of model "n" from 2026-01-01 exists already`},
		{several, `prices[4]: json: unknown field "pormpt"`}, {several, "prices[5]: json"}, {noCurrency, "prices[0]: currency is not set"},
	} {
		if c.err == nil || !strings.Contains(c.err.Error(), c.want) {
			t.Errorf("got error %v, want it to contain %s", c.err, c.want)
		}
	}
}

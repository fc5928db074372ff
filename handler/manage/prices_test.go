package manage_test

import (
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"tollgate/handler/manage"
	"tollgate/handler/price"
)

// newFixtureWithCurrency returns a fixture whose currency is EUR.
func newFixtureWithCurrency(t *testing.T) *fixture {
	t.Helper()
	f := newFixture(t)
	f.must("PUT", "/prices/currency", `{"currency":"EUR"}`)
	return f
}

// listPrices returns a page of prices, each as "model from prompt", and where the next begins.
func (f *fixture) listPrices(query string) (all []string, next string) {
	f.t.Helper()
	var list struct {
		Items []price.Price
		Next  string
	}
	f.must("GET", "/prices"+query, "").decode(f.t, &list)
	for _, p := range list.Items {
		all = append(all, p.Model+" "+string(p.From)+" "+string(p.Prompt))
	}
	return all, list.Next
}

func TestPricesAreSetReplacedAndDeleted(t *testing.T) {
	f := newFixtureWithCurrency(t)
	made := f.must("PUT", "/prices/a%2Fb/2026-11-01", `{"prompt":"2.50","completion":"10","cached":"0.25","multipliers":{"zone":"1.10"},"source":"list"}`)
	if made.status != http.StatusCreated || made.header.Get("Location") != "/manage/prices/a%2Fb/2026-11-01" || made.header.Get("ETag") == "" {
		t.Errorf("PUT of a new price: got %d %v, want 201 with its path and ETag", made.status, made.header)
	}
	var p price.Price
	read := f.must("GET", "/prices/a%2Fb/2026-11-01", "")
	read.decode(t, &p)
	want := price.Price{Model: "a/b", From: "2026-11-01", Version: p.Version, Terms: price.Terms{Rates: price.Rates{Prompt: "2.5", Cached: "0.25", Completion: "10"},
		Multipliers: map[string]price.Decimal{"zone": "1.1"}, Source: "list"}}
	if diff := cmp.Diff(want, p); diff != "" || read.header.Get("ETag") != made.header.Get("ETag") {
		t.Errorf("GET: got ETag %s and a price that differs (-want +got):\n%s", read.header.Get("ETag"), diff)
	}
	f.expectProblem(http.StatusPreconditionRequired, "precondition_required", "PUT", "/prices/a%2Fb/2026-11-01", `{"prompt":"3","completion":"10"}`, nil, "If-Match")
	f.must("PUT", "/prices/a%2Fb/2026-11-01", `{"prompt":"3","completion":"10"}`, "If-Match", made.header.Get("ETag"))
	f.expectProblem(http.StatusPreconditionFailed, "stale", "PUT", "/prices/a%2Fb/2026-11-01", `{"prompt":"4","completion":"10"}`, []string{"If-Match", made.header.Get("ETag")})
	f.expectProblem(http.StatusPreconditionFailed, "stale", "DELETE", "/prices/a%2Fb/2026-11-01", "", []string{"If-Match", made.header.Get("ETag")})
	f.must("DELETE", "/prices/a%2Fb/2026-11-01", "")
	f.expectProblem(http.StatusNotFound, "not_found", "DELETE", "/prices/a%2Fb/2026-11-01", "", nil)
	f.expectProblem(http.StatusNotFound, "not_found", "GET", "/prices/a%2Fb/2026-11-01", "", nil, `model \"a/b\" from 2026-11-01`)
	events := f.events()
	if want := []string{"currency.change currency done", "price.create a/b done", "price.change a/b done", "price.delete a/b done"}; !slices.Equal(events[len(events)-4:], want) {
		t.Errorf("audit: got %q, want it to end with %q", events, want)
	}
	var audit struct{ Items []manage.Event }
	f.must("GET", "/audit?target=a/b&limit=2", "").decode(t, &audit)
	changes := audit.Items[1].Changes
	if changes["from"].To != "2026-11-01" || changes["prompt"].From != "2.5" || changes["prompt"].To != "3" || changes["cached"].From != "0.25" || changes["cached"].To != nil {
		t.Errorf("the audit of the change: got %+v, want the date, and prompt and cached before and after", changes)
	}
}

func TestPricesAreListedInPages(t *testing.T) {
	f := newFixtureWithCurrency(t)
	for _, path := range []string{"a%20b/2026-11-01", "a/2026-12-01", "a/2026-11-01", "gpt/2026-11-01"} {
		f.must("PUT", "/prices/"+path, `{"prompt":"1","completion":"1"}`)
	}
	var all []string
	query := "?limit=1"
	for {
		page, next := f.listPrices(query)
		all = append(all, page...)
		if next == "" {
			break
		}
		query = "?limit=1&after=" + strings.NewReplacer(" ", "%20", "\t", "%09").Replace(next)
	}
	if want := []string{"a 2026-11-01 1", "a 2026-12-01 1", "a b 2026-11-01 1", "gpt 2026-11-01 1"}; !slices.Equal(all, want) {
		t.Errorf("page by page: got %q, want %q", all, want)
	}
	if got, _ := f.listPrices("?model=a"); len(got) != 2 {
		t.Errorf("of the model a: got %q, want two", got)
	}
	if got, _ := f.listPrices("?search=GP"); len(got) != 1 {
		t.Errorf("search for GP: got %q, want gpt's", got)
	}
}

func TestAWrongPriceIsRefusedWithItsFields(t *testing.T) {
	f := newFixture(t)
	const valid = `{"prompt":"1","completion":"1"}`
	f.expectProblem(422, "invalid", "PUT", "/prices/m/2026-11-01", valid, nil, "currency", "tollgate price currency")
	f.must("PUT", "/prices/currency", `{"currency":"EUR"}`)
	for body, part := range map[string]string{
		`{"prompt":"1"}`:                                         `"completion"`,
		`{"prompt":1,"completion":"1"}`:                          "use a string",
		`{"prompt":"1e2","completion":"1"}`:                      "1e2",
		`{"prompt":"1","completion":"1","output":"2"}`:           "output",
		`{"prompt":"1","completion":"1","model":"other"}`:        "the path's",
		`{"prompt":"1","completion":"1","from":"2026-11-02"}`:    "the path's",
		`{"prompt":"1","prompt":"2","completion":"1"}`:           "appears twice",
		`{"prompt":"1","completion":"1","multipliers":{"e":""}}`: "multipliers.e",
	} {
		f.expectProblem(422, "invalid", "PUT", "/prices/m/2026-11-01", body, nil, part)
	}
	f.expectProblem(422, "invalid", "PUT", "/prices/m/tomorrow", valid, nil, `"from"`, "tomorrow")
	f.expectProblem(422, "invalid", "GET", "/prices/m/1", "", nil, `"from"`)
	f.expectProblem(422, "invalid", "PUT", "/prices/"+strings.Repeat("m", 101)+"/2026-11-01", valid, nil, `"model"`)
	f.expectProblem(422, "invalid", "PUT", "/prices/currency", `{"currency":"€"}`, nil, `"currency"`)
	f.must("PUT", "/prices/m/2026-11-01", valid)
	f.expectProblem(422, "invalid", "PUT", "/prices/currency", `{"currency":"USD"}`, nil, "delete the prices first")
	f.expectProblem(422, "invalid", "GET", "/prices?modell=m", "", nil, "modell")
	f.prices.Fail(errors.New("can't be reached"))
	f.expectProblem(503, "unavailable", "GET", "/prices", "", nil)
	f.expectProblem(503, "unavailable", "PUT", "/prices/m/2026-11-01", valid, nil)
}

func TestAPriceIsNotSetIfTheAuditCannotBeWritten(t *testing.T) {
	f := newFixtureWithCurrency(t)
	f.audit.Fail(errors.New("no audit"))
	f.expectProblem(503, "unavailable", "PUT", "/prices/m/2026-11-01", `{"prompt":"1","completion":"1"}`, nil, "nothing was changed")
	f.audit.Fail(nil)
	if got, _ := f.listPrices(""); len(got) != 0 {
		t.Errorf("got the prices %q, want none", got)
	}
}

func TestPricesAreCheckedAgainstWhatIsServed(t *testing.T) {
	f := newFixtureWithCurrency(t)
	f.config.Served = price.Served{Models: []string{"m", "unpriced"}, Endpoints: []string{"e"}}
	f.api = manage.New(f.config)
	f.must("PUT", "/prices/m/2026-11-01", `{"prompt":"1","completion":"1","multipliers":{"x":"2"}}`)
	var check manage.PriceCheck
	f.must("GET", "/prices/check", "").decode(t, &check)
	var kinds []string
	for _, item := range check.Items {
		kinds = append(kinds, item.Model+" "+string(item.Kind))
	}
	if want := []string{"unpriced unpriced", "m endpoint"}; !slices.Equal(kinds, want) || !slices.Equal(check.Served, f.config.Served.Models) {
		t.Errorf("got %q of the served models %q, want %q of %q", kinds, check.Served, want, f.config.Served.Models)
	}
	var c price.Currency
	f.must("GET", "/prices/currency", "").decode(t, &c)
	if c.Code != "EUR" || c.Version == 0 {
		t.Errorf("currency: got %+v, want EUR with its version", c)
	}
}

// Package price computes the cost of calls.
//
// Operators store prices in dated rows, each with the price of a million tokens of one
// model. A Book reads all rows and remembers them. When a call starts, Book.Quote returns
// the price in effect; when the call ends, Quote.Cost multiplies it by the tokens used. A
// call keeps the price that it started with.
//
// Amounts are whole numbers of billionths (nano) of the currency's unit. A cost is computed
// in 128 bits and rounded up once.
//
// Operators change prices through a Registry, which validates each change, and Check finds
// mistakes in them. Prices are kept in a Store: memstore or tablestore.
//
// Start reading at Price, then Book.Quote and Quote.Cost.
package price

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"tollgate/handler/field"
)

// A Price is the price of a model's tokens from a date until the model's next Price begins.
type Price struct {
	// Model is the name that callers use for the model.
	Model string `json:"model"`
	// From is the day on which the price begins.
	From Date `json:"from"`
	Terms
	// Version is the stored version; 0: not stored yet.
	Version int64 `json:"version,omitempty"`
	// Unreadable says why the stored row can't be read, such as after a manual edit. The
	// model then has no price from that day.
	Unreadable string `json:"unreadable,omitempty"`
}

// Terms are the part of a Price that an operator sets.
type Terms struct {
	Rates
	// Multipliers maps an endpoint's name to the factor that multiplies the rates of calls
	// it serves. It is 1 for endpoints not listed.
	Multipliers map[string]Decimal `json:"multipliers,omitempty"`
	// Partial lists what else the model's price depends on, such as a higher rate above a
	// number of tokens. If it isn't empty, a call may cost more than the rates say.
	Partial []string `json:"partial,omitempty"`
	// AcceptPartial allows limits in cost to use the rates although Partial isn't empty.
	AcceptPartial bool `json:"acceptPartial,omitempty"`
	// Source tells people where the rates come from. Tollgate doesn't use it.
	Source string `json:"source,omitempty"`
}

// Rates are the prices of a million tokens of each kind, in the deployment's currency.
// Prompt and Completion are required; a rate of 0 makes the kind free. A kind of prompt
// tokens without a rate costs as much as the most expensive kind that has one.
type Rates struct {
	Prompt         Decimal `json:"prompt"`                   // prompt tokens neither read from nor written to a cache
	Cached         Decimal `json:"cached,omitempty"`         // prompt tokens read from the endpoint's cache
	CacheWrite     Decimal `json:"cacheWrite,omitempty"`     // prompt tokens written to the cache for a short time
	CacheWriteLong Decimal `json:"cacheWriteLong,omitempty"` // prompt tokens written to the cache for an hour or longer
	Completion     Decimal `json:"completion"`               // completion tokens, including reasoning
}

// A Date is a UTC day, written as 2026-11-30.
type Date string

// DateOf returns the UTC day of a time.
func DateOf(t time.Time) Date { return Date(t.UTC().Format(time.DateOnly)) }

// Start returns the beginning of the day, or an error if d is not a date.
func (d Date) Start() (time.Time, error) { return time.Parse(time.DateOnly, string(d)) }

// Bounds on the size of a Price.
const (
	maxModel       = 100 // bytes; the settings allow no longer name of a model
	maxMultipliers = 50
	maxPartial     = 50
	maxName        = 64  // bytes of an endpoint's name
	maxField       = 100 // bytes of a name in Partial
	maxSource      = 200 // bytes
)

// Validate returns an error that names each invalid field and how to fix it.
func (p *Price) Validate() error {
	var f field.Faults
	checkModel(&f, p.Model)
	checkDate(&f, p.From)
	p.Rates.check(&f)
	p.checkMultipliers(&f)
	f.Check(len(p.Partial) <= maxPartial, "partial", fmt.Sprintf("names more than %d fields", maxPartial), "name fewer")
	for _, name := range p.Partial {
		f.Check(isName(name, maxField), "partial", fmt.Sprintf("has the name %q", name), fmt.Sprintf("use 1 to %d letters, digits, dots, dashes or underscores", maxField))
	}
	f.Check(!p.AcceptPartial || len(p.Partial) > 0, "acceptPartial", "is set, but partial names nothing", "leave it out")
	f.Check(len(p.Source) <= maxSource && field.Printable(p.Source), "source", "is too long, or has characters that can't be shown", fmt.Sprintf("use at most %d bytes of plain text", maxSource))
	return f.Err()
}

func checkModel(f *field.Faults, model string) {
	ok := model != "" && len(model) <= maxModel && field.Printable(model) && !strings.HasPrefix(model, "(") && model != "." && model != ".."
	f.Check(ok, "model", fmt.Sprintf("%q can't be a model's name", model), fmt.Sprintf("use the name that callers use, at most %d bytes", maxModel))
}

func checkDate(f *field.Faults, from Date) {
	_, err := from.Start()
	f.Check(err == nil, "from", fmt.Sprintf("%q is not a date", from), "use a UTC date such as 2026-11-30")
}

// isName reports whether a text is a name of letters, digits, dots, dashes and
// underscores, as names of endpoints are.
func isName(text string, most int) bool {
	const allowed = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_"
	return text != "" && len(text) <= most && strings.Trim(text, allowed) == ""
}

// check adds a fault for each rate that is missing or invalid.
func (r *Rates) check(f *field.Faults) {
	for _, kind := range r.kinds() {
		if kind.rate == "" {
			f.Check(!kind.required, kind.name, "is missing", "give the price of a million tokens, or 0 if they are free")
			continue
		}
		_, err := kind.rate.Nano()
		f.Check(err == nil, kind.name, fmt.Sprintf("%q %s", kind.rate, errDecimal), `write the price of a million tokens, such as "2.5"`)
	}
}

func (p *Price) checkMultipliers(f *field.Faults) {
	f.Check(len(p.Multipliers) <= maxMultipliers, "multipliers", fmt.Sprintf("names more than %d endpoints", maxMultipliers), "name fewer")
	for _, endpoint := range slices.Sorted(maps.Keys(p.Multipliers)) {
		f.Check(isName(endpoint, maxName), "multipliers", fmt.Sprintf("names %q, which can't be an endpoint's name", endpoint), "name the endpoint as UPSTREAMS does")
		_, err := p.Multipliers[endpoint].Nano()
		f.Check(err == nil, "multipliers."+endpoint, fmt.Sprintf("%q %s", p.Multipliers[endpoint], errDecimal), `write what the prices are multiplied by, such as "1.1"`)
	}
}

// Normalize removes trailing zeros from numbers, and sorts Partial. It leaves invalid
// numbers as they are.
func (p *Price) Normalize() {
	for _, rate := range []*Decimal{&p.Prompt, &p.Cached, &p.CacheWrite, &p.CacheWriteLong, &p.Completion} {
		*rate = rate.normal()
	}
	p.Multipliers = maps.Clone(p.Multipliers)
	for endpoint, by := range p.Multipliers {
		p.Multipliers[endpoint] = by.normal()
	}
	p.Partial = slices.Compact(slices.Sorted(slices.Values(p.Partial)))
}

func (d Decimal) normal() Decimal {
	if nano, err := d.Nano(); err == nil {
		return Format(nano)
	}
	return d
}

// A Currency is the currency of all amounts of a deployment.
type Currency struct {
	// Code is the currency's ISO 4217 code, such as USD; empty: none is set.
	Code string `json:"currency"`
	// Version is the stored version; 0: not stored yet.
	Version int64 `json:"version,omitempty"`
}

// Validate returns an error if the code isn't three capital letters.
func (c *Currency) Validate() error {
	var f field.Faults
	f.Check(len(c.Code) == 3 && strings.Trim(c.Code, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") == "", "currency", fmt.Sprintf("%q is not a currency's code", c.Code), "use three capital letters, such as USD")
	return f.Err()
}

// A tokenKind is a tokenKind of tokens that has a rate.
type tokenKind struct {
	name     string // the field's
	rate     Decimal
	required bool
}

func (r *Rates) kinds() []tokenKind {
	return []tokenKind{{"prompt", r.Prompt, true}, {"cached", r.Cached, false}, {"cacheWrite", r.CacheWrite, false},
		{"cacheWriteLong", r.CacheWriteLong, false}, {"completion", r.Completion, true}}
}

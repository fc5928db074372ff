// Package price says what calls cost. Operators keep prices: dated rows, each for a
// million tokens of a model. A call is priced once, by the row that is in effect when it
// starts.
//
// All amounts are whole numbers: billionths of the currency's unit (nano), and for prices
// billionths of it for a million tokens. A cost is computed in 128 bits and rounded up
// once.
//
// Start reading at Book.Quote, which finds a price without asking the store, and
// Quote.Cost.
package price

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"tollgate/handler/field"
)

// A Price is what tokens of a model cost from a date on, until a later Price of the model
// begins.
type Price struct {
	Model string `json:"model"` // as callers name it
	From  Date   `json:"from"`
	Terms
	// Version is the stored version; 0: not stored yet.
	Version int64 `json:"version,omitempty"`
	// Unreadable says why the stored row can't be read, after somebody edited it. Calls
	// of the model then have no price from From on.
	Unreadable string `json:"unreadable,omitempty"`
}

// Terms are what an operator decides about a Price.
type Terms struct {
	Rates
	// Multipliers hold, by the endpoint's name, what the prices are multiplied by where
	// that endpoint serves the call. Endpoints that aren't named have 1.
	Multipliers map[string]Decimal `json:"multipliers,omitempty"`
	// Partial names what the model's price depends on beside these rates, such as a rate
	// above a number of tokens: a call may cost more than they say.
	Partial []string `json:"partial,omitempty"`
	// AcceptPartial lets limits in cost count by these rates although Partial names more.
	AcceptPartial bool `json:"acceptPartial,omitempty"`
	// Source says where the prices are from, for people.
	Source string `json:"source,omitempty"`
}

// Rates are the prices of a million tokens of each kind, in the deployment's currency.
// Prompt and Completion are required; 0 says that the kind is free. A kind of prompt
// tokens without a rate costs as much as the dearest kind that has one.
type Rates struct {
	Prompt         Decimal `json:"prompt"`                   // prompt tokens that no cache is involved in
	Cached         Decimal `json:"cached,omitempty"`         // prompt tokens read from the endpoint's cache
	CacheWrite     Decimal `json:"cacheWrite,omitempty"`     // prompt tokens put there for a short time
	CacheWriteLong Decimal `json:"cacheWriteLong,omitempty"` // prompt tokens put there for an hour or longer
	Completion     Decimal `json:"completion"`               // completion tokens, reasoning included
}

// A Date is a UTC day, written as 2026-11-30.
type Date string

// DateOf returns the UTC day of a time.
func DateOf(t time.Time) Date { return Date(t.UTC().Format(time.DateOnly)) }

// Start returns the beginning of the day.
func (d Date) Start() (time.Time, error) { return time.Parse(time.DateOnly, string(d)) }

// Limits of what is stored.
const (
	maxModel       = 100 // bytes, as of the models that a gateway serves
	maxMultipliers = 50
	maxPartial     = 50
	maxName        = 64  // bytes of an endpoint's name
	maxField       = 100 // bytes of a name in Partial
	maxSource      = 200 // bytes
)

// Validate returns an error that names each field that is wrong, and its fix.
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

// check adds the faults of rates.
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

// Normalize writes numbers without zeros at their ends, and sorts Partial. It leaves what
// isn't valid.
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

// A Currency is the label of all amounts of a deployment.
type Currency struct {
	// Code is the currency as ISO 4217 names it, such as USD; empty: none is set.
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

// A kind is a kind of tokens that has a rate.
type kind struct {
	name     string // the field's
	rate     Decimal
	required bool
}

func (r *Rates) kinds() []kind {
	return []kind{{"prompt", r.Prompt, true}, {"cached", r.Cached, false}, {"cacheWrite", r.CacheWrite, false},
		{"cacheWriteLong", r.CacheWriteLong, false}, {"completion", r.Completion, true}}
}

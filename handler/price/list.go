package price

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"
)

// ErrUnpriced means that a model has no usable price at a time. The error that wraps it
// names the model.
var ErrUnpriced = errors.New("has no price")

// unpriced is the error for the named model if it has no price. It formats its text only on
// demand, because without any prices every call gets this error.
type unpriced string

func (u unpriced) Error() string { return fmt.Sprintf("model %q %v", string(u), ErrUnpriced) }

func (u unpriced) Unwrap() error { return ErrUnpriced }

// A List holds all prices of a deployment, as read at one time. Make one with NewList. It
// never changes.
type List struct {
	currency string
	rows     map[string][]row // by model, ordered by date
}

// A row is a Price with its decimals and date parsed.
type row struct {
	Price
	start       time.Time
	rates       nanoRates
	multipliers map[string]int64
	fault       error // why the price can't be used; nil: it is valid
}

// NewList returns the list of the prices in a snapshot. An invalid price makes only its own
// model unpriced.
func NewList(s Snapshot) *List {
	l := &List{currency: s.Currency.Code, rows: make(map[string][]row)}
	for _, p := range s.Prices {
		l.rows[p.Model] = append(l.rows[p.Model], newRow(p))
	}
	for _, rows := range l.rows {
		slices.SortFunc(rows, func(a, b row) int { return cmp.Compare(a.From, b.From) })
	}
	return l
}

func newRow(p Price) row {
	r := row{Price: p}
	if p.Unreadable != "" {
		r.fault = errors.New(p.Unreadable)
	} else {
		r.fault = p.Validate()
	}
	r.start, _ = p.From.Start()
	if r.fault != nil {
		return r
	}
	r.rates, r.fault = p.Rates.inNano()
	r.multipliers = make(map[string]int64, len(p.Multipliers))
	for endpoint, by := range p.Multipliers {
		r.multipliers[endpoint], _ = by.Nano() // Validate has checked it
	}
	return r
}

// inEffect returns the row that is in effect inEffect a time, or nil, and when the next one begins;
// zero: none does.
func (l *List) inEffect(model string, now time.Time) (in *row, until time.Time) {
	rows := l.rows[model]
	for i := range rows {
		if rows[i].start.After(now) {
			return in, rows[i].start
		}
		in = &rows[i]
	}
	return in, time.Time{}
}

// At returns the price in effect for a model at a time, and when the model's next price
// begins; zero: no later price is stored.
func (l *List) At(model string, now time.Time) (p Price, until time.Time, found bool) {
	in, until := l.inEffect(model, now)
	if in == nil {
		return Price{}, until, false
	}
	return in.Price, until, true
}

// Quote returns the price of a call to a model that starts now and that one of the
// endpoints will serve. If the model has no usable price, the error wraps ErrUnpriced.
func (l *List) Quote(model string, endpoints []string, now time.Time) (Quote, error) {
	in, until := l.inEffect(model, now)
	switch {
	case in == nil:
		return Quote{}, unpriced(model)
	case in.fault != nil:
		return Quote{}, fmt.Errorf("model %q %w that can be used: the one from %s: %w", model, ErrUnpriced, in.From, in.fault)
	}
	q := Quote{Currency: l.currency, Until: until, rates: in.rates, multipliers: in.multipliers, dearest: largestMultiplier(in.multipliers, endpoints)}
	if in.AcceptPartial {
		q.Accepted = in.Partial
	} else {
		q.Unaccepted = in.Partial
	}
	return q, nil
}

// models returns the names of the models that have prices, sorted.
func (l *List) models() []string { return slices.Sorted(maps.Keys(l.rows)) }

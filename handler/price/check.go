package price

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"tollgate/handler/limit"
)

// Served lists what a gateway serves, for Check.
type Served struct {
	Models    []string // names that calls may use; nil: unknown
	Endpoints []string // names of endpoints; nil: unknown
}

// A FindingKind classifies a Finding.
type FindingKind string

// The kinds of findings. The first four affect calls.
const (
	NoCurrency      FindingKind = "currency"   // there are prices but no currency
	NoPrice         FindingKind = "unpriced"   // a served model has no price
	UnusablePrice   FindingKind = "unreadable" // a price is invalid or can't be read
	PartialPrice    FindingKind = "partial"    // a price is partial, and no operator has accepted that
	UpcomingChange  FindingKind = "changes"    // a price begins within 14 days
	LargeChange     FindingKind = "jump"       // a coming price differs from the one before by more than tenfold, or lacks one of its multipliers
	UnknownEndpoint FindingKind = "endpoint"   // a multiplier is for an endpoint that doesn't exist
	UnservedModel   FindingKind = "unserved"   // a price is for a model that isn't served
)

// AffectsCalls reports whether the finding affects calls now: those that a limit in cost
// applies to are refused.
func (k FindingKind) AffectsCalls() bool {
	return k == NoCurrency || k == NoPrice || k == UnusablePrice || k == PartialPrice
}

// A Finding is a mistake in the prices, or a change that an operator should know of.
type Finding struct {
	Model   string      `json:"model,omitempty"` // empty: it concerns all models
	Kind    FindingKind `json:"kind"`
	Problem string      `json:"problem"` // a sentence without its subject, the model
	Fix     string      `json:"fix"`     // what to do, as an imperative
}

// noticePeriod is how long before it begins a price is reported.
const noticePeriod = 14 * 24 * time.Hour

// Check looks for mistakes and coming changes in the stored prices. Findings that affect
// calls come first, then those of each model.
func Check(stored Snapshot, served Served, now time.Time) []Finding {
	c := &checker{list: NewList(stored), served: served, now: now, found: []Finding{}}
	if len(stored.Prices) > 0 && stored.Currency.Code == "" {
		c.add("", NoCurrency, "the prices have no currency", "set it, for example with 'tollgate price currency USD'")
	}
	for _, model := range served.Models {
		if _, known := c.list.rows[model]; !known {
			c.add(model, NoPrice, "has no price", howToSet(model))
		}
	}
	for _, model := range c.list.models() {
		c.checkModelPrices(model)
	}
	slices.SortStableFunc(c.found, func(a, b Finding) int {
		return cmp.Or(order(b.Kind.AffectsCalls())-order(a.Kind.AffectsCalls()), cmp.Compare(a.Model, b.Model))
	})
	return c.found
}

// order returns the sort order of false before true.
func order(yes bool) int {
	if yes {
		return 1
	}
	return 0
}

// A checker collects findings.
type checker struct {
	list   *List
	served Served
	now    time.Time
	found  []Finding
}

func (c *checker) add(model string, kind FindingKind, problem, fix string) {
	c.found = append(c.found, Finding{model, kind, problem, fix})
}

// howToSet returns the fix for a model without a price.
func howToSet(model string) string {
	return fmt.Sprintf("set it with 'tollgate price set %s --prompt … --completion …', with 0 if it is free", model)
}

// checkModelPrices checks the current and later prices of a model, and the changes from each
// to the next.
func (c *checker) checkModelPrices(model string) {
	in, until := c.list.inEffect(model, c.now)
	isServed := c.served.Models == nil || slices.Contains(c.served.Models, model)
	switch {
	case !isServed:
		c.add(model, UnservedModel, "has a price, but the gateway doesn't serve it", "correct its name, or delete its prices with 'tollgate price delete'")
	case in == nil:
		c.add(model, NoPrice, "has no price before "+string(DateOf(until)), howToSet(model))
	}
	var before *row
	for i := range c.list.rows[model] {
		r := &c.list.rows[model][i]
		if r == in || r.start.After(c.now) {
			c.checkRow(r)
		}
		if before != nil && before.fault == nil && r.fault == nil && r.start.After(c.now) {
			c.checkChange(before, r)
		}
		before = r
	}
}

// checkRow checks one price.
func (c *checker) checkRow(r *row) {
	if r.fault != nil {
		c.add(r.Model, UnusablePrice, fmt.Sprintf("its price from %s can't be used: %s", r.From, strings.ReplaceAll(r.fault.Error(), "\n", "; ")), fmt.Sprintf("set it again with 'tollgate price set %s --from %s'", r.Model, r.From))
		return
	}
	if len(r.Partial) > 0 && !r.AcceptPartial {
		c.add(r.Model, PartialPrice, fmt.Sprintf("its price from %s also depends on %s", r.From, strings.Join(r.Partial, ", ")), fmt.Sprintf("calls may cost more than the price says: accept that with 'tollgate price set %s --from %s --accept-partial'", r.Model, r.From))
	}
	for _, endpoint := range slices.Sorted(maps.Keys(r.Multipliers)) {
		if c.served.Endpoints != nil && !slices.Contains(c.served.Endpoints, endpoint) {
			c.add(r.Model, UnknownEndpoint, fmt.Sprintf("its price from %s has a multiplier for the endpoint %s, which doesn't exist", r.From, endpoint), "use the name that the endpoint has in UPSTREAMS")
		}
	}
	if r.start.After(c.now) && r.start.Before(c.now.Add(noticePeriod)) {
		c.add(r.Model, UpcomingChange, fmt.Sprintf("on %s its price changes to prompt %s, completion %s", r.From, r.Prompt, r.Completion), "do nothing if that is intended")
	}
}

// checkChange checks a later price against the one before.
func (c *checker) checkChange(before, after *row) {
	for _, change := range TenfoldChanges(before.Rates, after.Rates) {
		c.add(after.Model, LargeChange, fmt.Sprintf("on %s %s", after.From, change), "check that it is intended")
	}
	for _, endpoint := range slices.Sorted(maps.Keys(before.multipliers)) {
		if _, named := after.multipliers[endpoint]; !named && before.multipliers[endpoint] != limit.Nano {
			c.add(after.Model, LargeChange, fmt.Sprintf("from %s, the endpoint %s no longer has a multiplier", after.From, endpoint), "set it for that price too, or set it to 1")
		}
	}
}

// TenfoldChanges returns which rates differ by more than tenfold, or are free on one side only:
// likely a mistake, such as a price for a thousand tokens. A missing rate counts as the rate
// that is charged instead.
func TenfoldChanges(before, after Rates) (changes []string) {
	a, errA := before.inNano()
	b, errB := after.inNano()
	if errA != nil || errB != nil {
		return nil
	}
	for _, c := range []struct {
		name          string
		before, after int64
	}{{"prompt", a.prompt, b.prompt}, {"cached", a.cached, b.cached}, {"cacheWrite", a.cacheWrite, b.cacheWrite}, {"cacheWriteLong", a.cacheWriteLong, b.cacheWriteLong}, {"completion", a.completion, b.completion}} {
		low, high := uint64(min(c.before, c.after)), uint64(max(c.before, c.after))
		if low*10 < high {
			changes = append(changes, fmt.Sprintf("%s changes from %s to %s", c.name, Format(c.before), Format(c.after)))
		}
	}
	return changes
}

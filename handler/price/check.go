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

// A Served says what a gateway serves, for Check.
type Served struct {
	Models    []string // that calls may name; nil: unknown
	Endpoints []string // by name; nil: unknown
}

// A FindingKind is what a Finding is about.
type FindingKind string

// The kinds of findings. The first four are Wrong.
const (
	NoCurrency FindingKind = "currency"   // prices have no currency
	NoPrice    FindingKind = "unpriced"   // a served model has no price
	Unreadable FindingKind = "unreadable" // a price can't be used
	Partial    FindingKind = "partial"    // a price leaves something out, and nobody has accepted that
	Changes    FindingKind = "changes"    // a price begins, or ends with the next, soon
	Jump       FindingKind = "jump"       // a price differs from the one before by more than tenfold, or has other multipliers
	Endpoint   FindingKind = "endpoint"   // a multiplier is for an endpoint that there isn't
	Unserved   FindingKind = "unserved"   // a price is of a model that isn't served
)

// Wrong reports whether calls are affected now: under a limit in cost they are refused.
func (k FindingKind) Wrong() bool {
	return k == NoCurrency || k == NoPrice || k == Unreadable || k == Partial
}

// A Finding is something about prices that an operator should know.
type Finding struct {
	Model   string      `json:"model,omitempty"`
	Kind    FindingKind `json:"kind"`
	Problem string      `json:"problem"`
	Fix     string      `json:"fix"`
}

// soon is how far ahead of its beginning a price is reported.
const soon = 14 * 24 * time.Hour

// Check returns what an operator should know about the stored prices, wrong ones first.
func Check(stored Snapshot, served Served, now time.Time) []Finding {
	c := &checking{list: NewList(stored), served: served, now: now, found: []Finding{}}
	if len(stored.Prices) > 0 && stored.Currency.Code == "" {
		c.add("", NoCurrency, "the prices have no currency", "set it with 'tollgate price currency USD', say")
	}
	for _, model := range served.Models {
		if _, known := c.list.rows[model]; !known {
			c.add(model, NoPrice, "has no price", setIt(model))
		}
	}
	for _, model := range c.list.models() {
		c.model(model)
	}
	slices.SortStableFunc(c.found, func(a, b Finding) int {
		return cmp.Or(order(b.Kind.Wrong())-order(a.Kind.Wrong()), cmp.Compare(a.Model, b.Model))
	})
	return c.found
}

func order(yes bool) int {
	if yes {
		return 1
	}
	return 0
}

// A checking collects findings.
type checking struct {
	list   *List
	served Served
	now    time.Time
	found  []Finding
}

func (c *checking) add(model string, kind FindingKind, problem, fix string) {
	c.found = append(c.found, Finding{model, kind, problem, fix})
}

func setIt(model string) string {
	return fmt.Sprintf("set it with 'tollgate price set %s --prompt … --completion …', with 0 if it is free", model)
}

// model checks the prices of a model: those in effect and later, and what is between one
// and the next.
func (c *checking) model(model string) {
	in, until := c.list.at(model, c.now)
	isServed := c.served.Models == nil || slices.Contains(c.served.Models, model)
	switch {
	case !isServed:
		c.add(model, Unserved, "has a price, and the gateway doesn't serve it", "correct its name, or delete its prices with 'tollgate price delete'")
	case in == nil:
		c.add(model, NoPrice, "has no price before "+string(DateOf(until)), setIt(model))
	}
	var before *row
	for i := range c.list.rows[model] {
		r := &c.list.rows[model][i]
		if r == in || r.start.After(c.now) {
			c.row(r)
		}
		if before != nil && before.fault == nil && r.fault == nil && r.start.After(c.now) {
			c.pair(before, r)
		}
		before = r
	}
}

// row checks one price.
func (c *checking) row(r *row) {
	if r.fault != nil {
		c.add(r.Model, Unreadable, fmt.Sprintf("its price from %s can't be used: %s", r.From, strings.ReplaceAll(r.fault.Error(), "\n", "; ")), fmt.Sprintf("set it again with 'tollgate price set %s --from %s'", r.Model, r.From))
		return
	}
	if len(r.Partial) > 0 && !r.AcceptPartial {
		c.add(r.Model, Partial, fmt.Sprintf("its price from %s also depends on %s", r.From, strings.Join(r.Partial, ", ")), fmt.Sprintf("calls may cost more than the price says: accept that with 'tollgate price set %s --from %s --accept-partial'", r.Model, r.From))
	}
	for _, endpoint := range slices.Sorted(maps.Keys(r.Multipliers)) {
		if c.served.Endpoints != nil && !slices.Contains(c.served.Endpoints, endpoint) {
			c.add(r.Model, Endpoint, fmt.Sprintf("its price from %s has a multiplier for the endpoint %s, which there isn't", r.From, endpoint), "use the name that the endpoint has in UPSTREAMS")
		}
	}
	if r.start.After(c.now) && r.start.Before(c.now.Add(soon)) {
		c.add(r.Model, Changes, fmt.Sprintf("on %s its price changes to prompt %s, completion %s", r.From, r.Prompt, r.Completion), "nothing, if that is right")
	}
}

// pair checks a later price against the one before.
func (c *checking) pair(before, after *row) {
	for _, change := range Tenfold(before.Rates, after.Rates) {
		c.add(after.Model, Jump, fmt.Sprintf("on %s %s", after.From, change), "check that it is right")
	}
	for _, endpoint := range slices.Sorted(maps.Keys(before.multipliers)) {
		if _, named := after.multipliers[endpoint]; !named && before.multipliers[endpoint] != limit.Nano {
			c.add(after.Model, Jump, fmt.Sprintf("from %s on, the endpoint %s has no multiplier any more", after.From, endpoint), "set it there too, or 1")
		}
	}
}

// Tenfold returns which rates differ by more than tenfold, or are free on one side only:
// likely a mistake, such as a price for a thousand tokens. A missing rate is what it costs.
func Tenfold(before, after Rates) (changes []string) {
	a, errA := before.rates()
	b, errB := after.rates()
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

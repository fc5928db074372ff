package gateway

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"tollgate/handler/limit"
	"tollgate/handler/price"
)

// Prices finds what calls cost. price.Book is one.
type Prices interface {
	// Quote returns the price of a call of a model that starts at a time and that one of
	// the endpoints will serve; see price.Book.Quote.
	Quote(ctx context.Context, model string, endpoints []string, now time.Time) (price.Quote, error)
	// Currency returns the code of the currency of all prices; empty: none is set.
	Currency(ctx context.Context) (string, error)
}

// A pricing holds the call's price, which is looked up when the call starts and applies
// until it ends.
type pricing struct {
	quote     price.Quote
	known     bool     // quote is the call's price
	endpoints []string // that may serve the call
}

const (
	codeUnpriced   = "model_not_priced"
	codeIncomplete = "price_incomplete"
)

// setPrice looks up the call's price. If a limit in cost applies, it refuses a call whose
// model has no price, or an incomplete one that no operator has accepted, and a call that
// asks for dearer tokens which the price doesn't cover; a limit in shadow lets the call
// pass. A call that costs nothing is charged to no limit in cost.
func (g *Gateway) setPrice(c *call) error {
	err := price.ErrUnpriced
	if g.config.Prices != nil {
		c.price.quote, err = g.config.Prices.Quote(c.r.Context(), c.model, c.price.endpoints, c.started)
	}
	if err != nil && c.r.Context().Err() != nil { // the caller left while the prices were being read
		return clientClosed(err)
	}
	c.price.known = err == nil
	inCost := func(l callLimit) bool { return l.Unit == limit.Cost }
	if !slices.ContainsFunc(c.hold.limits, inCost) {
		return nil
	}
	missing := c.priceProblem(err)
	switch {
	case missing == nil && !c.price.quote.Free():
		return nil
	case missing == nil:
	case slices.ContainsFunc(c.hold.limits, func(l callLimit) bool { return inCost(l) && !l.Shadow }):
		return missing
	default:
		c.hold.shadowCode = missing.code
		c.w.Header().Set(headerShadow, missing.code)
	}
	c.hold.limits = slices.DeleteFunc(c.hold.limits, inCost)
	return nil
}

// currency returns the code of all costs' currency; empty if none is set, or known.
func (g *Gateway) currency(ctx context.Context) string {
	if g.config.Prices == nil {
		return ""
	}
	code, _ := g.config.Prices.Currency(ctx)
	return code
}

// priceProblem returns the refusal of a call whose cost can't be known, nil if it can. err is
// the error of looking up its price.
func (c *call) priceProblem(err error) *problem {
	switch {
	case errors.Is(err, price.ErrUnpriced):
		return &problem{status: http.StatusForbidden, code: codeUnpriced, kind: kindRequest, param: "model",
			message: fmt.Sprintf("The model %s has no price, and this subscription has a limit in money. An operator can set one with: tollgate price set %s --prompt … --completion …", c.model, c.model)}
	case err != nil:
		return unavailable("prices", counterRetry, err)
	case len(c.price.quote.Unaccepted) > 0:
		return &problem{status: http.StatusForbidden, code: codeIncomplete, kind: kindRequest, param: "model",
			message: fmt.Sprintf("The price of the model %s leaves out %s, and this subscription has a limit in money. An operator can accept that with: tollgate price set %s --accept-partial",
				c.model, strings.Join(c.price.quote.Unaccepted, ", "), c.model)}
	}
	return c.dearerProblem()
}

// dearerProblem returns the refusal of a call that asks for tokens which may cost more than
// the model's price says; nil if the price covers them.
func (c *call) dearerProblem() *problem {
	var missing []string
	for _, field := range c.request.Envelope().Dearer {
		if !c.price.quote.Covers(field.Name, field.Priority) {
			missing = append(missing, field.Name)
		}
	}
	if len(missing) == 0 {
		return nil
	}
	partial := slices.Concat(c.price.quote.Accepted, missing) // the command replaces what there is
	return &problem{status: http.StatusForbidden, code: codeIncomplete, kind: kindRequest, param: missing[0],
		message: fmt.Sprintf("The call's %s asks for tokens that may cost more than the price of the model %s, and this subscription has a limit in money. Leave it out. An operator can have such calls counted by that price with: tollgate price set %s --partial %s --accept-partial",
			missing[0], c.model, c.model, strings.Join(partial, ","))}
}

// cost returns what usage costs at the endpoint that served the call; 0 without a price.
func (c *call) cost(usage limit.Usage) int64 {
	if !c.price.known {
		return 0
	}
	return c.price.quote.Cost(usage, c.upstream.endpoint)
}

// maxCost returns the most that this many tokens can cost at any endpoint that may serve
// the call; 0 without a price.
func (c *call) maxCost(prompt, completion int64) int64 {
	if !c.price.known {
		return 0
	}
	return c.price.quote.MaxCost(prompt, completion)
}

package manage

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"time"

	"tollgate/handler/price"
)

// prices returns a registry that records the operator's changes in the audit.
func (c *call) prices() price.Registry {
	return price.Registry{Store: &auditedPrices{c.api.config.Prices, c.recorder()}}
}

// listPrices answers with prices, ordered by model and date.
func (c *call) listPrices() (*result, error) {
	q := c.query()
	model, search, after, limit := q.param("model"), q.param("search"), q.param("after"), q.pageSize()
	if err := q.err(); err != nil {
		return nil, err
	}
	stored, err := c.api.config.Prices.Read(c.Context())
	if err != nil {
		return nil, err
	}
	all := slices.DeleteFunc(stored.Prices, func(p price.Price) bool { return model != "" && p.Model != model || !matches(search, p.Model) })
	return &result{body: paginate(all, priceID, after, limit)}, nil
}

// priceID returns a text that orders prices by model, then by date: the tab between the two is
// less than any character that a model's name may have.
func priceID(p price.Price) string { return p.Model + "\t" + string(p.From) }

func (c *call) readPrice() (*result, error) {
	p, err := c.prices().Find(c.Context(), c.PathValue("model"), price.Date(c.PathValue("from")))
	if err != nil {
		return nil, err
	}
	return &result{body: p, version: p.Version}, nil
}

// putPrice creates or replaces a price.
func (c *call) putPrice() (*result, error) {
	var given price.Price
	if err := c.decodeBody(&given, false); err != nil {
		return nil, err
	}
	condition, err := c.precondition()
	if err != nil {
		return nil, err
	}
	model, from := c.PathValue("model"), price.Date(c.PathValue("from"))
	if err := checkPathPrice(model, from, given); err != nil {
		return nil, err
	}
	created := false
	p, err := c.prices().Set(c.Context(), model, from, func(p *price.Price) error {
		created = p.Version == 0
		p.Terms = given.Terms
		return condition.checkReplace("price of", model+" from "+string(from), p.Version)
	})
	if err != nil {
		return nil, err
	}
	return changeResult(created, p, p.Version, pricePath(model, from)), nil
}

func pricePath(model string, from price.Date) string {
	return Prefix + "/prices/" + url.PathEscape(model) + "/" + url.PathEscape(string(from))
}

// checkPathPrice checks that the model and date in a body, if there are any, are the path's.
func checkPathPrice(model string, from price.Date, given price.Price) error {
	var faults []error
	if given.Model != "" && given.Model != model {
		faults = append(faults, fieldError("model", "is not the path's", "use the model in the path, or leave it out"))
	}
	if given.From != "" && given.From != from {
		faults = append(faults, fieldError("from", "is not the path's", "use the date in the path, or leave it out"))
	}
	return errors.Join(faults...)
}

func (c *call) deletePrice() (*result, error) {
	condition, err := c.precondition()
	if err != nil {
		return nil, err
	}
	model, from := c.PathValue("model"), price.Date(c.PathValue("from"))
	err = c.prices().Remove(c.Context(), model, from, func(p price.Price) error {
		return condition.check("price of", model+" from "+string(from), p.Version)
	})
	if err != nil {
		return nil, err
	}
	return &result{status: http.StatusNoContent}, nil
}

// checkPrices answers with findings about the prices, and with the models that the gateway
// serves if they are known.
func (c *call) checkPrices() (*result, error) {
	if err := c.query().err(); err != nil {
		return nil, err
	}
	stored, err := c.api.config.Prices.Read(c.Context())
	if err != nil {
		return nil, err
	}
	served := c.api.config.Served
	return &result{body: PriceCheck{Served: served.Models, Items: price.Check(stored, served, time.Now())}}, nil
}

// A PriceCheck is the answer to GET /prices/check.
type PriceCheck struct {
	// Served are the models that the gateway serves; absent: unknown here.
	Served []string        `json:"served,omitempty"`
	Items  []price.Finding `json:"items"`
}

// currency returns the code of the currency; empty: none is set.
func (c *call) currency() (string, error) {
	stored, err := c.api.config.Prices.Read(c.Context())
	return stored.Currency.Code, err
}

func (c *call) readCurrency() (*result, error) {
	stored, err := c.api.config.Prices.Read(c.Context())
	if err != nil {
		return nil, err
	}
	return &result{body: stored.Currency, version: stored.Currency.Version}, nil
}

func (c *call) putCurrency() (*result, error) {
	var given price.Currency
	if err := c.decodeBody(&given, false); err != nil {
		return nil, err
	}
	condition, err := c.precondition()
	if err != nil {
		return nil, err
	}
	set, err := c.prices().SetCurrency(c.Context(), given.Code, func(before price.Currency) error {
		return condition.check("currency", before.Code, before.Version)
	})
	if err != nil {
		return nil, err
	}
	return &result{body: set, version: set.Version}, nil
}

// auditedPrices is a store of prices that records every change in the audit.
type auditedPrices struct {
	price.Store
	changeRecorder
}

// price returns the price of a model from a date. The audit names the date, which tells
// the prices of one model apart.
func (s *auditedPrices) price(model string, from price.Date) auditedValue[price.Price] {
	return auditedValue[price.Price]{kind: "price", target: model, version: func(p price.Price) int64 { return p.Version },
		read: func(ctx context.Context, model string) (price.Price, error) { return s.Store.Price(ctx, model, from) },
		describe: func(changes map[string]Change) {
			delete(changes, "model") // is the target
			changes["from"] = Change{To: string(from)}
		}}
}

// Put implements price.Store, as do the methods that follow.
func (s *auditedPrices) Put(ctx context.Context, p price.Price) (int64, error) {
	return s.price(p.Model, p.From).put(ctx, s.changeRecorder, p, s.Store.Put)
}

func (s *auditedPrices) Delete(ctx context.Context, model string, from price.Date, version int64) error {
	return s.price(model, from).delete(ctx, s.changeRecorder, func(ctx context.Context) error { return s.Store.Delete(ctx, model, from, version) })
}

func (s *auditedPrices) PutCurrency(ctx context.Context, c price.Currency) (version int64, err error) {
	stored, err := s.Store.Read(ctx)
	if err != nil {
		return 0, err
	}
	err = s.recordChange(ctx, "currency.change", "currency", differences(stored.Currency, c), func(ctx context.Context) error {
		version, err = s.Store.PutCurrency(ctx, c)
		return err
	})
	return version, err
}

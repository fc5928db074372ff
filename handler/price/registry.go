package price

import (
	"context"
	"errors"
	"fmt"

	"tollgate/handler/field"
)

// A Registry makes operators' changes to prices. It validates each change, and never
// overwrites a concurrent one. Its errors wrap *field.Error, ErrNotFound, ErrExists or
// ErrConflict; any other error means that the store can't be reached.
type Registry struct{ Store }

// maxChangeTries bounds the attempts at a change that conflicts with concurrent ones.
// Conflicts are rare, because there are few operators.
const maxChangeTries = 5

// Find returns the price of a model from a date. The error wraps ErrNotFound if there is
// none.
func (r Registry) Find(ctx context.Context, model string, from Date) (Price, error) {
	if err := checkKey(model, from); err != nil {
		return Price{}, err
	}
	p, err := r.Store.Price(ctx, model, from)
	return p, explain(model, from, err)
}

// checkKey returns an error unless the model and date can identify a price.
func checkKey(model string, from Date) error {
	var f field.Faults
	checkModel(&f, model)
	checkDate(&f, from)
	return f.Err()
}

// Set creates or changes the price of a model from a date. It calls change with the stored
// price, or with an empty one of Version 0. The deployment must have a currency.
func (r Registry) Set(ctx context.Context, model string, from Date, change func(*Price) error) (Price, error) {
	if err := checkKey(model, from); err != nil {
		return Price{}, err
	}
	return retryConflicts(func() (Price, error) {
		p, err := r.Store.Price(ctx, model, from)
		if err != nil && !errors.Is(err, ErrNotFound) {
			return Price{}, err
		}
		p.Model, p.From, p.Unreadable = model, from, ""
		if err := change(&p); err != nil {
			return Price{}, err
		}
		p.Normalize()
		if err := p.Validate(); err != nil {
			return Price{}, err
		}
		if err := r.checkCurrency(ctx); err != nil {
			return Price{}, err
		}
		p.Version, err = r.Put(ctx, p)
		return p, explain(model, from, err)
	})
}

func (r Registry) checkCurrency(ctx context.Context) error {
	all, err := r.Read(ctx)
	if err == nil && all.Currency.Code == "" {
		return &field.Error{Field: "currency", Problem: "is not set, and a price needs one", Fix: "set it, for example with 'tollgate price currency USD'"}
	}
	return err
}

// Remove deletes the price of a model from a date if check returns nil for it. Calls in
// progress keep the price that they started with.
func (r Registry) Remove(ctx context.Context, model string, from Date, check func(Price) error) error {
	_, err := retryConflicts(func() (Price, error) {
		p, err := r.Find(ctx, model, from)
		if err != nil {
			return Price{}, err
		}
		if err := check(p); err != nil {
			return Price{}, err
		}
		return p, explain(model, from, r.Delete(ctx, model, from, p.Version))
	})
	return err
}

// SetCurrency sets the currency if check returns nil for the current one. It refuses to
// change the currency while there are prices, because it would not convert them.
func (r Registry) SetCurrency(ctx context.Context, code string, check func(Currency) error) (Currency, error) {
	c := Currency{Code: code}
	if err := c.Validate(); err != nil {
		return c, err
	}
	return retryConflicts(func() (Currency, error) {
		all, err := r.Read(ctx)
		if err != nil {
			return Currency{}, err
		}
		if err := check(all.Currency); err != nil {
			return Currency{}, err
		}
		if all.Currency.Code == code {
			return all.Currency, nil
		}
		if n := len(all.Prices); n > 0 && all.Currency.Code != "" {
			return Currency{}, &field.Error{Field: "currency", Problem: fmt.Sprintf("is %s and can't be changed, because the %d stored prices would not be converted", all.Currency.Code, n), Fix: "delete the prices first"}
		}
		c.Version, err = r.PutCurrency(ctx, Currency{Code: code, Version: all.Currency.Version})
		return c, err
	})
}

// retryConflicts makes a change, and retries it while it conflicts with concurrent ones.
func retryConflicts[T any](change func() (T, error)) (result T, err error) {
	for range maxChangeTries {
		result, err = change()
		if !errors.Is(err, ErrConflict) && !errors.Is(err, ErrExists) {
			return result, err
		}
	}
	return result, err
}

// explain adds the price's model and date to a store's error.
func explain(model string, from Date, err error) error {
	if errors.Is(err, ErrNotFound) || errors.Is(err, ErrExists) || errors.Is(err, ErrConflict) {
		return fmt.Errorf("the price of model %q from %s %w", model, from, err)
	}
	return err
}

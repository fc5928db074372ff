package memstore

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"tollgate/handler/price"
)

// Load returns a store with the currency and prices of a JSON document. It ignores the
// document's other members. The error lists every fault.
func Load(text []byte) (*Store, error) {
	var d struct {
		Currency string            `json:"currency"`
		Prices   []json.RawMessage `json:"prices"`
	}
	if err := json.Unmarshal(text, &d); err != nil {
		return nil, fmt.Errorf("read prices: %w", err)
	}
	ctx, s := context.Background(), new(Store)
	registry := price.Registry{Store: s}
	var faults []error
	if d.Currency != "" {
		_, err := registry.SetCurrency(ctx, d.Currency, func(price.Currency) error { return nil })
		faults = append(faults, err)
	}
	for i, raw := range d.Prices {
		if err := loadPrice(ctx, registry, raw); err != nil {
			faults = append(faults, fmt.Errorf("prices[%d]: %w", i, err))
		}
	}
	return s, errors.Join(faults...)
}

// loadPrice reads and stores one price.
func loadPrice(ctx context.Context, registry price.Registry, raw []byte) error {
	var given price.Price
	reader := json.NewDecoder(bytes.NewReader(raw))
	reader.DisallowUnknownFields()
	if err := reader.Decode(&given); err != nil {
		return err
	}
	_, err := registry.Set(ctx, given.Model, given.From, func(p *price.Price) error {
		if p.Version != 0 {
			return fmt.Errorf("the price of model %q from %s %w", p.Model, p.From, price.ErrExists)
		}
		p.Terms = given.Terms
		return nil
	})
	return err
}

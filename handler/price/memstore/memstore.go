// Package memstore keeps prices in memory, for tests and for running a gateway without a
// storage account. Start reading at Load, or at Store for a store to fill by its methods.
package memstore

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	"tollgate/handler/price"
)

// A Store is a price.Store in memory. The zero value is empty and ready to use.
type Store struct {
	mu       sync.Mutex
	currency price.Currency
	prices   []price.Price
	failure  error // if set, the error of every operation
}

var _ price.Store = (*Store)(nil)

// Fail makes every operation return err until it is called with nil.
func (s *Store) Fail(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.failure = err
}

// Read implements price.Store.
func (s *Store) Read(context.Context) (price.Snapshot, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.failure != nil {
		return price.Snapshot{}, s.failure
	}
	all := price.Snapshot{Currency: s.currency}
	for _, p := range s.prices {
		all.Prices = append(all.Prices, clone(p))
	}
	return all, nil
}

// Price implements price.Store.
func (s *Store) Price(_ context.Context, model string, from price.Date) (price.Price, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	i := s.find(model, from)
	switch {
	case s.failure != nil:
		return price.Price{}, s.failure
	case i < 0:
		return price.Price{}, price.ErrNotFound
	}
	return clone(s.prices[i]), nil
}

// clone returns a price that shares nothing with the given one.
func clone(p price.Price) price.Price {
	p.Multipliers, p.Partial = maps.Clone(p.Multipliers), slices.Clone(p.Partial)
	return p
}

// find returns the index of the price of a model from a date, or -1.
func (s *Store) find(model string, from price.Date) int {
	return slices.IndexFunc(s.prices, func(p price.Price) bool { return p.Model == model && p.From == from })
}

// Put implements price.Store.
func (s *Store) Put(_ context.Context, p price.Price) (int64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	i := s.find(p.Model, p.From)
	before := int64(0)
	if i >= 0 {
		before = s.prices[i].Version
	}
	version, err := s.next(p.Version, before)
	if err != nil {
		return 0, err
	}
	p = clone(p)
	p.Version = version
	if i >= 0 {
		s.prices[i] = p
		return version, nil
	}
	s.prices = append(s.prices, p)
	slices.SortFunc(s.prices, func(a, b price.Price) int { return cmp.Or(cmp.Compare(a.Model, b.Model), cmp.Compare(a.From, b.From)) })
	return version, nil
}

// next returns the version after the stored one, which is 0 if nothing is stored, or an
// error if the stored version is not the expected one.
func (s *Store) next(expected, stored int64) (int64, error) {
	switch {
	case s.failure != nil:
		return 0, s.failure
	case expected == 0 && stored != 0:
		return 0, price.ErrExists
	case expected != 0 && stored == 0:
		return 0, price.ErrNotFound
	case expected != stored:
		return 0, price.ErrConflict
	}
	return price.NextVersion(stored, time.Now()), nil
}

// Delete implements price.Store.
func (s *Store) Delete(_ context.Context, model string, from price.Date, version int64) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	i := s.find(model, from)
	switch {
	case s.failure != nil:
		return s.failure
	case i < 0:
		return price.ErrNotFound
	case s.prices[i].Version != version:
		return price.ErrConflict
	}
	s.prices = slices.Delete(s.prices, i, i+1)
	return nil
}

// PutCurrency implements price.Store.
func (s *Store) PutCurrency(_ context.Context, c price.Currency) (int64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	version, err := s.next(c.Version, s.currency.Version)
	if err != nil {
		return 0, err
	}
	s.currency = price.Currency{Code: c.Code, Version: version}
	return version, nil
}

// Package tablestore keeps prices in Azure Table Storage, one row for each price and one for
// the currency. A row is replaced only if its ETag shows that nobody has changed it. Start
// reading at Store; columns.go has the layout of the rows.
package tablestore

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/data/aztables"

	"tollgate/handler/azure"
	"tollgate/handler/price"
)

// DefaultTable is the name of the table in a deployment.
const DefaultTable = "prices"

// A Store is a price.Store in a table. Make one with New.
type Store struct{ rows azure.RowStore }

var _ price.Store = (*Store)(nil)

// New returns a store in a storage account. It makes no request. If the table doesn't exist,
// it reads as empty, and the first write creates it.
func New(service *aztables.ServiceClient, table string) *Store {
	return &Store{azure.RowStore{Client: service.NewClient(table), Pauses: retryPauses,
		NotFound: price.ErrNotFound, Exists: price.ErrExists, Conflict: price.ErrConflict}}
}

// Read implements price.Store. It reads the whole table, which has at most a few hundred
// rows and so is usually one page.
func (s *Store) Read(ctx context.Context) (all price.Snapshot, err error) {
	for row, err := range azure.List(ctx, s.rows.Client, &aztables.ListEntitiesOptions{}, s.rows.Pauses) {
		if err != nil {
			return price.Snapshot{}, azure.Explain("read prices", err)
		}
		addRow(&all, row)
	}
	slices.SortFunc(all.Prices, func(a, b price.Price) int { return cmp.Or(cmp.Compare(a.Model, b.Model), cmp.Compare(a.From, b.From)) })
	return all, nil
}

// Price implements price.Store.
func (s *Store) Price(ctx context.Context, model string, from price.Date) (price.Price, error) {
	found, err := s.rows.Get(ctx, pricePartition, rowKey(model, from))
	if err != nil {
		return price.Price{}, err
	}
	return decodePrice(found.Value), nil
}

// Put implements price.Store.
func (s *Store) Put(ctx context.Context, p price.Price) (int64, error) {
	expected := p.Version
	p.Version = price.NextVersion(expected, time.Now())
	row, err := encodePrice(p)
	if err != nil {
		return 0, err
	}
	return p.Version, s.putRow(ctx, row, expected)
}

// PutCurrency implements price.Store.
func (s *Store) PutCurrency(ctx context.Context, c price.Currency) (int64, error) {
	expected := c.Version
	c.Version = price.NextVersion(expected, time.Now())
	row, err := json.Marshal(currencyColumns{currencyPartition, currencyPartition, c.Code, c.Version, int64Type})
	if err != nil {
		return 0, fmt.Errorf("encode the currency: %w", err)
	}
	return c.Version, s.putRow(ctx, row, expected)
}

// putRow inserts a row if expected is 0, or replaces the row if it has that version.
func (s *Store) putRow(ctx context.Context, row []byte, expected int64) error {
	if expected == 0 {
		return s.rows.Insert(ctx, row)
	}
	key := keyOf(row)
	etag, err := s.at(ctx, key.PartitionKey, key.RowKey, expected)
	if err != nil {
		return err
	}
	return s.rows.Replace(ctx, row, etag)
}

// Delete implements price.Store.
func (s *Store) Delete(ctx context.Context, model string, from price.Date, version int64) error {
	etag, err := s.at(ctx, pricePartition, rowKey(model, from), version)
	if err != nil {
		return err
	}
	return s.rows.Delete(ctx, pricePartition, rowKey(model, from), &etag)
}

// at returns the ETag of a row if it has that version, or else price.ErrConflict.
func (s *Store) at(ctx context.Context, partition, row string, version int64) (azcore.ETag, error) {
	found, err := s.rows.Get(ctx, partition, row)
	if err != nil {
		return "", err
	}
	if versionOf(found.Value) != version {
		return "", price.ErrConflict
	}
	return found.ETag, nil
}

// retryPauses are the pauses before a failed operation is retried. They are short because a
// call may be waiting for its first price.
var retryPauses = []time.Duration{50 * time.Millisecond, 200 * time.Millisecond}

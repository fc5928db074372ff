// Package tablestore keeps prices in Azure Table Storage, one row for each price and one for
// the currency. A row is replaced only if its ETag shows that nobody has changed it. Start
// reading at Store; columns.go has the layout of the rows.
package tablestore

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"reflect"
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
type Store struct{ client *aztables.Client }

var _ price.Store = (*Store)(nil)

// New returns a store in a storage account. It makes no request. If the table doesn't exist,
// it reads as empty, and the first write creates it.
func New(service *aztables.ServiceClient, table string) *Store {
	return &Store{service.NewClient(table)}
}

// Read implements price.Store. It reads the whole table, which has at most a few hundred
// rows and so is usually one page.
func (s *Store) Read(ctx context.Context) (all price.Snapshot, err error) {
	options := &aztables.ListEntitiesOptions{}
	for {
		page, err := azure.ReadPage(ctx, s.client, options, retryPauses)
		if azure.HasCode(err, aztables.TableNotFound) {
			return all, nil
		}
		if err != nil {
			return price.Snapshot{}, azure.Explain("read prices", err)
		}
		for _, row := range page.Entities {
			addRow(&all, row)
		}
		options.NextPartitionKey, options.NextRowKey = page.NextPartitionKey, page.NextRowKey
		if options.NextPartitionKey == nil || *options.NextPartitionKey == "" {
			break
		}
	}
	slices.SortFunc(all.Prices, func(a, b price.Price) int { return cmp.Or(cmp.Compare(a.Model, b.Model), cmp.Compare(a.From, b.From)) })
	return all, nil
}

// Price implements price.Store.
func (s *Store) Price(ctx context.Context, model string, from price.Date) (price.Price, error) {
	found, err := s.get(ctx, pricePartition, rowKey(model, from))
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
	return p.Version, s.put(ctx, row, expected)
}

// PutCurrency implements price.Store.
func (s *Store) PutCurrency(ctx context.Context, c price.Currency) (int64, error) {
	expected := c.Version
	c.Version = price.NextVersion(expected, time.Now())
	row, err := json.Marshal(currencyColumns{currencyPartition, currencyPartition, c.Code, c.Version, int64Type})
	if err != nil {
		return 0, fmt.Errorf("encode the currency: %w", err)
	}
	return c.Version, s.put(ctx, row, expected)
}

// put inserts a row if expected is 0, or replaces the row if it has that version.
func (s *Store) put(ctx context.Context, row []byte, expected int64) error {
	key := keyOf(row)
	if expected == 0 {
		return s.write(ctx, row, func() error {
			_, err := azure.Insert(ctx, s.client, row)
			return err
		})
	}
	etag, err := s.at(ctx, key, expected)
	if err != nil {
		return err
	}
	options := &aztables.UpdateEntityOptions{IfMatch: &etag, UpdateMode: aztables.UpdateModeReplace}
	return s.write(ctx, row, func() error {
		_, err := s.client.UpdateEntity(ctx, row, options)
		return err
	})
}

// Delete implements price.Store.
func (s *Store) Delete(ctx context.Context, model string, from price.Date, version int64) error {
	key := aztables.Entity{PartitionKey: pricePartition, RowKey: rowKey(model, from)}
	etag, err := s.at(ctx, key, version)
	if err != nil {
		return err
	}
	lost, err := azure.Retry(ctx, retryPauses, func() error {
		_, err := s.client.DeleteEntity(ctx, key.PartitionKey, key.RowKey, &aztables.DeleteEntityOptions{IfMatch: &etag})
		return err
	})
	err = translate("delete a price", err)
	if lost && errors.Is(err, price.ErrNotFound) { // the attempt whose answer was lost deleted it
		return nil
	}
	return err
}

// at returns the ETag of a row if it has that version, or else price.ErrConflict.
func (s *Store) at(ctx context.Context, key aztables.Entity, version int64) (azcore.ETag, error) {
	found, err := s.get(ctx, key.PartitionKey, key.RowKey)
	if err != nil {
		return "", err
	}
	if versionOf(found.Value) != version {
		return "", price.ErrConflict
	}
	return found.ETag, nil
}

func (s *Store) get(ctx context.Context, partition, row string) (found aztables.GetEntityResponse, err error) {
	_, err = azure.Retry(ctx, retryPauses, func() (err error) {
		found, err = s.client.GetEntity(ctx, partition, row, nil)
		return err
	})
	return found, translate("read a price", err)
}

// write sends a change. If the answer is lost, the retry may conflict with the first
// attempt, so write reads the row to see whether that attempt was applied.
func (s *Store) write(ctx context.Context, row []byte, send func() error) error {
	lost, err := azure.Retry(ctx, retryPauses, send)
	err = translate("write a price", err)
	if !lost || !errors.Is(err, price.ErrExists) && !errors.Is(err, price.ErrConflict) {
		return err
	}
	key := keyOf(row)
	there, readErr := s.get(ctx, key.PartitionKey, key.RowKey)
	if readErr != nil {
		return readErr
	}
	if same(row, there.Value) {
		return nil
	}
	return err
}

// same reports whether a stored row has the columns that were sent.
func same(sent, stored []byte) bool {
	var a, b aztables.EDMEntity
	return json.Unmarshal(sent, &a) == nil && json.Unmarshal(stored, &b) == nil && reflect.DeepEqual(a.Properties, b.Properties)
}

// translate converts errors of the table service to those of a price.Store.
func translate(doing string, err error) error {
	failed, ok := errors.AsType[*azcore.ResponseError](err)
	switch {
	case azure.HasCode(err, aztables.ResourceNotFound, aztables.TableNotFound, aztables.EntityNotFound):
		return price.ErrNotFound
	case azure.HasCode(err, aztables.EntityAlreadyExists):
		return price.ErrExists
	case ok && failed.StatusCode == http.StatusPreconditionFailed:
		return price.ErrConflict
	}
	return azure.Explain(doing, err)
}

// retryPauses are the pauses before a failed operation is retried. They are short because a
// call may be waiting for its first price.
var retryPauses = []time.Duration{50 * time.Millisecond, 200 * time.Millisecond}

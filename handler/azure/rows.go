package azure

import (
	"context"
	"encoding/json"
	"errors"
	"iter"
	"net/http"
	"reflect"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/data/aztables"
)

// A RowStore reads and changes single rows of a table. It replaces and deletes a row only if
// nobody has changed it meanwhile, and retries requests that fail. If the answer to a change is
// lost, it finds out whether the change was made.
type RowStore struct {
	Client *aztables.Client
	// Pauses are the pauses before a failed request is retried.
	Pauses []time.Duration
	// NotFound, Exists and Conflict are the errors for a row that doesn't exist, for one to
	// insert that does, and for one that was changed meanwhile. Any other error says that the
	// table can't be reached.
	NotFound, Exists, Conflict error
}

// Get reads a row.
func (s RowStore) Get(ctx context.Context, partition, row string) (found aztables.GetEntityResponse, err error) {
	_, err = Retry(ctx, s.Pauses, func() (err error) {
		found, err = s.Client.GetEntity(ctx, partition, row, nil)
		return err
	})
	return found, s.translate("read a row", err)
}

// Insert adds a row. If the table doesn't exist, Insert creates it first.
func (s RowStore) Insert(ctx context.Context, entity []byte) error {
	return s.write(ctx, entity, func() error {
		_, err := Insert(ctx, s.Client, entity)
		return err
	})
}

// Replace replaces a row if it still has the ETag.
func (s RowStore) Replace(ctx context.Context, entity []byte, etag azcore.ETag) error {
	options := &aztables.UpdateEntityOptions{IfMatch: &etag, UpdateMode: aztables.UpdateModeReplace}
	return s.write(ctx, entity, func() error {
		_, err := s.Client.UpdateEntity(ctx, entity, options)
		return err
	})
}

// Delete deletes a row if it still has the ETag, or in any case if etag is nil.
func (s RowStore) Delete(ctx context.Context, partition, row string, etag *azcore.ETag) error {
	lost, err := Retry(ctx, s.Pauses, func() error {
		_, err := s.Client.DeleteEntity(ctx, partition, row, &aztables.DeleteEntityOptions{IfMatch: etag})
		return err
	})
	err = s.translate("delete a row", err)
	if lost && errors.Is(err, s.NotFound) { // the attempt whose answer was lost deleted it
		return nil
	}
	return err
}

// write sends a change. If an answer is lost, the retry may conflict with the first attempt, so
// write reads the row to see whether that attempt was applied.
func (s RowStore) write(ctx context.Context, entity []byte, send func() error) error {
	lost, err := Retry(ctx, s.Pauses, send)
	err = s.translate("write a row", err)
	if !lost || !errors.Is(err, s.Exists) && !errors.Is(err, s.Conflict) {
		return err
	}
	if applied, readErr := s.contains(ctx, entity); applied || readErr != nil {
		return readErr
	}
	return err
}

// contains reports whether the stored row has the columns of an entity.
func (s RowStore) contains(ctx context.Context, entity []byte) (bool, error) {
	var sent, stored aztables.EDMEntity
	if err := json.Unmarshal(entity, &sent); err != nil {
		return false, err
	}
	found, err := s.Get(ctx, sent.PartitionKey, sent.RowKey)
	if err != nil {
		return false, err
	}
	if err := json.Unmarshal(found.Value, &stored); err != nil {
		return false, err
	}
	return reflect.DeepEqual(sent.Properties, stored.Properties), nil
}

// translate converts errors of the table service to those of the store.
func (s RowStore) translate(doing string, err error) error {
	failed, ok := errors.AsType[*azcore.ResponseError](err)
	switch {
	case HasCode(err, aztables.ResourceNotFound, aztables.TableNotFound, aztables.EntityNotFound):
		return s.NotFound
	case HasCode(err, aztables.EntityAlreadyExists):
		return s.Exists
	case ok && failed.StatusCode == http.StatusPreconditionFailed:
		return s.Conflict
	}
	return Explain(doing, err)
}

// List yields the rows of a table that match options, page by page. A table that doesn't exist
// has none. It retries failed pages. If one still fails, the SDK's error is the last that it
// yields.
func List(ctx context.Context, client *aztables.Client, options *aztables.ListEntitiesOptions, pauses []time.Duration) iter.Seq2[[]byte, error] {
	return func(yield func([]byte, error) bool) {
		next := *options
		for {
			page, err := readPage(ctx, client, &next, pauses)
			if HasCode(err, aztables.TableNotFound) {
				return
			}
			if err != nil {
				yield(nil, err)
				return
			}
			for _, row := range page.Entities {
				if !yield(row, nil) {
					return
				}
			}
			next.NextPartitionKey, next.NextRowKey = page.NextPartitionKey, page.NextRowKey
			if next.NextPartitionKey == nil || *next.NextPartitionKey == "" { // an empty page may be followed by others
				return
			}
		}
	}
}

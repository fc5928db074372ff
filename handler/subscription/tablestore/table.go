package tablestore

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/data/aztables"

	"tollgate/handler/azure"
	"tollgate/handler/subscription"
)

// A table is one table of the storage account.
type table struct{ azure.RowStore }

func newTable(service *aztables.ServiceClient, name string) table {
	return table{azure.RowStore{Client: service.NewClient(name), Pauses: retryPauses,
		NotFound: subscription.ErrNotFound, Exists: subscription.ErrExists, Conflict: subscription.ErrConflict}}
}

// hedgeAfter is how long to wait for a read before sending a second one, so that one
// lost answer doesn't use up the time of a caller's look-up. A read takes about 10 ms.
const hedgeAfter = 400 * time.Millisecond

// get reads a row into value and returns its ETag.
func (t table) get(ctx context.Context, partition, row string, value any) (azcore.ETag, error) {
	found, err := azure.Hedge(ctx, hedgeAfter, func(ctx context.Context) (aztables.GetEntityResponse, error) {
		return t.Get(ctx, partition, row)
	})
	if err != nil {
		return "", err
	}
	return found.ETag, decode(found.Value, value)
}

// at returns the ETag of a row if it has that version, or else subscription.ErrConflict.
func (t table) at(ctx context.Context, partition, row string, version int64) (azcore.ETag, error) {
	var stored struct {
		Version int64 `json:"version"`
	}
	etag, err := t.get(ctx, partition, row, &stored)
	if err == nil && stored.Version != version {
		err = subscription.ErrConflict
	}
	return etag, err
}

// put inserts a row if expected is 0, or replaces the row if it has that version.
func (t table) put(ctx context.Context, partition, row string, expected int64, value any) error {
	entity, err := encode(partition, row, value)
	if err != nil {
		return err
	}
	if expected == 0 {
		return t.Insert(ctx, entity)
	}
	etag, err := t.at(ctx, partition, row, expected)
	if err != nil {
		return err
	}
	return t.Replace(ctx, entity, etag)
}

// deleteVersion deletes a row if it has that version.
func (t table) deleteVersion(ctx context.Context, partition, row string, version int64) error {
	etag, err := t.at(ctx, partition, row, version)
	if err != nil {
		return err
	}
	return t.Delete(ctx, partition, row, &etag)
}

// maxEdits bounds the attempts at an edit that conflicts with others.
const maxEdits = 5

// edit replaces a row by the result of change, and tries again if the row was changed
// concurrently.
func (t table) edit(ctx context.Context, partition, row string, change func(row []byte) (any, error)) (err error) {
	for range maxEdits {
		found, failed := t.Get(ctx, partition, row)
		if failed != nil {
			return failed
		}
		value, failed := change(found.Value)
		if failed != nil {
			return failed
		}
		entity, failed := encode(partition, row, value)
		if failed != nil {
			return failed
		}
		if err = t.Replace(ctx, entity, found.ETag); !errors.Is(err, subscription.ErrConflict) {
			return err
		}
	}
	return err
}

// A query selects the rows and columns to list; empty: all.
type query struct{ filter, columns string }

// list calls each with the partition and the JSON of every row that matches the query.
func (t table) list(ctx context.Context, q query, each func(partition string, row []byte) error) error {
	options := &aztables.ListEntitiesOptions{}
	if q.filter != "" {
		options.Filter = &q.filter
	}
	if q.columns != "" {
		options.Select = &q.columns
	}
	for row, err := range azure.List(ctx, t.Client, options, t.Pauses) {
		if err != nil {
			return azure.Explain("list rows", err)
		}
		var key struct{ PartitionKey string }
		if err := errors.Join(json.Unmarshal(row, &key), each(key.PartitionKey, row)); err != nil {
			return err
		}
	}
	return nil
}

// retryPauses are the pauses before a failed request is retried. They are short because a
// caller may be waiting for its key to be looked up.
var retryPauses = []time.Duration{50 * time.Millisecond, 200 * time.Millisecond}

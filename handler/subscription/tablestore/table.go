package tablestore

import (
	"context"
	"encoding/json"
	"errors"
	"reflect"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/data/aztables"

	"tollgate/handler/azure"
	"tollgate/handler/subscription"
)

// A table is one table of the storage account.
type table struct{ client *aztables.Client }

// hedgeAfter is how long to wait for a read before sending a second one, so that one
// lost answer doesn't use up the time of a caller's look-up. A read takes about 10 ms.
const hedgeAfter = 400 * time.Millisecond

// get reads a row into value and returns its ETag.
func (t table) get(ctx context.Context, partition, row string, value any) (azcore.ETag, error) {
	found, err := azure.Hedge(ctx, hedgeAfter, func(ctx context.Context) (found aztables.GetEntityResponse, err error) {
		_, err = retry(ctx, func() (err error) {
			found, err = t.client.GetEntity(ctx, partition, row, nil)
			return err
		})
		return found, err
	})
	if err != nil {
		return "", translate("read a row", err)
	}
	return found.ETag, decode(found.Value, value)
}

// put inserts a row if expected is 0, or replaces the row if it has that version.
func (t table) put(ctx context.Context, partition, row string, expected int64, value any) error {
	entity, err := encode(partition, row, value)
	if err != nil {
		return err
	}
	if expected == 0 {
		return t.write(ctx, entity, func() error {
			_, err := azure.Insert(ctx, t.client, entity)
			return err
		})
	}
	var before struct {
		Version int64 `json:"version"`
	}
	etag, err := t.get(ctx, partition, row, &before)
	if err != nil {
		return err
	}
	if before.Version != expected {
		return subscription.ErrConflict
	}
	return t.replace(ctx, entity, etag)
}

// edit replaces a row by the result of change, and tries again if the row was changed
// concurrently.
func (t table) edit(ctx context.Context, partition, row string, change func(row []byte) (any, error)) error {
	var err error
	for range maxEdits {
		var found aztables.GetEntityResponse
		if _, err = retry(ctx, func() (err error) {
			found, err = t.client.GetEntity(ctx, partition, row, nil)
			return err
		}); err != nil {
			return translate("read a row", err)
		}
		value, bad := change(found.Value)
		if bad != nil {
			return bad
		}
		entity, bad := encode(partition, row, value)
		if bad != nil {
			return bad
		}
		if err = t.replace(ctx, entity, found.ETag); !errors.Is(err, subscription.ErrConflict) {
			return err
		}
	}
	return err
}

// maxEdits is how many times an edit is tried when it conflicts with others.
const maxEdits = 5

// replace overwrites a row if it still has the ETag.
func (t table) replace(ctx context.Context, entity []byte, etag azcore.ETag) error {
	options := &aztables.UpdateEntityOptions{IfMatch: &etag, UpdateMode: aztables.UpdateModeReplace}
	return t.write(ctx, entity, func() error {
		_, err := t.client.UpdateEntity(ctx, entity, options)
		return err
	})
}

// write sends a change. If an answer was lost, the repeated change may conflict with
// its own first attempt; write then reads the row to see whether that was applied.
func (t table) write(ctx context.Context, entity []byte, send func() error) error {
	lost, err := retry(ctx, send)
	err = translate("write a row", err)
	if lost && (errors.Is(err, subscription.ErrExists) || errors.Is(err, subscription.ErrConflict)) {
		if same, readErr := t.contains(ctx, entity); same || readErr != nil {
			return readErr
		}
	}
	return err
}

// contains reports whether the stored row equals the entity.
func (t table) contains(ctx context.Context, entity []byte) (bool, error) {
	var sent, found aztables.EDMEntity
	if err := json.Unmarshal(entity, &sent); err != nil {
		return false, err
	}
	var answer aztables.GetEntityResponse
	if _, err := retry(ctx, func() (err error) {
		answer, err = t.client.GetEntity(ctx, sent.PartitionKey, sent.RowKey, nil)
		return err
	}); err != nil {
		return false, translate("read a row", err)
	}
	if err := json.Unmarshal(answer.Value, &found); err != nil {
		return false, err
	}
	return reflect.DeepEqual(sent.Properties, found.Properties), nil
}

// delete deletes a row. If an answer was lost, ErrNotFound means that the first attempt
// deleted it.
func (t table) delete(ctx context.Context, partition, row string) error {
	lost, err := retry(ctx, func() error {
		_, err := t.client.DeleteEntity(ctx, partition, row, nil)
		return err
	})
	err = translate("delete a row", err)
	if lost && errors.Is(err, subscription.ErrNotFound) {
		return nil
	}
	return err
}

// deleteVersion deletes a row if it has that version. If an answer was lost, ErrNotFound
// means that the first attempt deleted it.
func (t table) deleteVersion(ctx context.Context, partition, row string, version int64) error {
	var before struct {
		Version int64 `json:"version"`
	}
	etag, err := t.get(ctx, partition, row, &before)
	if err != nil {
		return err
	}
	if before.Version != version {
		return subscription.ErrConflict
	}
	lost, err := retry(ctx, func() error {
		_, err := t.client.DeleteEntity(ctx, partition, row, &aztables.DeleteEntityOptions{IfMatch: &etag})
		return err
	})
	err = translate("delete a row", err)
	if lost && errors.Is(err, subscription.ErrNotFound) {
		return nil
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
	for {
		page, err := azure.ReadPage(ctx, t.client, options, retryPauses)
		if azure.HasCode(err, aztables.TableNotFound) {
			return nil
		}
		if err != nil {
			return translate("list rows", err)
		}
		for _, row := range page.Entities {
			var key struct{ PartitionKey string }
			if err := errors.Join(json.Unmarshal(row, &key), each(key.PartitionKey, row)); err != nil {
				return err
			}
		}
		options.NextPartitionKey, options.NextRowKey = page.NextPartitionKey, page.NextRowKey
		if options.NextPartitionKey == nil || *options.NextPartitionKey == "" {
			return nil
		}
	}
}

// retryPauses are the pauses before a failed operation is retried. They are short
// because a caller may be waiting for its key to be looked up.
var retryPauses = []time.Duration{50 * time.Millisecond, 200 * time.Millisecond}

// retry is azure.Retry with these pauses.
func retry(ctx context.Context, operation func() error) (lost bool, err error) {
	return azure.Retry(ctx, retryPauses, operation)
}

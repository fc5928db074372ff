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

// table is one table's client.
type table struct{ client *aztables.Client }

// silence is how long a read goes without an answer before another is sent
// beside it: one that is lost on the way must not take a caller's whole look-up.
// A read takes some 10 ms.
const silence = 400 * time.Millisecond

// get reads a row into value and returns its ETag.
func (t table) get(ctx context.Context, partition, row string, value any) (azcore.ETag, error) {
	found, err := azure.Hedge(ctx, silence, func(ctx context.Context) (found aztables.GetEntityResponse, err error) {
		_, err = persist(ctx, func() (err error) {
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

// put inserts a row where expected is 0, else replaces the one of that version.
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

// change replaces a row by what edit makes of it, again where another change
// came in between.
func (t table) change(ctx context.Context, partition, row string, edit func(row []byte) (any, error)) error {
	var err error
	for range changes {
		var found aztables.GetEntityResponse
		if _, err = persist(ctx, func() (err error) {
			found, err = t.client.GetEntity(ctx, partition, row, nil)
			return err
		}); err != nil {
			return translate("read a row", err)
		}
		value, bad := edit(found.Value)
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

// changes is how often a row is edited again because another change came in
// between.
const changes = 5

// replace writes over a row that still has the ETag.
func (t table) replace(ctx context.Context, entity []byte, etag azcore.ETag) error {
	options := &aztables.UpdateEntityOptions{IfMatch: &etag, UpdateMode: aztables.UpdateModeReplace}
	return t.write(ctx, entity, func() error {
		_, err := t.client.UpdateEntity(ctx, entity, options)
		return err
	})
}

// write sends a change. Where an answer was lost, the same change sent again
// fails because of its own first sending; then what the row holds decides.
func (t table) write(ctx context.Context, entity []byte, send func() error) error {
	lost, err := persist(ctx, send)
	err = translate("write a row", err)
	if lost && (errors.Is(err, subscription.ErrExists) || errors.Is(err, subscription.ErrConflict)) {
		if same, readErr := t.holds(ctx, entity); same || readErr != nil {
			return readErr
		}
	}
	return err
}

// holds says whether a row is as an entity would have it.
func (t table) holds(ctx context.Context, entity []byte) (bool, error) {
	var sent, found aztables.EDMEntity
	if err := json.Unmarshal(entity, &sent); err != nil {
		return false, err
	}
	var answer aztables.GetEntityResponse
	if _, err := persist(ctx, func() (err error) {
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

// delete takes a row away. Where an answer was lost, the row may be gone by the
// first sending.
func (t table) delete(ctx context.Context, partition, row string) error {
	lost, err := persist(ctx, func() error {
		_, err := t.client.DeleteEntity(ctx, partition, row, nil)
		return err
	})
	err = translate("delete a row", err)
	if lost && errors.Is(err, subscription.ErrNotFound) {
		return nil
	}
	return err
}

// query is which rows and columns to list; empty: all.
type query struct{ filter, only string }

// list calls each with the partition and the JSON of every row that a query admits.
func (t table) list(ctx context.Context, q query, each func(partition string, row []byte) error) error {
	options := &aztables.ListEntitiesOptions{}
	if q.filter != "" {
		options.Filter = &q.filter
	}
	if q.only != "" {
		options.Select = &q.only
	}
	for {
		page, err := azure.Page(ctx, t.client, options, pauses)
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

// pauses are before an operation that the service could not take is tried again:
// short, because a caller may be waiting for its key to be looked up.
var pauses = []time.Duration{50 * time.Millisecond, 200 * time.Millisecond}

// persist is azure.Retry with these pauses.
func persist(ctx context.Context, operation func() error) (lost bool, err error) {
	return azure.Retry(ctx, pauses, operation)
}

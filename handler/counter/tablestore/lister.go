package tablestore

import (
	"context"
	"encoding/json"
	"errors"
	"iter"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/data/aztables"

	"tollgate/handler/azure"
	"tollgate/handler/counter"
)

var _ counter.Lister = (*Store)(nil)

// List implements counter.Lister.
func (s *Store) List(ctx context.Context) iter.Seq2[counter.Entry, error] {
	return func(yield func(counter.Entry, error) bool) {
		filter := "RowKey eq '" + rowKey + "'"
		for entity, err := range azure.List(ctx, s.client, &aztables.ListEntitiesOptions{Filter: &filter}, pagePauses) {
			if err != nil {
				yield(counter.Entry{}, translate("list counters", err))
				return
			}
			if !yield(entryOf(entity)) {
				return
			}
		}
	}
}

// pagePauses are the pauses before a page that the service could not deliver is requested
// again: a long list should not fail because of one busy moment.
var pagePauses = []time.Duration{200 * time.Millisecond, 400 * time.Millisecond, 800 * time.Millisecond}

// entryOf decodes a listed entity, which includes its key and ETag.
func entryOf(entity []byte) (counter.Entry, error) {
	var keys struct {
		PartitionKey string
		ETag         string `json:"odata.etag"`
	}
	malformed := json.Unmarshal(entity, &keys)
	row, err := decode(entity)
	return counter.Entry{Key: keyOf(keys.PartitionKey), Row: row, Version: counter.Version(keys.ETag)}, errors.Join(malformed, err)
}

// Delete implements counter.Lister.
func (s *Store) Delete(ctx context.Context, key string, version counter.Version) error {
	etag := azcore.ETag(version)
	_, err := s.client.DeleteEntity(ctx, partition(key), rowKey, &aztables.DeleteEntityOptions{IfMatch: &etag})
	return translate("delete a counter", err)
}

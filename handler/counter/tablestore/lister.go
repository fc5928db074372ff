package tablestore

import (
	"context"
	"encoding/json"
	"errors"
	"iter"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/data/aztables"

	"tollgate/handler/counter"
)

var _ counter.Lister = (*Store)(nil)

// List implements counter.Lister.
func (s *Store) List(ctx context.Context) iter.Seq2[counter.Entry, error] {
	return func(yield func(counter.Entry, error) bool) {
		for raw, err := range list(ctx, s.client, "RowKey eq '"+rowKey+"'", "") {
			if err != nil {
				yield(counter.Entry{}, err)
				return
			}
			if !yield(entryOf(raw)) {
				return
			}
		}
	}
}

// entryOf decodes a listed row, which contains its key and ETag.
func entryOf(raw []byte) (counter.Entry, error) {
	var row struct {
		PartitionKey string
		ETag         string `json:"odata.etag"`
	}
	wrong := json.Unmarshal(raw, &row)
	stored, err := decode(raw)
	return counter.Entry{Key: keyOf(row.PartitionKey), Row: stored, Version: counter.Version(row.ETag)}, errors.Join(wrong, err)
}

// Delete implements counter.Lister.
func (s *Store) Delete(ctx context.Context, key string, version counter.Version) error {
	etag := azcore.ETag(version)
	_, err := s.client.DeleteEntity(ctx, partition(key), rowKey, &aztables.DeleteEntityOptions{IfMatch: &etag})
	return translate("delete a counter", err)
}

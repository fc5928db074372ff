package tablestore

import (
	"context"
	"encoding/json"
	"fmt"
	"iter"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/data/aztables"

	"tollgate/handler/azure"
	"tollgate/handler/stored"
)

// maxBatch is the most rows in one transaction.
// Source: https://learn.microsoft.com/rest/api/storageservices/performing-entity-group-transactions
const maxBatch = 100

// DeleteExpired deletes the partitions of periods in which every response has expired.
func (s *Store) DeleteExpired(ctx context.Context, now time.Time) (deleted int, err error) {
	filter := fmt.Sprintf("PartitionKey lt '%s'", prefix(periodOf(now.Add(-stored.Retention-skew))))
	only := "PartitionKey,RowKey"
	options := &aztables.ListEntitiesOptions{Filter: &filter, Select: &only}
	for batch, err := range batches(azure.List(ctx, s.client, options, retryPauses)) {
		if err != nil {
			return deleted, azure.Explain("list expired responses", err)
		}
		n, err := s.delete(ctx, batch)
		if deleted += n; err != nil {
			return deleted, err
		}
	}
	return deleted, nil
}

// batches yields sorted rows by partition, at most maxBatch at a time. After an error of
// rows, it yields the rows before it, and then the error.
func batches(rows iter.Seq2[[]byte, error]) iter.Seq2[[]aztables.Entity, error] {
	return func(yield func([]aztables.Entity, error) bool) {
		var batch []aztables.Entity
		var failed error
		for text, err := range rows {
			var row aztables.Entity
			if failed = err; failed != nil {
				break
			}
			if json.Unmarshal(text, &row) != nil {
				continue // the service's own keys always decode
			}
			if len(batch) == maxBatch || len(batch) > 0 && batch[0].PartitionKey != row.PartitionKey {
				if !yield(batch, nil) {
					return
				}
				batch = nil
			}
			batch = append(batch, row)
		}
		if len(batch) > 0 && !yield(batch, nil) {
			return
		}
		if failed != nil {
			yield(nil, failed)
		}
	}
}

// delete deletes rows of one partition in one transaction, or one by one if somebody has
// deleted some of them.
func (s *Store) delete(ctx context.Context, rows []aztables.Entity) (deleted int, err error) {
	actions := make([]aztables.TransactionAction, len(rows))
	for i, row := range rows {
		entity, err := json.Marshal(row)
		if err != nil {
			return 0, fmt.Errorf("encode a response's keys: %w", err)
		}
		actions[i] = aztables.TransactionAction{ActionType: aztables.TransactionTypeDelete, Entity: entity}
	}
	if _, err := s.client.SubmitTransaction(ctx, actions, nil); err == nil {
		return len(rows), nil
	}
	for _, row := range rows {
		switch _, err := s.client.DeleteEntity(ctx, row.PartitionKey, row.RowKey, nil); {
		case err == nil:
			deleted++
		case !azure.HasCode(err, aztables.ResourceNotFound):
			return deleted, azure.Explain("delete a response", err)
		}
	}
	return deleted, nil
}

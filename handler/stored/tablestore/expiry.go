package tablestore

import (
	"context"
	"encoding/json"
	"fmt"
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
	for {
		page, err := azure.ReadPage(ctx, s.client, options, retryPauses)
		if azure.HasCode(err, aztables.TableNotFound) {
			return deleted, nil
		}
		if err != nil {
			return deleted, azure.Explain("list expired responses", err)
		}
		for batch := range batches(page.Entities) {
			n, err := s.delete(ctx, batch)
			if deleted += n; err != nil {
				return deleted, err
			}
		}
		options.NextPartitionKey, options.NextRowKey = page.NextPartitionKey, page.NextRowKey
		if options.NextPartitionKey == nil || *options.NextPartitionKey == "" {
			return deleted, nil
		}
	}
}

// batches yields sorted rows by partition, at most maxBatch at a time.
func batches(rows [][]byte) func(yield func([]aztables.Entity) bool) {
	return func(yield func([]aztables.Entity) bool) {
		var batch []aztables.Entity
		for _, text := range rows {
			var row aztables.Entity
			if json.Unmarshal(text, &row) != nil {
				continue // the service's own keys always decode
			}
			if len(batch) == maxBatch || len(batch) > 0 && batch[0].PartitionKey != row.PartitionKey {
				if !yield(batch) {
					return
				}
				batch = nil
			}
			batch = append(batch, row)
		}
		if len(batch) > 0 {
			yield(batch)
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

// Package tablestore keeps the ledger in a table of Azure Table Storage. Start reading at
// Store; entity.go has the layout of a row, and transaction.go writes several rows at once.
package tablestore

import (
	"context"
	"encoding/json"
	"fmt"
	"iter"
	"net/http"
	"strings"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/data/aztables"

	"tollgate/handler/azure"
	"tollgate/handler/ledger"
)

// DefaultTable is the name of the ledger's table in a deployment.
const DefaultTable = "usage"

// Store keeps rows in a table. Make one with New.
type Store struct{ client *aztables.Client }

var _ ledger.Store = (*Store)(nil)

// New returns a store in a table of a storage account. It makes no request; if the table
// doesn't exist, the first write creates it. The client must not retry by itself.
func New(service *aztables.ServiceClient, table string) *Store {
	return &Store{service.NewClient(table)}
}

// Apply implements ledger.Store.
func (s *Store) Apply(ctx context.Context, changes []ledger.Change) ([]ledger.Version, error) {
	if err := ledger.CheckTransaction(changes); err != nil {
		return nil, err
	}
	versions, err := s.submit(ctx, changes)
	if azure.HasCode(err, aztables.TableNotFound) {
		if _, err := s.client.CreateTable(ctx, nil); err != nil && !azure.HasCode(err, aztables.TableAlreadyExists) {
			return nil, translate("create the table", err)
		}
		versions, err = s.submit(ctx, changes)
	}
	if err != nil {
		return nil, translate("write usage rows", err)
	}
	return versions, nil
}

// submit makes one change, or several changes in a transaction.
func (s *Store) submit(ctx context.Context, changes []ledger.Change) ([]ledger.Version, error) {
	if len(changes) > 1 {
		return s.submitAll(ctx, changes)
	}
	var answer *http.Response
	etag, err := s.change(policy.WithCaptureResponse(ctx, &answer), changes[0])
	if err == nil {
		err = azure.CheckFromService(answer)
	}
	if err == nil && etag == "" && !changes[0].Delete {
		err = errIncomplete
	}
	return []ledger.Version{ledger.Version(etag)}, err
}

func (s *Store) change(ctx context.Context, c ledger.Change) (azcore.ETag, error) {
	etag := azcore.ETag(c.Version)
	if c.Delete {
		_, err := s.client.DeleteEntity(ctx, c.Partition(), c.RowKey(), &aztables.DeleteEntityOptions{IfMatch: &etag})
		return "", err
	}
	entity, err := encode(c.Row)
	if err != nil {
		return "", err
	}
	if c.Version == "" {
		added, err := s.client.AddEntity(ctx, entity, nil)
		return added.ETag, err
	}
	updated, err := s.client.UpdateEntity(ctx, entity, &aztables.UpdateEntityOptions{IfMatch: &etag, UpdateMode: aztables.UpdateModeReplace})
	return updated.ETag, err
}

// Rows implements ledger.Store.
func (s *Store) Rows(ctx context.Context, partition, from, to string) iter.Seq2[ledger.Row, error] {
	filter := filterOf(partition, from, to)
	return func(yield func(ledger.Row, error) bool) {
		for entity, err := range azure.List(ctx, s.client, &aztables.ListEntitiesOptions{Filter: &filter}, pagePauses) {
			if err != nil {
				yield(ledger.Row{}, azure.Explain("list usage rows", err))
				return
			}
			if !yield(decode(entity)) {
				return
			}
		}
	}
}

// Partitions implements ledger.Store. Table Storage can't list partitions, so each costs a
// query for the first row after the previous partition.
func (s *Store) Partitions(ctx context.Context, from, to string) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		filter := fmt.Sprintf("PartitionKey ge '%s'", from)
		for {
			partition, err := s.firstPartition(ctx, filter)
			if err == nil && (partition == "" || to != "" && partition >= to) {
				return
			}
			if !yield(partition, err) || err != nil {
				return
			}
			filter = fmt.Sprintf("PartitionKey gt '%s'", partition)
		}
	}
}

// firstPartition returns the partition of the first row that matches a filter, or "".
func (s *Store) firstPartition(ctx context.Context, filter string) (string, error) {
	one, columns := int32(1), "PartitionKey,RowKey"
	for entity, err := range azure.List(ctx, s.client, &aztables.ListEntitiesOptions{Filter: &filter, Top: &one, Select: &columns}, pagePauses) {
		if err != nil {
			return "", azure.Explain("list partitions of usage rows", err)
		}
		var first aztables.Entity
		err := json.Unmarshal(entity, &first)
		return first.PartitionKey, err
	}
	return "", nil
}

// filterOf returns an OData filter for a range of rows. Keys contain no character that must be
// escaped in it.
func filterOf(partition, from, to string) string {
	all := []string{fmt.Sprintf("PartitionKey eq '%s'", partition)}
	if from != "" {
		all = append(all, fmt.Sprintf("RowKey ge '%s'", from))
	}
	if to != "" {
		all = append(all, fmt.Sprintf("RowKey lt '%s'", to))
	}
	return strings.Join(all, " and ")
}

// pagePauses are the pauses before a failed page is requested again, so that a long list
// doesn't fail because the service was briefly busy.
var pagePauses = []time.Duration{200 * time.Millisecond, 400 * time.Millisecond, 800 * time.Millisecond}

// translate converts errors of the table service to those of a ledger.Store.
func translate(doing string, err error) error {
	switch {
	case azure.HasCode(err, aztables.ResourceNotFound, aztables.TableNotFound):
		return ledger.ErrNotFound
	case azure.HasCode(err, aztables.UpdateConditionNotSatisfied, aztables.EntityAlreadyExists):
		return ledger.ErrConflict
	}
	return azure.Explain(doing, err)
}

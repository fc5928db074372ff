// Package tablestore keeps counters in Azure Table Storage, one row for each.
//
// A row is replaced only if its ETag is the version that the caller read, so of two
// concurrent writes one fails with counter.ErrConflict. Answers of a proxy on the way are
// recognized by their headers, and are errors: only the service's own answers decide what was
// stored, and what time it is.
//
// Start reading at Store; entity.go has the row's layout.
package tablestore

import (
	"context"
	"net/http"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/data/aztables"

	"tollgate/handler/azure"
	"tollgate/handler/counter"
	"tollgate/handler/lease"
)

// DefaultTable is the name of the counters' table in a deployment.
const DefaultTable = "counters"

// rowKey is the RowKey of a counter's row. Its PartitionKey is made from the counter's key.
const rowKey = "counter"

// Store is a counter.Store and a counter.Lister in a table. Make one with New.
type Store struct{ client *aztables.Client }

var _ counter.Store = (*Store)(nil)

// New returns a store in an account's table. The client must not retry by itself. New makes
// no request; the first write creates a missing table.
func New(service *aztables.ServiceClient, table string) *Store {
	return &Store{service.NewClient(table)}
}

// Load implements counter.Store.
func (s *Store) Load(ctx context.Context, key string) (lease.Row, counter.Version, time.Time, error) {
	var answer *http.Response
	found, err := s.client.GetEntity(policy.WithCaptureResponse(ctx, &answer), partition(key), rowKey, nil)
	date := dateOf(answer)
	if err == nil {
		err = azure.CheckFromService(answer)
	}
	if err != nil {
		return lease.Row{}, "", date, translate("read a counter", err)
	}
	row, err := decode(found.Value)
	return row, counter.Version(found.ETag), date, err
}

// Swap implements counter.Store.
func (s *Store) Swap(ctx context.Context, key string, row lease.Row, version counter.Version) (counter.Version, time.Time, error) {
	entity, err := encode(partition(key), row)
	if err != nil {
		return "", time.Time{}, err
	}
	var answer *http.Response
	ctx = policy.WithCaptureResponse(ctx, &answer)
	if version == "" {
		etag, err := azure.Insert(ctx, s.client, entity)
		if err == nil {
			err = azure.CheckFromService(answer)
		}
		return counter.Version(etag), dateOf(answer), translate("insert a counter", err)
	}
	etag := azcore.ETag(version)
	updated, err := s.client.UpdateEntity(ctx, entity, &aztables.UpdateEntityOptions{IfMatch: &etag, UpdateMode: aztables.UpdateModeReplace})
	if err == nil {
		err = azure.CheckFromService(answer)
	}
	return counter.Version(updated.ETag), dateOf(answer), translate("write a counter", err)
}

// dateOf returns the time in an answer. It is zero if the answer isn't the service's own:
// a proxy's clock may be wrong.
func dateOf(answer *http.Response) time.Time {
	if answer == nil || !azure.FromService(answer.Header) {
		return time.Time{}
	}
	date, _ := http.ParseTime(answer.Header.Get("Date"))
	return date
}

// translate returns the error of counter.Store for an error of the SDK.
func translate(doing string, err error) error {
	switch {
	case azure.HasCode(err, aztables.ResourceNotFound, aztables.TableNotFound):
		return counter.ErrNotFound
	case azure.HasCode(err, aztables.UpdateConditionNotSatisfied, aztables.EntityAlreadyExists):
		return counter.ErrConflict
	}
	return azure.Explain(doing, err)
}

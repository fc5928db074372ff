// Package tablestore keeps counters in Azure Table Storage: a row a counter,
// changed only under its ETag. Start with New; entity.go has the row's layout.
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

// rowKey is the RowKey of a counter's row; its partition is the counter's
// key.
const rowKey = "counter"

// Store keeps counters in a table. Make one with New.
type Store struct{ client *aztables.Client }

var _ counter.Store = (*Store)(nil)

// New returns a store in an account's table. The client must not retry by
// itself. New makes no call; the first write creates a missing table.
func New(service *aztables.ServiceClient, table string) *Store {
	return &Store{service.NewClient(table)}
}

// Load implements counter.Store.
func (s *Store) Load(ctx context.Context, key string) (lease.Row, counter.Version, time.Time, error) {
	var answer *http.Response
	found, err := s.client.GetEntity(policy.WithCaptureResponse(ctx, &answer), partition(key), rowKey, nil)
	date := dateOf(answer)
	if err != nil {
		return lease.Row{}, "", date, translate("read", err)
	}
	if err := azure.CheckAnswered(answer); err != nil {
		return lease.Row{}, "", date, translate("read", err)
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
			err = azure.CheckAnswered(answer)
		}
		return counter.Version(etag), dateOf(answer), translate("insert", err)
	}
	etag := azcore.ETag(version)
	updated, err := s.client.UpdateEntity(ctx, entity, &aztables.UpdateEntityOptions{IfMatch: &etag, UpdateMode: aztables.UpdateModeReplace})
	if err == nil {
		err = azure.CheckAnswered(answer)
	}
	return counter.Version(updated.ETag), dateOf(answer), translate("write", err)
}

// dateOf returns the service's time of an answer; zero if the answer isn't
// the service's own, as a proxy's clock may be wrong.
func dateOf(answer *http.Response) time.Time {
	if answer == nil || !azure.FromService(answer.Header) {
		return time.Time{}
	}
	date, _ := http.ParseTime(answer.Header.Get("Date"))
	return date
}

// translate maps an error to those of counter.Store.
func translate(doing string, err error) error {
	switch {
	case azure.HasCode(err, aztables.ResourceNotFound, aztables.TableNotFound):
		return counter.ErrNotFound
	case azure.HasCode(err, aztables.UpdateConditionNotSatisfied, aztables.EntityAlreadyExists):
		return counter.ErrConflict
	}
	return azure.Explain(doing, err)
}

// Package tablestore keeps counters in Azure Table Storage, an entity each,
// changed under its ETag.
package tablestore

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/data/aztables"

	"tollgate/handler/azure"
	"tollgate/handler/counter"
	"tollgate/handler/limit"
)

// Usual is the table's name in a deployment.
const DefaultTable = "counters"

// rowKey is the row of the counter in its key's partition.
const rowKey = "counter"

// Store keeps counters in a table. Make one with New.
type Store struct{ client *aztables.Client }

var _ counter.Store = (*Store)(nil)

// New makes a store over an account, whose client must not retry by itself. It
// makes no call; the first write makes a table that isn't there.
func New(service *aztables.ServiceClient, table string) *Store {
	return &Store{service.NewClient(table)}
}

// Load implements counter.Store.
func (s *Store) Load(ctx context.Context, key string) (limit.State, counter.Version, time.Time, error) {
	var answer *http.Response
	found, err := s.client.GetEntity(policy.WithCaptureResponse(ctx, &answer), partition(key), rowKey, nil)
	date := dateOf(answer)
	if err != nil {
		return limit.State{}, "", date, translate("read", err)
	}
	if err := checkAnswered(answer); err != nil {
		return limit.State{}, "", date, translate("read", err)
	}
	state, err := decode(found.Value)
	return state, counter.Version(found.ETag), date, err
}

// Swap implements counter.Store.
func (s *Store) Swap(ctx context.Context, key string, state limit.State, version counter.Version) (counter.Version, time.Time, error) {
	entity, err := encode(partition(key), state)
	if err != nil {
		return "", time.Time{}, err
	}
	var answer *http.Response
	ctx = policy.WithCaptureResponse(ctx, &answer)
	if version == "" {
		etag, err := azure.Insert(ctx, s.client, entity)
		if err == nil {
			err = checkAnswered(answer)
		}
		return counter.Version(etag), dateOf(answer), translate("insert", err)
	}
	etag := azcore.ETag(version)
	updated, err := s.client.UpdateEntity(ctx, entity, &aztables.UpdateEntityOptions{IfMatch: &etag, UpdateMode: aztables.UpdateModeReplace})
	if err == nil {
		err = checkAnswered(answer)
	}
	return counter.Version(updated.ETag), dateOf(answer), translate("write", err)
}

// stranger is an error where an answer that says yes isn't the service's own: a
// proxy or a captive portal on the way stores nothing.
func checkAnswered(answer *http.Response) error {
	if answer != nil && azure.FromService(answer.Header) {
		return nil
	}
	return errors.New("something on the way answered in its place")
}

// dateOf is the service's time of an answer; zero where the answer isn't the
// service's own: a proxy's or a captive portal's clock may be any.
func dateOf(answer *http.Response) time.Time {
	if answer == nil || !azure.FromService(answer.Header) {
		return time.Time{}
	}
	date, _ := http.ParseTime(answer.Header.Get("Date"))
	return date
}

// translate gives the errors of a counter.Store.
func translate(doing string, err error) error {
	switch {
	case azure.HasCode(err, aztables.ResourceNotFound, aztables.TableNotFound):
		return counter.ErrNotFound
	case azure.HasCode(err, aztables.UpdateConditionNotSatisfied, aztables.EntityAlreadyExists):
		return counter.ErrConflict
	}
	return azure.Explain(doing, err)
}

// Package tablestore keeps stored responses' owners in Azure Table Storage, one row a
// response.
package tablestore

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/data/aztables"

	"tollgate/handler/azure"
	"tollgate/handler/stored"
)

// DefaultTable is the name of the table in a deployment.
const DefaultTable = "responses"

// Store keeps responses in a table. Make one with New.
//
// Table Storage finds rows by partition and row key only. A partition holds the responses
// of one period whose ids' hashes begin with the same byte, so that a row is found by its
// id with one reading for each period that it may be in, expired rows are found without
// reading others, and no partition gets more than its share of the writes.
type Store struct{ client *aztables.Client }

var _ stored.Store = (*Store)(nil)

// New returns a store in a storage account. It makes no request; the first response
// creates the table if it doesn't exist.
func New(service *aztables.ServiceClient, table string) *Store {
	return &Store{service.NewClient(table)}
}

const (
	// period is the time that one set of partitions is for. Rows live for up to one
	// period longer than responses.
	period = stored.Retention
	// skew is the most that the clocks of two instances are believed to differ.
	skew = 15 * time.Minute
)

// periodOf returns the number of the period that a time is in.
func periodOf(t time.Time) int64 { return t.Unix() / int64(period/time.Second) }

// partition returns the partition of an id in a period.
func partition(number int64, id string) string {
	return fmt.Sprintf("%s%02x", prefix(number), sha256.Sum256([]byte(id))[0])
}

// prefix is how a period's partitions begin. They sort by time.
func prefix(number int64) string { return fmt.Sprintf("%06d-", number) }

// columns are the columns of a row. The row key is the response's id.
type columns struct {
	PartitionKey, RowKey          string
	Subscription, Endpoint, Model string
	Tokens                        int64  `json:",string"`
	TokensType                    string `json:"Tokens@odata.type"`
	Created                       time.Time
	CreatedType                   string `json:"Created@odata.type"`
}

// Put implements stored.Store, as do the methods that follow.
func (s *Store) Put(ctx context.Context, r stored.Response) error {
	row := columns{PartitionKey: partition(periodOf(r.Created), r.ID), RowKey: r.ID, Subscription: r.Subscription,
		Endpoint: r.Endpoint, Model: r.Model, Tokens: r.Tokens, TokensType: "Edm.Int64", Created: r.Created.UTC(), CreatedType: "Edm.DateTime"}
	entity, err := json.Marshal(row)
	if err != nil {
		return fmt.Errorf("encode a response: %w", err)
	}
	_, err = azure.Retry(ctx, retryPauses, func() error {
		_, err := azure.Insert(ctx, s.client, entity)
		return err
	})
	if azure.HasCode(err, aztables.EntityAlreadyExists) { // an earlier try whose answer was lost, or another subscription's
		there, err := s.get(ctx, row.PartitionKey, r.ID)
		if err == nil && there.Subscription != r.Subscription {
			return stored.ErrTaken
		}
		return err
	}
	return azure.Explain("add a response", err)
}

func (s *Store) Get(ctx context.Context, id string, now time.Time) (stored.Response, error) {
	for number := periodOf(now.Add(skew)); number >= periodOf(now.Add(-stored.Retention-skew)); number-- {
		found, err := s.get(ctx, partition(number, id), id)
		if azure.HasCode(err, aztables.ResourceNotFound, aztables.TableNotFound) {
			continue
		}
		if err != nil {
			return stored.Response{}, azure.Explain("read a response", err)
		}
		if found.Expired(now) {
			break
		}
		return found, nil
	}
	return stored.Response{}, stored.ErrUnknown
}

// get reads one row. The error is the SDK's.
func (s *Store) get(ctx context.Context, partition, id string) (stored.Response, error) {
	var answer aztables.GetEntityResponse
	if _, err := azure.Retry(ctx, retryPauses, func() (err error) {
		answer, err = s.client.GetEntity(ctx, partition, id, nil)
		return err
	}); err != nil {
		return stored.Response{}, err
	}
	var row columns
	if err := json.Unmarshal(answer.Value, &row); err != nil {
		return stored.Response{}, fmt.Errorf("the row of a response was edited and can't be read: delete it")
	}
	return stored.Response{ID: row.RowKey, Subscription: row.Subscription, Endpoint: row.Endpoint, Model: row.Model, Tokens: row.Tokens, Created: row.Created}, nil
}

// retryPauses are the pauses before a failed operation is retried.
var retryPauses = []time.Duration{100 * time.Millisecond, 400 * time.Millisecond}

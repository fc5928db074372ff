// Package tablestore keeps the audit in Azure Table Storage, one row per event.
package tablestore

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/http"
	"strings"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/data/aztables"

	"tollgate/handler/azure"
	"tollgate/handler/manage"
)

// DefaultTable is the name of the table in a deployment.
const DefaultTable = "audit"

// Partitions. Events are few and listed together, so they share one.
const (
	eventPartition = "event"
	probePartition = "probe"
)

// A Store is a manage.Audit in a table. Make one with New.
type Store struct{ client *aztables.Client }

var _ manage.Audit = (*Store)(nil)

// New returns a store in a storage account. It makes no request; the first event creates
// the table if it doesn't exist.
func New(service *aztables.ServiceClient, table string) *Store {
	return &Store{service.NewClient(table)}
}

// columns are the columns of an event's row. The row key is the event's ID.
type columns struct {
	PartitionKey, RowKey string
	When                 time.Time
	WhenType             string `json:"When@odata.type"`
	Who, Action, Target  string
	Changes              string `json:",omitempty"` // JSON
	Outcome              manage.Outcome
}

func (c columns) event() manage.Event {
	e := manage.Event{ID: c.RowKey, When: c.When, Who: c.Who, Action: c.Action, Target: c.Target, Outcome: c.Outcome}
	if c.Changes != "" {
		if err := json.Unmarshal([]byte(c.Changes), &e.Changes); err != nil { // somebody edited the row: show the rest of it
			e.Changes = map[string]manage.Change{"changes": {To: "unreadable"}}
		}
	}
	return e
}

// newID returns a row key for an event. Later events have smaller keys, because tables list
// rows by ascending key, and the audit lists the newest event first.
func newID(when time.Time) string {
	var random [4]byte
	_, _ = rand.Read(random[:]) // never fails since Go 1.24
	return fmt.Sprintf("%019d-%s", math.MaxInt64-when.UnixNano(), hex.EncodeToString(random[:]))
}

// Begin implements manage.Audit, as do the methods that follow.
func (s *Store) Begin(ctx context.Context, e manage.Event) (string, error) {
	row := columns{PartitionKey: eventPartition, RowKey: newID(e.When), When: e.When.UTC(), WhenType: "Edm.DateTime",
		Who: e.Who, Action: e.Action, Target: e.Target, Outcome: manage.Unknown}
	if len(e.Changes) > 0 {
		text, err := json.Marshal(e.Changes)
		if err != nil {
			return "", fmt.Errorf("encode an event: %w", err)
		}
		row.Changes = string(text)
	}
	return row.RowKey, s.insert(ctx, row)
}

// insert adds a row, creating the table if needed. If the row exists, an earlier try
// whose answer was lost added it.
func (s *Store) insert(ctx context.Context, row columns) error {
	entity, err := json.Marshal(row)
	if err != nil {
		return fmt.Errorf("encode an event: %w", err)
	}
	return retry(ctx, "write the audit", func() error {
		_, err := azure.Insert(ctx, s.client, entity)
		if azure.HasCode(err, aztables.EntityAlreadyExists) {
			return nil
		}
		return err
	})
}

func (s *Store) End(ctx context.Context, id string, outcome manage.Outcome) error {
	entity, err := json.Marshal(map[string]any{"PartitionKey": eventPartition, "RowKey": id, "Outcome": outcome})
	if err != nil {
		return fmt.Errorf("encode an event: %w", err)
	}
	anyVersion := azcore.ETagAny
	return retry(ctx, "write the audit", func() error {
		_, err := s.client.UpdateEntity(ctx, entity, &aztables.UpdateEntityOptions{UpdateMode: aztables.UpdateModeMerge, IfMatch: &anyVersion})
		return err
	})
}

func (s *Store) Events(ctx context.Context, target, after string, limit int) (events []manage.Event, next string, err error) {
	filter := "PartitionKey eq '" + eventPartition + "' and RowKey gt " + quote(after)
	if target != "" {
		filter += " and Target eq " + quote(target)
	}
	top := int32(min(limit+1, 1000))
	options := &aztables.ListEntitiesOptions{Filter: &filter, Top: &top}
	for text, err := range azure.List(ctx, s.client, options, retryPauses) {
		if err != nil {
			return nil, "", azure.Explain("list the audit", err)
		}
		if len(events) == limit {
			return events, events[limit-1].ID, nil
		}
		var row columns
		if err := json.Unmarshal(text, &row); err != nil {
			return nil, "", errors.New("list the audit: a row was edited and can't be read")
		}
		events = append(events, row.event())
	}
	return events, "", nil
}

// Probe writes and deletes a row, to test the access that changes need, and returns the
// table service's time.
func (s *Store) Probe(ctx context.Context) (time.Time, error) {
	now := time.Now().UTC()
	row := columns{PartitionKey: probePartition, RowKey: newID(now), When: now, WhenType: "Edm.DateTime", Action: "probe", Outcome: manage.Done}
	if err := s.insert(ctx, row); err != nil {
		return time.Time{}, err
	}
	var answer *http.Response
	if _, err := s.client.DeleteEntity(policy.WithCaptureResponse(ctx, &answer), row.PartitionKey, row.RowKey, nil); err != nil {
		return time.Time{}, azure.Explain("delete a row", err)
	}
	date, err := http.ParseTime(answer.Header.Get("Date"))
	if err != nil {
		return time.Time{}, errors.New("the table service sent no valid Date header")
	}
	return date, nil
}

// quote returns a text as a string literal of a filter.
func quote(text string) string { return "'" + strings.ReplaceAll(text, "'", "''") + "'" }

// retryPauses are the pauses before a failed operation is retried.
var retryPauses = []time.Duration{100 * time.Millisecond, 200 * time.Millisecond}

// retry runs an operation and retries it while the service is unavailable.
func retry(ctx context.Context, doing string, operation func() error) error {
	_, err := azure.Retry(ctx, retryPauses, operation)
	return azure.Explain(doing, err)
}

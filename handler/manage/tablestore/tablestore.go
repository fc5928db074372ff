// Package tablestore keeps the audit in Azure Table Storage, a row an event.
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

// Usual is the table's name in a deployment.
const Usual = "audit"

// The partitions: events are few, and listed together.
const (
	eventPartition = "event"
	probePartition = "probe"
)

// Store keeps events in a table. Make one with New.
type Store struct{ client *aztables.Client }

var _ manage.Audit = (*Store)(nil)

// New makes a store over an account. It makes no call; the first event makes a
// table that isn't there.
func New(service *aztables.ServiceClient, table string) *Store {
	return &Store{service.NewClient(table)}
}

// columns is an event's row; its ID is the row's key.
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
		if err := json.Unmarshal([]byte(c.Changes), &e.Changes); err != nil { // the row was edited: show what can be read
			e.Changes = map[string]manage.Change{"changes": {To: "unreadable"}}
		}
	}
	return e
}

// newID is a row's key: the later the time, the smaller, so that a table lists
// the newest first.
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

// insert adds a row, and makes the table first where there is none. One that
// is there was added by a try whose answer was lost.
func (s *Store) insert(ctx context.Context, row columns) error {
	entity, err := json.Marshal(row)
	if err != nil {
		return fmt.Errorf("encode an event: %w", err)
	}
	return persist(ctx, "write the audit", func() error {
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
	whatever := azcore.ETagAny
	return persist(ctx, "write the audit", func() error {
		_, err := s.client.UpdateEntity(ctx, entity, &aztables.UpdateEntityOptions{UpdateMode: aztables.UpdateModeMerge, IfMatch: &whatever})
		return err
	})
}

func (s *Store) Events(ctx context.Context, target, after string, limit int) (events []manage.Event, next string, err error) {
	filter := "PartitionKey eq '" + eventPartition + "' and RowKey gt " + quoted(after)
	if target != "" {
		filter += " and Target eq " + quoted(target)
	}
	top := int32(min(limit+1, 1000))
	options := &aztables.ListEntitiesOptions{Filter: &filter, Top: &top}
	for {
		page, err := azure.Page(ctx, s.client, options, pauses)
		if azure.HasCode(err, aztables.TableNotFound) {
			return nil, "", nil
		}
		if err != nil {
			return nil, "", azure.Explain("list the audit", err)
		}
		for _, text := range page.Entities {
			if len(events) == limit {
				return events, events[limit-1].ID, nil
			}
			var row columns
			if err := json.Unmarshal(text, &row); err != nil {
				return nil, "", errors.New("list the audit: a row was edited and can't be read")
			}
			events = append(events, row.event())
		}
		options.NextPartitionKey, options.NextRowKey = page.NextPartitionKey, page.NextRowKey
		if options.NextPartitionKey == nil || *options.NextPartitionKey == "" {
			return events, "", nil
		}
	}
}

// Probe writes a row and takes it away again, as a change would, and says what
// time it is where the table is.
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
		return time.Time{}, errors.New("the table service doesn't tell its time")
	}
	return date, nil
}

// quoted is a text within a filter.
func quoted(text string) string { return "'" + strings.ReplaceAll(text, "'", "''") + "'" }

// pauses are before an operation that the service could not take is tried again.
var pauses = []time.Duration{100 * time.Millisecond, 200 * time.Millisecond}

func persist(ctx context.Context, doing string, operation func() error) error {
	_, err := azure.Retry(ctx, pauses, operation)
	return azure.Explain(doing, err)
}

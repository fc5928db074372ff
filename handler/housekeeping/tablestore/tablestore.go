// Package tablestore keeps the last turn of housekeeping in a row of Azure Table Storage. A
// turn begins by replacing the row under its ETag, so of several instances one gets it.
//
// Start reading at Turns.Take.
package tablestore

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/data/aztables"

	"tollgate/handler/azure"
	"tollgate/handler/housekeeping"
)

// DefaultTable is the name of the table in a deployment.
const DefaultTable = "housekeeping"

// The keys of the one row.
const (
	partition = "run"
	row       = "last"
)

// Turns implements housekeeping.Turns by a table. Make one with New.
type Turns struct{ client *aztables.Client }

var _ housekeeping.Turns = (*Turns)(nil)

// New returns turns that an account's table keeps. It makes no request; the first turn creates the
// table if it doesn't exist.
func New(service *aztables.ServiceClient, table string) *Turns {
	return &Turns{service.NewClient(table)}
}

// columns are the columns of the row.
type columns struct {
	PartitionKey, RowKey string
	Began                time.Time
	BeganType            string    `json:"Began@odata.type"`
	Ended                time.Time `json:",omitzero"`
	EndedType            string    `json:"Ended@odata.type,omitempty"`
}

func encode(turn housekeeping.Turn) ([]byte, error) {
	c := columns{PartitionKey: partition, RowKey: row, Began: turn.Began.UTC(), BeganType: "Edm.DateTime"}
	if !turn.Ended.IsZero() {
		c.Ended, c.EndedType = turn.Ended.UTC(), "Edm.DateTime"
	}
	return json.Marshal(c)
}

// Take implements housekeeping.Turns. It costs a read and a write, and release another
// write.
func (t *Turns) Take(ctx context.Context, pause time.Duration) (func(context.Context) error, error) {
	last, etag, err := t.read(ctx)
	if err != nil {
		return nil, err
	}
	now := time.Now()
	if err := last.Allows(now, pause); err != nil {
		return nil, err
	}
	turn := housekeeping.Turn{Began: now}
	etag, err = t.write(ctx, turn, etag)
	if err != nil {
		return nil, err
	}
	return func(ctx context.Context) error {
		turn.Ended = time.Now()
		_, err := t.write(ctx, turn, etag)
		return err
	}, nil
}

// read returns the last turn and its ETag, which is empty if there was none.
func (t *Turns) read(ctx context.Context) (turn housekeeping.Turn, etag azcore.ETag, err error) {
	found, err := t.client.GetEntity(ctx, partition, row, nil)
	if azure.HasCode(err, aztables.ResourceNotFound, aztables.TableNotFound, aztables.EntityNotFound) {
		return turn, "", nil
	}
	if err != nil {
		return turn, "", azure.Explain("read the last run of housekeeping", err)
	}
	var c columns
	if err := json.Unmarshal(found.Value, &c); err != nil {
		return turn, "", errors.New("read the last run of housekeeping: the row was edited and can't be read: delete it")
	}
	return housekeeping.Turn{Began: c.Began, Ended: c.Ended}, found.ETag, nil
}

// write replaces the turn that has the ETag, or inserts the first one if it is empty.
func (t *Turns) write(ctx context.Context, turn housekeeping.Turn, etag azcore.ETag) (azcore.ETag, error) {
	entity, err := encode(turn)
	if err != nil {
		return "", err
	}
	if etag == "" {
		etag, err = azure.Insert(ctx, t.client, entity)
	} else {
		var updated aztables.UpdateEntityResponse
		updated, err = t.client.UpdateEntity(ctx, entity, &aztables.UpdateEntityOptions{IfMatch: &etag, UpdateMode: aztables.UpdateModeReplace})
		etag = updated.ETag
	}
	failed, _ := errors.AsType[*azcore.ResponseError](err)
	if azure.HasCode(err, aztables.EntityAlreadyExists) || failed != nil && failed.StatusCode == http.StatusPreconditionFailed {
		return "", fmt.Errorf("%w, which began just now", housekeeping.ErrTaken)
	}
	return etag, azure.Explain("write the run of housekeeping", err)
}

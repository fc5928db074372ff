package tablestore

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"net/url"
	"strings"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/data/aztables"

	"tollgate/handler/azure"
	"tollgate/handler/counter"
	"tollgate/handler/counter/usage"
	"tollgate/handler/limit"
)

// DefaultHistoryTable is the name of the history's table in a deployment.
const DefaultHistoryTable = "history"

// History keeps closed minutes in a table. Make one with NewHistory.
type History struct{ client *aztables.Client }

var _ usage.Store = (*History)(nil)

// NewHistory returns a history in an account's table. The client must not
// retry by itself. NewHistory makes no call; the first write creates a
// missing table.
func NewHistory(service *aztables.ServiceClient, table string) *History {
	return &History{service.NewClient(table)}
}

// PutClosed implements counter.History. A row that exists already is the same
// row, so the conflict is no error.
func (h *History) PutClosed(ctx context.Context, key, epoch string, row limit.Closed) error {
	entity, err := encodeRow(usage.Row{Counter: key, Epoch: epoch, Closed: row})
	if err != nil {
		return err
	}
	_, err = azure.Insert(ctx, h.client, entity)
	if err = translate("add a usage row", err); errors.Is(err, counter.ErrConflict) {
		return nil
	}
	return err
}

// Rows implements usage.Reader.
func (h *History) Rows(ctx context.Context, q usage.Query) iter.Seq2[usage.Row, error] {
	return func(yield func(usage.Row, error) bool) {
		for entity, err := range list(ctx, h.client, filterOf(q), "") {
			var row usage.Row
			if err == nil {
				row, err = decodeRow(entity)
			}
			if !yield(row, err) || err != nil {
				return
			}
		}
	}
}

// filterOf returns a query as an OData filter. The keys of a subscription's
// counters are its id, or begin with it and an escaped slash; a tier's with a
// colon.
func filterOf(q usage.Query) string {
	var all []string
	between := func(column, from, to string) {
		all = append(all, fmt.Sprintf("%s ge '%s' and %s lt '%s'", column, from, column, to))
	}
	switch {
	case q.Counter != "":
		all = append(all, fmt.Sprintf("PartitionKey eq '%s'", partition(q.Counter)))
	case q.Owner.Subscription != "":
		between("PartitionKey", q.Owner.Subscription, q.Owner.Subscription+"!2G")
	case q.Owner.Tier != "":
		between("PartitionKey", q.Owner.Tier+"!3A", q.Owner.Tier+"!3B")
	}
	if from, to := q.Minutes(); !q.From.IsZero() || !q.To.IsZero() {
		between("RowKey", minuteKey(from), minuteKey(to))
	}
	return strings.Join(all, " and ")
}

// deleteBatch is the most rows in one transaction. Source:
// https://learn.microsoft.com/rest/api/storageservices/performing-entity-group-transactions
const deleteBatch = 100

// DeleteBefore implements usage.Store. Rows come sorted, so each counter's
// are together.
func (h *History) DeleteBefore(ctx context.Context, minute time.Time) (deleted int, err error) {
	var batch []aztables.Entity
	flush := func() error {
		n, err := h.delete(ctx, batch)
		deleted += n
		batch = batch[:0]
		return err
	}
	filter := filterOf(usage.Query{To: minute})
	for raw, err := range list(ctx, h.client, filter, "PartitionKey,RowKey") {
		var row aztables.Entity
		if err == nil {
			err = json.Unmarshal(raw, &row)
		}
		if err == nil && len(batch) > 0 && (len(batch) == deleteBatch || batch[0].PartitionKey != row.PartitionKey) {
			err = flush()
		}
		if err != nil {
			return deleted, err
		}
		batch = append(batch, row)
	}
	return deleted, flush()
}

// delete deletes rows of one counter in one transaction, or one by one if
// another housekeeper has deleted some of them.
func (h *History) delete(ctx context.Context, rows []aztables.Entity) (deleted int, err error) {
	if len(rows) == 0 {
		return 0, nil
	}
	actions := make([]aztables.TransactionAction, len(rows))
	for i, row := range rows {
		entity, err := json.Marshal(row)
		if err != nil {
			return 0, fmt.Errorf("encode usage row: %w", err)
		}
		actions[i] = aztables.TransactionAction{ActionType: aztables.TransactionTypeDelete, Entity: entity}
	}
	if _, err := h.client.SubmitTransaction(ctx, actions, nil); err == nil {
		return len(rows), nil
	}
	for _, row := range rows {
		_, err := h.client.DeleteEntity(ctx, row.PartitionKey, row.RowKey, nil)
		switch err = translate("delete a usage row", err); {
		case err == nil:
			deleted++
		case !errors.Is(err, counter.ErrNotFound):
			return deleted, err
		}
	}
	return deleted, nil
}

// minuteKey is the start of a row's key, so that a counter's rows sort by
// time.
func minuteKey(minute int64) string { return fmt.Sprintf("%010d", minute) }

func encodeRow(row usage.Row) ([]byte, error) {
	number := func(n int64) aztables.EDMInt64 { return aztables.EDMInt64(n) }
	owner := row.Owner()
	entity, err := json.Marshal(aztables.EDMEntity{
		Entity: aztables.Entity{PartitionKey: partition(row.Counter), RowKey: minuteKey(row.Minute) + "-" + row.Epoch},
		Properties: map[string]any{
			"Minute": number(row.Minute), "UsageFrom": number(row.From), "At": aztables.EDMDateTime(time.Unix(row.Minute*60, 0).UTC()),
			"PromptTokens": number(row.PromptTokens), "CompletionTokens": number(row.CompletionTokens),
			"Requests": number(row.Requests), "Refused": number(row.Refused), "Forfeited": number(row.Forfeited),
			"Charged": number(row.Charged), "Subscription": owner.Subscription, "Tier": owner.Tier,
		},
	})
	if err != nil {
		return nil, fmt.Errorf("encode usage row: %w", err)
	}
	return entity, nil
}

func decodeRow(raw []byte) (usage.Row, error) {
	var entity aztables.EDMEntity
	if err := json.Unmarshal(raw, &entity); err != nil {
		return usage.Row{}, fmt.Errorf("read a usage row: %w", err)
	}
	c := columns{values: entity.Properties}
	_, epoch, _ := strings.Cut(entity.RowKey, "-")
	row := usage.Row{Counter: keyOf(entity.PartitionKey), Epoch: epoch, Closed: limit.Closed{
		Minute: c.number("Minute"), From: c.number("UsageFrom"),
		Usage:    limit.Usage{PromptTokens: c.number("PromptTokens"), CompletionTokens: c.number("CompletionTokens")},
		Requests: c.number("Requests"), Refused: c.number("Refused"), Forfeited: c.number("Forfeited"), Charged: c.number("Charged"),
	}}
	if c.bad {
		return row, fmt.Errorf("usage row %s of %s was edited: delete it, or give it back its columns", entity.RowKey, entity.PartitionKey)
	}
	return row, nil
}

// keyOf returns the counter's key of a partition. It reverses partition.
func keyOf(partition string) string {
	key, err := url.QueryUnescape(strings.ReplaceAll(partition, "!", "%"))
	if err != nil {
		return partition
	}
	return key
}

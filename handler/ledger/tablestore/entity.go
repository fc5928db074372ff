package tablestore

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"
	"unicode/utf8"

	"github.com/Azure/azure-sdk-for-go/sdk/data/aztables"

	"tollgate/handler/azure"
	"tollgate/handler/ledger"
	"tollgate/handler/limit"
)

// numbers returns the addresses of the totals that have a column of their own, by the
// column's name.
func numbers(t *ledger.Totals) map[string]*int64 {
	return map[string]*int64{
		"Calls": &t.Calls, "Failed": &t.Failed, "UnknownUsage": &t.UnknownUsage, "Shadowed": &t.Shadowed, "Refused": &t.Refused,
		"PromptTokens": &t.PromptTokens, "CachedTokens": &t.CachedTokens, "CacheWriteTokens": &t.CacheWriteTokens,
		"CompletionTokens": &t.CompletionTokens, "ReasoningTokens": &t.ReasoningTokens,
		"Cost": &t.Cost, "Unpriced": &t.Unpriced,
	}
}

// encode returns the row as an entity with typed columns that are readable in a table
// browser. Totals of 0 have no column, because most totals are 0 and there are many rows.
func encode(row ledger.Row) ([]byte, error) {
	properties := map[string]any{
		"Subscription": row.Subscription, "Model": row.Model, "Span": string(row.Span), "Start": aztables.EDMDateTime(row.Time()),
		"Process": row.Process, "Revision": aztables.EDMInt64(row.Revision),
	}
	for name, n := range numbers(&row.Totals) {
		if *n != 0 {
			properties[name] = aztables.EDMInt64(*n)
		}
	}
	if err := encodeText("RefusedBy", row.RefusedBy, properties); err != nil {
		return nil, err
	}
	if err := encodeText("Taken", row.Taken, properties); err != nil {
		return nil, err
	}
	entity, err := json.Marshal(aztables.EDMEntity{Entity: aztables.Entity{PartitionKey: row.Partition(), RowKey: row.RowKey()}, Properties: properties})
	if err != nil {
		return nil, fmt.Errorf("encode a usage row: %w", err)
	}
	return entity, nil
}

// maxText is the longest text in a column, in bytes. Table Storage allows 32,768 UTF-16 code
// units, each of which takes at least one byte in UTF-8. Source:
// https://learn.microsoft.com/rest/api/storageservices/understanding-the-table-service-data-model
const maxText = 32_000

// columnName returns the name of the column for a part of a text. Parts are numbered from 0.
func columnName(name string, part int) string {
	if part == 0 {
		return name
	}
	return fmt.Sprintf("%s%d", name, part+1)
}

// encodeText adds a map as JSON, sorted by key. It uses several columns if the text is too
// long for one, as Taken is if some hundred processes wrote to the same minute.
func encodeText[V any](name string, m map[string]V, properties map[string]any) error {
	if len(m) == 0 {
		return nil
	}
	encoded, err := json.Marshal(m)
	if err != nil {
		return fmt.Errorf("encode a usage row: %w", err)
	}
	text := string(encoded)
	for part := 0; text != ""; part++ {
		end := min(len(text), maxText)
		for end < len(text) && !utf8.RuneStart(text[end]) {
			end--
		}
		properties[columnName(name, part)], text = text[:end], text[end:]
	}
	return nil
}

// decode reads an entity that encode made. If it can't, because somebody edited the entity,
// the error wraps ledger.ErrUnreadable.
func decode(raw []byte) (ledger.Row, error) {
	var entity aztables.EDMEntity
	if err := json.Unmarshal(raw, &entity); err != nil {
		return ledger.Row{}, ledger.ErrUnreadable
	}
	c := azure.NewColumns(entity)
	row := ledger.Row{
		Key:     ledger.Key{Subscription: c.Text("Subscription"), Model: c.Text("Model"), Span: ledger.Span(c.Text("Span")), Start: limit.Minute(c.Time("Start"))},
		Process: c.Text("Process"), Revision: c.Int64("Revision"), Version: ledger.Version(entity.ETag), Written: time.Time(entity.Timestamp).UTC(),
	}
	for name, n := range numbers(&row.Totals) {
		if c.Has(name) {
			*n = c.Int64(name)
		}
	}
	unreadable := errors.Join(decodeText("RefusedBy", c, &row.RefusedBy), decodeText("Taken", c, &row.Taken))
	if unreadable != nil || c.Faulty() || row.Span != ledger.Minute && row.Span != ledger.Hour && row.Span != ledger.Day || row.Partition() != entity.PartitionKey || row.RowKey() != entity.RowKey {
		return row, fmt.Errorf("usage row %s of %s: %w", entity.RowKey, entity.PartitionKey, ledger.ErrUnreadable)
	}
	return row, nil
}

// decodeText reads a map that encodeText added. Without a column, it leaves into unchanged.
func decodeText(name string, c *azure.Columns, into any) error {
	var text string
	for part := 0; c.Has(columnName(name, part)); part++ {
		text += c.Text(columnName(name, part))
	}
	if text == "" {
		return nil
	}
	return json.Unmarshal([]byte(text), into)
}

package tablestore

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/data/aztables"

	"tollgate/handler/ledger"
)

// encode makes the row's entity, with typed columns that are readable in a table browser.
func encode(row ledger.Row) ([]byte, error) {
	refusedBy, err := encodeCounts(row.RefusedBy)
	if err != nil {
		return nil, err
	}
	taken, err := encodeCounts(row.Taken)
	if err != nil {
		return nil, err
	}
	number := func(n int64) aztables.EDMInt64 { return aztables.EDMInt64(n) }
	entity, err := json.Marshal(aztables.EDMEntity{
		Entity: aztables.Entity{PartitionKey: row.Partition(), RowKey: row.RowKey()},
		Properties: map[string]any{
			"Subscription": row.Subscription, "Model": row.Model, "Span": string(row.Span), "Start": aztables.EDMDateTime(row.Time()),
			"Process": row.Process, "Revision": number(row.Revision), "Taken": taken,
			"Calls": number(row.Calls), "Failed": number(row.Failed), "UnknownUsage": number(row.UnknownUsage), "Shadowed": number(row.Shadowed),
			"Refused": number(row.Refused), "RefusedBy": refusedBy,
			"PromptTokens": number(row.PromptTokens), "CachedTokens": number(row.CachedTokens), "CacheWriteTokens": number(row.CacheWriteTokens),
			"CompletionTokens": number(row.CompletionTokens), "ReasoningTokens": number(row.ReasoningTokens),
		},
	})
	if err != nil {
		return nil, fmt.Errorf("encode a usage row: %w", err)
	}
	return entity, nil
}

// encodeCounts writes numbers by name as JSON, sorted; nothing for none.
func encodeCounts(counts map[string]int64) (string, error) {
	if len(counts) == 0 {
		return "", nil
	}
	text, err := json.Marshal(counts)
	if err != nil {
		return "", fmt.Errorf("encode a usage row: %w", err)
	}
	return string(text), nil
}

// decode reads what encode wrote.
func decode(raw []byte) (ledger.Row, error) {
	var entity aztables.EDMEntity
	if err := json.Unmarshal(raw, &entity); err != nil {
		return ledger.Row{}, ledger.ErrEdited
	}
	c := columns{values: entity.Properties}
	row := ledger.Row{
		Key:     ledger.Key{Subscription: c.text("Subscription"), Model: c.text("Model"), Span: ledger.Span(c.text("Span")), Start: c.minute("Start")},
		Process: c.text("Process"), Revision: c.number("Revision"), Taken: c.counts("Taken"), Version: ledger.Version(entity.ETag),
		Totals: ledger.Totals{Calls: c.number("Calls"), Failed: c.number("Failed"), UnknownUsage: c.number("UnknownUsage"), Shadowed: c.number("Shadowed"),
			Refused: c.number("Refused"), RefusedBy: c.counts("RefusedBy"),
			PromptTokens: c.number("PromptTokens"), CachedTokens: c.number("CachedTokens"), CacheWriteTokens: c.number("CacheWriteTokens"),
			CompletionTokens: c.number("CompletionTokens"), ReasoningTokens: c.number("ReasoningTokens")},
	}
	if c.bad || row.Span != ledger.Minute && row.Span != ledger.Hour && row.Span != ledger.Day || row.Partition() != entity.PartitionKey || row.RowKey() != entity.RowKey {
		return row, fmt.Errorf("usage row %s of %s: %w", entity.RowKey, entity.PartitionKey, ledger.ErrEdited)
	}
	return row, nil
}

// columns reads a row's columns, and records whether one is missing or of the wrong type.
type columns struct {
	values map[string]any
	bad    bool
}

func (c *columns) number(name string) int64 {
	n, ok := c.values[name].(aztables.EDMInt64)
	c.bad = c.bad || !ok
	return int64(n)
}

func (c *columns) text(name string) string {
	text, ok := c.values[name].(string)
	c.bad = c.bad || !ok
	return text
}

func (c *columns) minute(name string) int64 {
	at, ok := c.values[name].(aztables.EDMDateTime)
	c.bad = c.bad || !ok
	return time.Time(at).Unix() / 60
}

func (c *columns) counts(name string) map[string]int64 {
	text := c.text(name)
	if text == "" {
		return nil
	}
	var counts map[string]int64
	if err := json.Unmarshal([]byte(text), &counts); err != nil {
		c.bad = true
	}
	return counts
}

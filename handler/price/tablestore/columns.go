package tablestore

import (
	"encoding/json"
	"fmt"
	"net/url"
	"strings"

	"github.com/Azure/azure-sdk-for-go/sdk/data/aztables"

	"tollgate/handler/price"
)

// Partitions. All prices are in one, because they are few and always read together.
const (
	pricePartition    = "price"
	currencyPartition = "currency" // also the row key of its one row
)

const int64Type = "Edm.Int64"

// priceColumns are the columns of a price's row. The row has no column for an empty value.
type priceColumns struct {
	PartitionKey, RowKey string
	Prompt               price.Decimal `json:"prompt"`
	Cached               price.Decimal `json:"cached,omitempty"`
	CacheWrite           price.Decimal `json:"cacheWrite,omitempty"`
	CacheWriteLong       price.Decimal `json:"cacheWriteLong,omitempty"`
	Completion           price.Decimal `json:"completion"`
	Multipliers          string        `json:"multipliers,omitempty"` // JSON
	Partial              string        `json:"partial,omitempty"`     // JSON
	AcceptPartial        bool          `json:"acceptPartial,omitempty"`
	Source               string        `json:"source,omitempty"`
	version
}

// version is the column that holds a row's version.
type version struct {
	Version int64  `json:"version,string"`
	Type    string `json:"version@odata.type"`
}

// currencyColumns are the columns of the currency's row.
type currencyColumns struct {
	PartitionKey, RowKey string
	Currency             string `json:"currency"`
	Version              int64  `json:"version,string"`
	VersionType          string `json:"version@odata.type"`
}

func encodePrice(p price.Price) ([]byte, error) {
	columns := priceColumns{PartitionKey: pricePartition, RowKey: rowKey(p.Model, p.From), Prompt: p.Prompt, Cached: p.Cached,
		CacheWrite: p.CacheWrite, CacheWriteLong: p.CacheWriteLong, Completion: p.Completion,
		AcceptPartial: p.AcceptPartial, Source: p.Source, version: version{p.Version, int64Type}}
	var err error
	if len(p.Multipliers) > 0 {
		columns.Multipliers, err = encodeJSON(p.Multipliers)
	}
	if len(p.Partial) > 0 && err == nil {
		columns.Partial, err = encodeJSON(p.Partial)
	}
	if err != nil {
		return nil, fmt.Errorf("encode a price: %w", err)
	}
	return json.Marshal(columns)
}

// encodeJSON returns a value as JSON.
func encodeJSON(value any) (string, error) {
	encoded, err := json.Marshal(value)
	return string(encoded), err
}

// decodePrice reads a price's row. If the row can't be read, because somebody edited it, it
// sets Unreadable.
func decodePrice(row []byte) price.Price {
	var columns priceColumns
	p := price.Price{}
	p.Model, p.From = modelAndDate(keyOf(row).RowKey)
	p.Version = versionOf(row)
	if json.Unmarshal(row, &columns) != nil {
		p.Unreadable = "a column of its row has the wrong type: set the price again"
		return p
	}
	p.Rates = price.Rates{Prompt: columns.Prompt, Cached: columns.Cached, CacheWrite: columns.CacheWrite, CacheWriteLong: columns.CacheWriteLong, Completion: columns.Completion}
	p.AcceptPartial, p.Source = columns.AcceptPartial, columns.Source
	for column, into := range map[string]any{columns.Multipliers: &p.Multipliers, columns.Partial: &p.Partial} {
		if column != "" && json.Unmarshal([]byte(column), into) != nil {
			p.Unreadable = "the column multipliers or partial of its row is not JSON: set the price again"
		}
	}
	return p
}

// addRow adds a row's content to a snapshot. It ignores rows of partitions that this package
// doesn't use.
func addRow(all *price.Snapshot, row []byte) {
	switch keyOf(row).PartitionKey {
	case pricePartition:
		all.Prices = append(all.Prices, decodePrice(row))
	case currencyPartition:
		var columns currencyColumns
		_ = json.Unmarshal(row, &columns) // if it fails, somebody edited the row: then no currency is set
		all.Currency = price.Currency{Code: columns.Currency, Version: versionOf(row)}
	}
}

// keyOf returns the keys of a row, which every entity has.
func keyOf(row []byte) (key aztables.Entity) {
	_ = json.Unmarshal(row, &key)
	return key
}

// versionOf returns the version of a row. If somebody removed it from the row, it is 1, so
// that the row can still be replaced.
func versionOf(row []byte) int64 {
	var v version
	if json.Unmarshal(row, &v) != nil || v.Version < 1 {
		return 1
	}
	return v.Version
}

// separator separates the parts of a row key. No escaped part contains it.
const separator = "|"

// rowKey returns the row key of a model's price. Table Storage doesn't allow / \ # ? and
// control characters in keys, so the name is percent-encoded, with '!' in place of '%'.
// Source:
// https://learn.microsoft.com/rest/api/storageservices/understanding-the-table-service-data-model#characters-disallowed-in-key-fields
func rowKey(model string, from price.Date) string {
	return strings.ReplaceAll(url.PathEscape(model), "%", "!") + separator + string(from)
}

// modelAndDate returns the model and date of a row key.
func modelAndDate(key string) (string, price.Date) {
	escaped, from, _ := strings.Cut(key, separator)
	model, err := url.PathUnescape(strings.ReplaceAll(escaped, "!", "%"))
	if err != nil { // not a key that this package made
		model = escaped
	}
	return model, price.Date(from)
}

package tablestore

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/data/aztables"

	"tollgate/handler/subscription"
)

// keyColumns are the columns of a key's row. The partition key is the key's hash.
type keyColumns struct {
	Subscription string               `json:"subscription"`
	Slot         subscription.KeySlot `json:"slot"`
	Created      time.Time            `json:"created"`
	Expires      time.Time            `json:"expires,omitzero"`
}

func (k keyColumns) record(hash string) subscription.KeyRecord {
	return subscription.KeyRecord{Hash: hash, Subscription: k.Subscription, Slot: k.Slot, Created: k.Created, Expires: k.Expires}
}

// jsonColumns are the columns that hold JSON as text. All others hold a string, number or
// boolean.
var jsonColumns = []string{"models", "limits", "overrides"}

// idField is the field that has no column, because it is the row key.
const idField = "id"

// encode returns a row that has a typed column for each field of value's JSON.
func encode(partition, row string, value any) ([]byte, error) {
	text, err := json.Marshal(value)
	if err != nil {
		return nil, fmt.Errorf("encode a row: %w", err)
	}
	var fields map[string]any
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.UseNumber()
	if err := decoder.Decode(&fields); err != nil {
		return nil, fmt.Errorf("encode a row: %w", err)
	}
	entity := aztables.EDMEntity{Entity: aztables.Entity{PartitionKey: partition, RowKey: row}, Properties: make(map[string]any)}
	delete(fields, idField)
	for name, field := range fields {
		switch field := field.(type) {
		case json.Number:
			n, err := field.Int64()
			if err != nil {
				return nil, fmt.Errorf("encode %s: %w", name, err)
			}
			entity.Properties[name] = aztables.EDMInt64(n)
		case string, bool:
			entity.Properties[name] = field
		default:
			inner, err := json.Marshal(field)
			if err != nil {
				return nil, fmt.Errorf("encode %s: %w", name, err)
			}
			entity.Properties[name] = string(inner)
		}
	}
	return json.Marshal(entity)
}

// decode reads a row that encode made into value. If the row can't be read, because somebody
// edited it, the error names the column.
func decode(row []byte, value any) error {
	var entity aztables.EDMEntity
	if err := json.Unmarshal(row, &entity); err != nil {
		return errors.New("read a row: it is not a table entity")
	}
	for _, name := range jsonColumns {
		if text, ok := entity.Properties[name].(string); ok {
			if !json.Valid([]byte(text)) {
				return fmt.Errorf("read a row: column %s is not JSON", name)
			}
			entity.Properties[name] = json.RawMessage(text)
		}
	}
	for name, property := range entity.Properties {
		if n, ok := property.(aztables.EDMInt64); ok {
			entity.Properties[name] = int64(n)
		}
	}
	entity.Properties[idField] = entity.RowKey
	text, err := json.Marshal(entity.Properties)
	if err != nil {
		return fmt.Errorf("read a row: %w", err)
	}
	if err := json.Unmarshal(text, value); err != nil {
		return fmt.Errorf("read a row: %w", err)
	}
	return nil
}

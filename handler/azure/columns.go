package azure

import (
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/data/aztables"
)

// Columns reads an entity's columns by their names. A column that is missing or has another
// type reads as the zero value, and Faulty reports it. Make one with NewColumns.
type Columns struct {
	values map[string]any
	faulty bool
}

// NewColumns returns a reader of the entity's columns.
func NewColumns(entity aztables.EDMEntity) *Columns { return &Columns{values: entity.Properties} }

// Has reports whether the entity has a column.
func (c *Columns) Has(name string) bool { return c.values[name] != nil }

// Int64 reads an Edm.Int64.
func (c *Columns) Int64(name string) int64 { return int64(column[aztables.EDMInt64](c, name)) }

// Text reads an Edm.String.
func (c *Columns) Text(name string) string { return column[string](c, name) }

// Time reads an Edm.DateTime.
func (c *Columns) Time(name string) time.Time {
	return time.Time(column[aztables.EDMDateTime](c, name))
}

// Faulty reports whether any column that was read is missing or has another type.
func (c *Columns) Faulty() bool { return c.faulty }

// column reads a column of type T.
func column[T any](c *Columns, name string) T {
	value, ok := c.values[name].(T)
	c.faulty = c.faulty || !ok
	return value
}

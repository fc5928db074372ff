package subscription

import (
	"encoding/json"
	"unicode/utf16"

	"tollgate/handler/field"
)

// checkText adds a fault if a text that others will see has hidden characters.
func (f *faults) checkText(name, text string) {
	f.check(field.Printable(text), name, "has a control character, or a mark that changes the direction of the text", "remove it")
}

// maxColumn is the longest JSON stored in a column, in UTF-16 code units. Table Storage
// allows 32,768, and an audit row holds two such values: before and after a change.
// Source: https://learn.microsoft.com/rest/api/storageservices/understanding-the-table-service-data-model
const maxColumn = 12_000

// checkColumnSize adds a fault if a value's JSON doesn't fit into a column.
func (f *faults) checkColumnSize(field string, value any) {
	text, err := json.Marshal(value)
	f.check(err == nil && len(utf16.Encode([]rune(string(text)))) <= maxColumn, field, "is longer than 12000 characters as JSON, the most that can be stored", "shorten it")
}

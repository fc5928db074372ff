package subscription

import (
	"encoding/json"
	"strings"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"
)

// shown says whether a text reads everywhere as it is: it has no control
// character, which a terminal would obey, no line separator, no mark that turns
// the direction of what follows, and is UTF-8.
func shown(text string) bool {
	return utf8.ValidString(text) && strings.IndexFunc(text, hidden) < 0
}

func hidden(r rune) bool {
	return unicode.In(r, unicode.Cc, unicode.Zl, unicode.Zp, unicode.Bidi_Control, unicode.Noncharacter_Code_Point) || r == '\uFEFF' || r == utf8.RuneError
}

// text checks a text that operators choose and others are shown.
func (f *faults) text(field, text string) {
	f.check(shown(text), field, "has a control character, or a mark that changes the direction of the text", "leave it out")
}

// maxColumn is the longest JSON that a column holds, in UTF-16 code units. Table
// Storage takes 32,768, and a change's row in the audit holds two of them, before
// and after, beside the other fields.
// Source: https://learn.microsoft.com/rest/api/storageservices/understanding-the-table-service-data-model
const maxColumn = 12_000

// column checks that a value that is stored as JSON has room in its column.
func (f *faults) column(field string, value any) {
	text, err := json.Marshal(value)
	f.check(err == nil && len(utf16.Encode([]rune(string(text)))) <= maxColumn, field, "is longer than 12000 characters as JSON, which is what can be stored", "shorten it")
}

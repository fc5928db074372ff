package subscription

import (
	"encoding/json"
	"strings"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"
)

// printable reports whether a text can be shown safely anywhere: it is UTF-8 without
// control characters, which a terminal would obey, line separators, and marks that
// change the direction of the text around it.
func printable(text string) bool {
	return utf8.ValidString(text) && strings.IndexFunc(text, unprintable) < 0
}

func unprintable(r rune) bool {
	return unicode.In(r, unicode.Cc, unicode.Zl, unicode.Zp, unicode.Bidi_Control, unicode.Noncharacter_Code_Point) || r == '\uFEFF' || r == utf8.RuneError
}

// checkText checks a text that an operator chooses and others see.
func (f *faults) checkText(field, text string) {
	f.check(printable(text), field, "has a control character, or a mark that changes the direction of the text", "remove it")
}

// maxColumn is the longest JSON stored in a column, in UTF-16 code units. Table Storage
// allows 32,768; an audit row must hold two such values, before and after a change.
// Source: https://learn.microsoft.com/rest/api/storageservices/understanding-the-table-service-data-model
const maxColumn = 12_000

// checkColumnSize checks that a value, encoded as JSON, fits its column.
func (f *faults) checkColumnSize(field string, value any) {
	text, err := json.Marshal(value)
	f.check(err == nil && len(utf16.Encode([]rune(string(text)))) <= maxColumn, field, "is longer than 12000 characters as JSON, the most that can be stored", "shorten it")
}

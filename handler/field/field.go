// Package field describes faults in fields of documents that people write, such as a tier or
// a price, and tells which texts are safe to show to others.
//
// Start reading at [Faults].
package field

import (
	"errors"
	"strings"
	"unicode"
	"unicode/utf8"
)

// An Error says what is wrong with one field and how to fix it.
type Error struct {
	Field   string // its JSON name
	Problem string // a predicate of the field: "is out of range"
	Fix     string // an imperative: "use 0s to 2m"
}

// Error returns the field, the problem and the fix in one sentence.
func (e *Error) Error() string { return e.Field + " " + e.Problem + ": " + e.Fix }

// Faults collects everything that is wrong with a value.
type Faults []error

// Check adds a fault of a field unless ok.
func (f *Faults) Check(ok bool, field, problem, fix string) {
	if !ok {
		*f = append(*f, &Error{field, problem, fix})
	}
}

// Err returns all faults as one error, or nil.
func (f *Faults) Err() error { return errors.Join(*f...) }

// Printable reports whether a text is safe to show anywhere: it is UTF-8 and has no control
// characters, which a terminal would obey, no line separators, and no marks that change the
// direction of the text around them.
func Printable(text string) bool {
	return utf8.ValidString(text) && strings.IndexFunc(text, unprintable) < 0
}

func unprintable(r rune) bool {
	return unicode.In(r, unicode.Cc, unicode.Zl, unicode.Zp, unicode.Bidi_Control, unicode.Noncharacter_Code_Point) || r == '\uFEFF' || r == utf8.RuneError
}

package fields

import (
	"encoding/json"
	"slices"
)

// Span is a range of a body, in bytes; empty if the field is absent.
type Span struct{ Start, End int }

// Present reports whether the field is there.
func (s Span) Present() bool { return s.End > 0 }

// Splice is a change of a body: what replaces a span.
type Splice struct {
	Span
	Text string
}

// Set returns the splice that sets a field to value, which is JSON. It replaces the
// present value, whose span is at. If the field is absent, it inserts one at start, the
// position after the object's opening brace.
func Set(key string, at Span, start int, value string) Splice {
	if at.Present() {
		return Splice{at, value}
	}
	return Splice{Span{start, start}, `"` + key + `":` + value + `,`}
}

// Apply returns the body with the splices made, in pieces to be sent in order. Splices
// must not overlap; insertions at the same place keep their order.
func Apply(body []byte, splices []Splice) [][]byte {
	slices.SortStableFunc(splices, func(a, b Splice) int { return a.Start - b.Start })
	pieces := make([][]byte, 0, 2*len(splices)+1)
	done := 0
	for _, s := range splices {
		pieces = append(pieces, body[done:s.Start], []byte(s.Text))
		done = s.End
	}
	return append(pieces, body[done:])
}

// Quote returns text as a JSON string.
func Quote(text string) string {
	quoted, err := json.Marshal(text)
	if err != nil {
		panic(err) // a string always marshals
	}
	return string(quoted)
}

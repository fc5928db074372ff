package chat

import (
	"cmp"
	"slices"
)

// change replaces the bytes of a span, which may be empty.
type change struct {
	at   span
	with string
}

// splice is body with changes, which don't overlap, applied. Without any it is body itself.
func splice(body []byte, changes []change) []byte {
	if len(changes) == 0 {
		return body
	}
	slices.SortStableFunc(changes, func(a, b change) int { return cmp.Compare(a.at.start, b.at.start) })
	size := len(body)
	for _, c := range changes {
		size += len(c.with)
	}
	edited := make([]byte, 0, size)
	from := 0
	for _, c := range changes {
		edited = append(edited, body[from:c.at.start]...)
		edited = append(edited, c.with...)
		from = c.at.end
	}
	return append(edited, body[from:]...)
}

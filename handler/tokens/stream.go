package tokens

import (
	"unicode/utf8"

	"tollgate/handler/tokens/internal/split"
)

// Stream counts a text that arrives in pieces. It keeps only the end of the text,
// usually a word, whose count the next piece can still change.
type Stream struct {
	tables *tables
	tokens int // of the text before end
	end    []byte
}

// Stream returns a count that starts at 0.
func (e *Encoding) Stream() *Stream { return &Stream{tables: e.tables} }

// Write adds the next piece of the text.
func (s *Stream) Write(text string) {
	if text == "" {
		return
	}
	t := s.tables.get()
	searched := max(0, len(s.end)-utf8.UTFMax) // there is no place to cut before this
	s.end = append(s.end, text...)
	cut := split.Cut(s.end, searched, t.specials.longest)
	if cut == searched {
		return
	}
	w := t.borrow()
	defer t.release(w)
	s.tokens += t.count(s.end[:cut], w)
	s.end = s.end[:copy(s.end, s.end[cut:])]
}

// Count returns the number of tokens of the text so far.
func (s *Stream) Count() int {
	t := s.tables.get()
	w := t.borrow()
	defer t.release(w)
	return s.tokens + t.count(s.end, w)
}

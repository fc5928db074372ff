package tokens

import (
	"unicode/utf8"

	"tollgate/handler/tokens/internal/split"
)

// Stream counts a text that comes in pieces, as it comes. It keeps only the
// end of the text, from the last place where what follows can't change the
// count before it: mostly a word.
type Stream struct {
	tables *tables
	tokens int // of the text before end
	end    []byte
}

// Stream begins a count.
func (e *Encoding) Stream() *Stream { return &Stream{tables: e.tables} }

// Write adds the next piece.
func (s *Stream) Write(text string) {
	if text == "" {
		return
	}
	t := s.tables.get()
	looked := max(0, len(s.end)-utf8.UTFMax) // before there was no place to cut
	s.end = append(s.end, text...)
	cut := split.Cut(s.end, looked, t.specials.longest)
	if cut == looked {
		return
	}
	w := t.borrow()
	defer t.giveBack(w)
	s.tokens += t.count(s.end[:cut], w)
	s.end = s.end[:copy(s.end, s.end[cut:])]
}

// Count is how many tokens the text has so far.
func (s *Stream) Count() int {
	t := s.tables.get()
	w := t.borrow()
	defer t.giveBack(w)
	return s.tokens + t.count(s.end, w)
}

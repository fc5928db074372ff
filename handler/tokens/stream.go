package tokens

// Stream counts a text that comes in pieces.
type Stream struct {
	tables *tables
	text   []byte
}

// Stream begins a count.
func (e *Encoding) Stream() *Stream { return &Stream{tables: e.tables} }

// Write adds the next piece.
func (s *Stream) Write(text string) { s.text = append(s.text, text...) }

// Count is how many tokens the text has so far.
func (s *Stream) Count() int {
	t := s.tables.get()
	w := t.borrow()
	defer t.pool.Put(w)
	return t.count(s.text, w)
}

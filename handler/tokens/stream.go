package tokens

// Stream counts a text that comes in pieces.
type Stream struct {
	tables *tables
	tail   []byte
}

// Stream begins a count.
func (e *Encoding) Stream() *Stream { return &Stream{tables: e.tables} }

// Write adds the next piece.
func (s *Stream) Write(text string) { s.tail = append(s.tail, text...) }

// Count is how many tokens the text has so far.
func (s *Stream) Count() int {
	t := s.tables.get()
	w := t.borrow()
	defer t.pool.Put(w)
	return t.count(s.tail, w)
}

package tokens

// Rendered returns a chat's text as the model reads it.
func (e *Encoding) Rendered(messages []byte) (string, error) {
	list, err := readMessages(nil, messages)
	var w workspace
	e.template(e.tables.get(), &w, list)
	return string(w.text), err
}

// Kept returns the number of bytes of text that the stream keeps.
func (s *Stream) Kept() int { return len(s.end) }

// Pooled returns the size in bytes of the buffers kept for the next count, and whether
// they refer to the last prompt.
func (e *Encoding) Pooled() (bytes int, refers bool) {
	t := e.tables.get()
	w := t.borrow()
	defer t.release(w)
	for _, m := range w.messages[:cap(w.messages)] {
		refers = refers || m.role != nil || m.content != nil || m.name != nil || m.toolCalls != nil
	}
	const message = 4 * 24
	return cap(w.text) + cap(w.valid) + message*cap(w.messages) + w.scratch.Held(), refers
}

package tokens

// Rendered is what the model reads of a chat, beside its images.
func (e *Encoding) Rendered(messages []byte) (string, error) {
	list, err := readMessages(nil, messages)
	var w workspace
	e.template(e.tables.get(), &w, list)
	return string(w.text), err
}

// Kept is how many bytes of the text the stream holds.
func (s *Stream) Kept() int { return len(s.end) }

// Pooled is how many bytes the buffers hold that wait for the encoding's next
// count, and whether they still refer to the last prompt.
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

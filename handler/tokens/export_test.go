package tokens

// Rendered is what the model reads of a chat, beside its images.
func (e *Encoding) Rendered(messages []byte) (string, error) {
	list, err := readMessages(nil, messages)
	var w work
	e.template(e.tables.get(), &w, list)
	return string(w.text), err
}

// Kept is how many bytes of the text the stream holds.
func (s *Stream) Kept() int { return len(s.end) }

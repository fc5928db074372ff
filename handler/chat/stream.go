package chat

import "bytes"

// Stream follows a streamed answer: it splits it into events and reads from
// them what the call took and what the model wrote. The zero Stream is ready
// for use.
//
// To be inspected, events must be those that its own Split and End yield.
type Stream struct {
	Splitter
	// Text, if set, is given what the model writes, to count when usage is
	// missing; of what can't be read, the text up to there, or else the bytes,
	// which may have been that.
	Text Text

	// Usage is the last that was told; believe it only if Told says so.
	Usage  Usage
	Report Report
	// Stale is whether the model wrote on after Usage was told: an upstream
	// that tells it in every chunk was cut off.
	Stale bool
	// Finished is whether a finish_reason came and no text after it, Done
	// whether [DONE] came.
	Finished, Done bool
	// Failed is whether an error event came.
	Failed bool
	// Unread counts events that couldn't be read: longer than 1 MiB, or no
	// JSON. They may have held usage or text.
	Unread int

	written bool
	payload payload
	joined  []byte
}

// Told says whether Usage is what the stream took, as far as it has come.
func (s *Stream) Told() bool { return s.Report == UsageTold && !s.Stale }

// Kind is what an event is.
type Kind int

const (
	// Other is an event without data, such as a comment, or one of another
	// kind's data.
	Other Kind = iota
	// Chunk is a part of the answer.
	Chunk
	// UsageOnly is a chunk with usage, believable or not, and no choices: what
	// upstream adds for include_usage. Hide it from a caller who didn't ask for it.
	UsageOnly
	// Failure is an error, though the answer began as a success.
	Failure
	// Done is the [DONE] that ends a stream.
	Done
)

// Inspect reads one event.
func (s *Stream) Inspect(event []byte) Kind {
	if !s.whole {
		return s.unread(event)
	}
	data, failure := s.data(event)
	switch {
	case len(data) == 0:
		return Other
	case string(data) == "[DONE]":
		s.Done = true
		return Done
	}
	kind := s.chunk(data)
	if failure || kind == Failure {
		s.Failed = true
		return Failure
	}
	return kind
}

// chunk reads an event's data.
func (s *Stream) chunk(data []byte) Kind {
	p := &s.payload
	*p = payload{scanner: scanner{data: data}, text: s.Text, scratch: p.scratch, torn: true}
	err := p.read()
	s.written = s.written || p.written
	s.Finished = p.finished && err == nil || s.Finished && !p.written
	s.Stale = s.Stale || p.written && s.Report == UsageTold
	switch {
	case err != nil && p.written:
		s.Unread++
		return Other
	case err != nil:
		return s.unread(data)
	}
	s.note(p)
	switch {
	case p.failed:
		return Failure
	case p.report >= UsageBad && p.choices == 0:
		return UsageOnly
	}
	return Chunk
}

// unread counts what can't be read.
func (s *Stream) unread(piece []byte) Kind {
	s.Unread++
	if s.Text != nil {
		s.Text(0, piece)
	}
	return Other
}

// note keeps the best that was told of the usage so far, and of two the last.
func (s *Stream) note(p *payload) {
	report := p.report
	if report == UsageTold && s.written && p.usage.CompletionTokens == 0 {
		report = UsageBad
	}
	if report < s.Report {
		return
	}
	s.Report = report
	if report == UsageTold {
		s.Usage, s.Stale = p.usage, false
	}
}

// data returns an event's data, trimmed, and whether the event is named error.
// Lines of data are joined as the specification has it.
func (s *Stream) data(event []byte) (data []byte, failure bool) {
	event = bytes.TrimPrefix(event, []byte("\xEF\xBB\xBF"))
	lines := 0
	for len(event) > 0 {
		var line []byte
		line, event = cutLine(event)
		name, value, _ := bytes.Cut(line, []byte(":"))
		switch string(name) {
		case "event":
			failure = string(bytes.TrimSpace(value)) == "error"
		case "data":
			if lines++; lines == 1 {
				data = value
				continue
			}
			if lines == 2 {
				s.joined = append(s.joined[:0], data...)
			}
			s.joined = append(append(s.joined, '\n'), value...)
			data = s.joined
		}
	}
	return bytes.TrimSpace(data), failure
}

// cutLine cuts a line off text, at LF or CR: the blank line that a CRLF leaves
// between the two means nothing inside an event.
func cutLine(text []byte) (line, rest []byte) {
	lf := index(text, 0, '\n')
	end := index(text[:lf], 0, '\r')
	return text[:end], text[min(end+1, len(text)):]
}

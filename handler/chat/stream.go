package chat

import (
	"bytes"
	"slices"

	"tollgate/handler/jsonscan"
)

// Stream follows a streamed answer: it splits it into events and reads from
// them what the call took and what the model wrote. The zero Stream is ready
// for use.
//
// To be inspected, events must be those that its own Split and End yield.
type Stream struct {
	Splitter
	// Text, if set, is given what the model writes, to count when usage is
	// missing; of an event that can't be read, what comes before the fault.
	Text Text

	// Usage is the last that upstream gave; believe it only if Told says so.
	Usage  Usage
	Report Report
	// Stale is whether the model wrote on after Usage came: an upstream that gives
	// it in every chunk was cut off.
	Stale bool
	// Finished is whether each choice that began has a finish_reason and no text
	// after it, Done whether [DONE] came.
	Finished, Done bool
	// Failed is whether an error event came.
	Failed bool
	// Unread counts events that couldn't be read to their end: no JSON, or too
	// much of it. They may have held usage or text.
	Unread int

	written bool
	choices choices
	payload payload
	long    long
	joined  []byte
}

// Told says whether Usage is what the stream took, as far as it has come.
func (s *Stream) Told() bool { return s.Report == UsageTold && !s.Stale }

// Is reports whether the stream is an answer, as far as it has come: a choice began,
// or it gave its usage, or an error. Comments, other data and [DONE] are none.
func (s *Stream) Is() bool {
	return len(s.choices.each) > 0 || s.Failed || s.Report == UsageTold
}

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

// Inspect reads one event, or a piece of one that is too long to be held. Of such
// an event the last piece has its kind, the others are Other.
func (s *Stream) Inspect(event []byte) Kind {
	if !s.whole {
		return s.piece(event)
	}
	data, failure := s.data(event)
	switch {
	case len(data) == 0:
		return Other
	case string(data) == "[DONE]":
		s.Done = true
		return Done
	}
	return s.chunk(data, failure, false)
}

// piece reads a piece of a long event.
func (s *Stream) piece(piece []byte) Kind {
	l := &s.long
	l.text = s.Text
	l.read(piece)
	if !s.last {
		return Other
	}
	defer func() { s.long = long{} }()
	if l.broken {
		s.Unread++
	}
	if len(l.kept) == 0 {
		return Other
	}
	return s.chunk(l.kept, l.failed, l.written)
}

// chunk reads an event's data. The event may be named an error, and text of it may
// have been read before.
func (s *Stream) chunk(data []byte, failure, written bool) Kind {
	p := &s.payload
	*p = payload{Scanner: jsonscan.New(data, lax), text: s.Text, scratch: p.scratch, choices: p.choices[:0], torn: true, written: written}
	if p.read() != nil {
		s.Unread++
	}
	s.written = s.written || p.written
	s.Stale = s.Stale || p.written && s.Report == UsageTold
	s.choices.add(p.choices)
	s.Finished = s.choices.finished()
	s.note(p)
	switch {
	case failure || p.failed && !p.written:
		s.Failed = true
		return Failure
	case p.report >= UsageBad && len(p.choices) == 0:
		return UsageOnly
	case len(p.choices) == 0 && !p.listed && p.report == UsageMissing:
		return Other
	}
	return Chunk
}

// note keeps the best that was given of the usage so far, and of two the last.
func (s *Stream) note(p *payload) {
	usage, report := p.usage, p.report
	if sum, told := s.choices.usage(); told && report != UsageTold && slices.ContainsFunc(p.choices, func(r read) bool { return r.report == UsageTold }) {
		usage, report = sum, UsageTold
	}
	if report == UsageTold && s.written && usage.CompletionTokens == 0 {
		report = UsageBad
	}
	if report < s.Report {
		return
	}
	s.Report = report
	if report == UsageTold {
		s.Usage, s.Stale = usage, false
	}
}

// data returns an event's data, trimmed, and whether the event is named error.
// Lines of data are joined as the specification has it.
func (s *Stream) data(event []byte) (data []byte, failure bool) {
	event = bytes.TrimPrefix(event, []byte(byteOrderMark))
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

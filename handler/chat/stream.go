package chat

import (
	"bytes"
	"slices"

	"tollgate/handler/jsonscan"
	"tollgate/handler/limit"
)

// Stream follows a streamed answer: it splits it into events and reads the usage and
// the text from them. The zero Stream is ready for use.
//
// Call Inspect with the events that the Stream's own Split and End yield.
type Stream struct {
	Splitter
	// Text, if set, receives what the model writes, to be counted if usage is
	// missing. It gets the part of a malformed event that precedes the fault.
	Text Text

	// Usage is the last that upstream sent. It is valid only if UsageCurrent.
	Usage  limit.Usage
	Report Report
	// Stale reports whether the model continued to write after Usage arrived. It is
	// set if an upstream that sends usage in every chunk is cut off.
	Stale bool
	// Finished reports whether every choice that began has a finish_reason and no
	// text after that. Done reports whether [DONE] arrived.
	Finished, Done bool
	// Failed reports whether an error event arrived.
	Failed bool
	// Unread is the number of events that couldn't be read to their end, as they
	// weren't JSON or too large. They may have held usage or text.
	Unread int

	written bool
	choices choices
	payload payload
	long    longEvent
	joined  []byte
}

// UsageCurrent reports whether Usage is the usage of the stream so far.
func (s *Stream) UsageCurrent() bool { return s.Report == UsageGood && !s.Stale }

// IsAnswer reports whether the stream so far is an answer: it has a choice, usage or
// an error. Comments, other data and [DONE] don't make one.
func (s *Stream) IsAnswer() bool {
	return len(s.choices.each) > 0 || s.Failed || s.Report == UsageGood
}

// Kind is the kind of an event.
type Kind int

const (
	// Other is an event without data, such as a comment, or with data that isn't part
	// of an answer.
	Other Kind = iota
	// Chunk is a part of the answer.
	Chunk
	// UsageOnly is a chunk with usage, good or bad, and no choices, which upstream
	// adds for include_usage. Hide it from a caller that didn't ask for it.
	UsageOnly
	// Failure is an error, although the answer began with a 200.
	Failure
	// Done is the [DONE] that ends a stream.
	Done
)

// Inspect reads one event, or one piece of a long event. The last piece of such an
// event returns the event's kind, the others Other.
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
	defer func() { s.long = longEvent{} }()
	if l.broken {
		s.Unread++
	}
	if len(l.kept) == 0 {
		return Other
	}
	return s.chunk(l.kept, l.failed, l.written)
}

// chunk reads an event's data. failure reports whether the event's name is error, and
// written whether text of it has been passed on already.
func (s *Stream) chunk(data []byte, failure, written bool) Kind {
	p := &s.payload
	*p = payload{Scanner: jsonscan.New(data, lax), text: s.Text, scratch: p.scratch, choices: p.choices[:0], written: written}
	if p.read() != nil {
		s.Unread++
	}
	s.written = s.written || p.written
	s.Stale = s.Stale || p.written && s.Report == UsageGood
	s.choices.add(p.choices)
	s.Finished = s.choices.finished()
	s.keepUsage(p)
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

// keepUsage keeps the most trustworthy usage so far, and of equal ones the last.
func (s *Stream) keepUsage(p *payload) {
	usage, report := p.usage, p.report
	if sum, known := s.choices.usage(); known && report != UsageGood && slices.ContainsFunc(p.choices, func(c choiceState) bool { return c.report == UsageGood }) {
		usage, report = sum, UsageGood
	}
	if report == UsageGood && s.written && usage.CompletionTokens == 0 {
		report = UsageBad
	}
	if report < s.Report {
		return
	}
	s.Report = report
	if report == UsageGood {
		s.Usage, s.Stale = usage, false
	}
}

// data returns an event's data, trimmed, and whether the event's name is error. It
// joins several lines of data with LF, as the specification says.
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

// cutLine cuts the first line off text, at LF or CR. A CRLF makes an additional blank
// line, which has no meaning inside an event.
func cutLine(text []byte) (line, rest []byte) {
	lf := index(text, 0, '\n')
	end := index(text[:lf], 0, '\r')
	return text[:end], text[min(end+1, len(text)):]
}

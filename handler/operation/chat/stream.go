package chat

import (
	"regexp"
	"slices"

	"tollgate/handler/jsonscan"
	"tollgate/handler/operation"
	"tollgate/handler/operation/lax"
	"tollgate/handler/operation/sse"
)

// Stream follows a streamed answer, which [DONE] ends. It is an operation.Stream. The
// zero Stream is ready for use.
type Stream struct {
	sse.Splitter
	operation.Progress
	// Text, if set, receives what the model writes, to be counted if usage is missing. Of
	// a malformed event it receives what precedes the fault.
	Text operation.Text

	written bool
	choices choices
	payload payload // of the last event
	frame   frame   // of the last event
	long    sse.LongEvent
}

// Follow returns a Stream: it is operation.Operation's Follow.
func Follow(text operation.Text) operation.Stream { return &Stream{Text: text} }

// State implements operation.Stream. The stream so far is an answer if it has a choice,
// usage or an error, and finished if every choice that began has a finish_reason and no
// text after that.
func (s *Stream) State() operation.Progress { return s.Progress }

// Inspect reads one event, or one piece of a long event. The last piece of such an
// event returns the event's kind, the others Other.
func (s *Stream) Inspect(event []byte) operation.Kind {
	if !s.Whole() {
		return s.piece(event)
	}
	data, failure := s.Data(event)
	switch {
	case len(data) == 0:
		return operation.Other
	case string(data) == "[DONE]":
		s.Done = true
		return operation.Done
	}
	return s.chunk(data, failure, false)
}

// piece reads a piece of a long event.
func (s *Stream) piece(piece []byte) operation.Kind {
	l := &s.long
	l.IsText, l.Text = isText.MatchString, nil
	if s.Text != nil {
		l.Text = func(text []byte) { s.Text(0, text) } // the index may come later
	}
	l.Read(piece)
	if !s.Last() {
		return operation.Other
	}
	defer func() { s.long = sse.LongEvent{} }()
	if l.Broken {
		s.Unread++
	}
	if len(l.Kept) == 0 {
		return operation.Other
	}
	return s.chunk(l.Kept, l.Failed, l.Written)
}

// chunk reads an event's data. failure reports whether the event's name is error, and
// written whether text of it has been passed on already.
func (s *Stream) chunk(data []byte, failure, written bool) operation.Kind {
	p := &s.payload
	if text := s.frame.textOf(data); text != nil && !failure && !written { // p is what reading data would make of it
		if s.Text != nil {
			s.Text(p.textChoice, text)
		}
	} else {
		*p = payload{Scanner: jsonscan.New(data, lax.Options), text: s.Text, scratch: p.scratch, choices: p.choices[:0], written: written}
		err := p.read()
		if err != nil {
			s.Unread++
		}
		s.frame.set(data, p, err == nil && !failure && !written)
	}
	s.written = s.written || p.written
	s.Stale = s.Stale || p.written && s.Report == operation.UsageGood
	s.choices.add(p.choices)
	s.Finished = s.choices.finished()
	s.keepUsage(p)
	failed := failure || p.failed && !p.written
	s.Failed = s.Failed || failed
	s.IsAnswer = len(s.choices.each) > 0 || s.Failed || s.Report == operation.UsageGood
	switch {
	case failed:
		return operation.Failure
	case p.report >= operation.UsageBad && len(p.choices) == 0:
		return operation.UsageOnly
	case len(p.choices) == 0 && !p.listed && p.report == operation.UsageMissing:
		return operation.Other
	}
	return operation.Chunk
}

// keepUsage keeps the most trustworthy usage so far, and of equal ones the last.
func (s *Stream) keepUsage(p *payload) {
	usage, report := p.usage, p.report
	if sum, known := s.choices.usage(); known && report != operation.UsageGood && slices.ContainsFunc(p.choices, func(c choiceState) bool { return c.report == operation.UsageGood }) {
		usage, report = sum, operation.UsageGood
	}
	if report == operation.UsageGood && s.written && usage.CompletionTokens == 0 {
		report = operation.UsageBad
	}
	if report < s.Report {
		return
	}
	s.Report = report
	if report == operation.UsageGood {
		s.Usage, s.Stale = usage, false
	}
}

// isText matches the paths of text that the model wrote: of what payload passes on.
var isText = regexp.MustCompile(`^choices/(text|(delta|message)/(` +
	`refusal|(content|reasoning_content|reasoning)(/(text|thinking))*|` +
	`(tool_calls/(function|custom)|function_call)/(name|arguments|input)))$`)

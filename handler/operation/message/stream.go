package message

import (
	"tollgate/handler/jsonscan"
	"tollgate/handler/operation"
	"tollgate/handler/operation/lax"
	"tollgate/handler/operation/sse"
)

// stream follows a streamed message. It is an operation.Stream.
type stream struct {
	sse.Splitter
	operation.Progress
	text    operation.Text
	scratch []byte

	usage          counts
	long           bool // a long event is arriving in pieces
	open           int  // content blocks that have begun and not ended
	stopped        bool // a stop_reason has come
	written        bool // there is text
	textAfterUsage bool // there is text after the last usage
	deltaUsage     bool // a message_delta had usage
}

// follow returns a stream: it is operation.Operation's Follow.
func follow(text operation.Text) operation.Stream { return &stream{text: text, usage: noCounts} }

// State implements operation.Stream. The usage isn't current before the message_delta with
// the stop_reason: until then the model may be writing text that the stream doesn't show.
func (s *stream) State() operation.Progress { return s.Progress }

// Inspect reads one event. It doesn't read the pieces of an event that is too long to be
// buffered.
func (s *stream) Inspect(event []byte) operation.Kind {
	if !s.Whole() {
		if !s.long {
			s.Unread++
		}
		s.long = true
		return operation.Other
	}
	s.long = false
	data, _ := s.Data(event)
	if len(data) == 0 {
		return operation.Other
	}
	p := payload{Scanner: jsonscan.New(data, lax.Options), text: s.text, scratch: s.scratch}
	if p.read() != nil {
		s.Unread++
	}
	s.scratch = p.scratch
	return s.add(&p)
}

// add adds an event to the progress, and returns its kind.
func (s *stream) add(p *payload) operation.Kind {
	s.written, s.textAfterUsage = s.written || p.written, s.textAfterUsage || p.written
	s.stopped = s.stopped || p.stopped
	kind := operation.Chunk
	switch p.kind {
	case "message_start", "message_delta":
		s.keepUsage(p)
	case "content_block_start":
		s.open++
	case "content_block_stop":
		s.open = max(0, s.open-1)
	case "content_block_delta":
	case "message_stop":
		s.Done = true
		kind = operation.Done
	default:
		if kind = operation.Other; p.failed {
			s.Failed = true
			kind = operation.Failure
		}
	}
	s.IsAnswer = s.IsAnswer || kind != operation.Other
	s.Begun = s.Begun || kind == operation.Chunk
	s.Finished = s.stopped && s.open == 0
	s.Stale = s.textAfterUsage || !s.deltaUsage || !s.stopped && !s.Done
	return kind
}

// keepUsage keeps the counts of an event, which are cumulative. Usage that can't be true
// doesn't replace usage that can, but makes it stale.
func (s *stream) keepUsage(p *payload) {
	if p.report == operation.UsageMissing || p.report == operation.UsageNull {
		s.Report = max(s.Report, p.report)
		return
	}
	if p.report == operation.UsageGood {
		s.usage.update(p.usage)
		s.Prompt = s.usage.promptUsage()
	}
	report := s.usage.report(s.written)
	if p.kind == "message_delta" {
		s.deltaUsage, s.textAfterUsage = p.report == operation.UsageGood && report == operation.UsageGood, false
	}
	if s.Report = max(s.Report, report); report == operation.UsageGood {
		s.Usage = s.usage.usage()
	}
}

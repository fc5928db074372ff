package response

import (
	"strings"

	"tollgate/handler/jsonscan"
	"tollgate/handler/operation"
	"tollgate/handler/operation/lax"
	"tollgate/handler/operation/sse"
)

// Stream follows a streamed response. It is an operation.Stream. The last event holds the
// final response with its usage.
type Stream struct {
	sse.Splitter
	operation.Progress
	text operation.Text

	written bool
	scratch []byte
	long    sse.LongEvent
}

// follow is operation.Operation's Follow.
func follow(text operation.Text) operation.Stream { return &Stream{text: text} }

// State implements operation.Stream. The stream so far is an answer if it has an error or
// an event of a response, even of an unknown type.
func (s *Stream) State() operation.Progress { return s.Progress }

// ends are the types of events that end a stream. They are named after the response's
// status.
// Source: https://platform.openai.com/docs/api-reference/responses-streaming
var ends = map[string]bool{
	"response.completed": true, "response.incomplete": true, "response.failed": true, "response.cancelled": true,
}

// isText are the types of events whose delta is text of the model that is billed. A
// summary of the reasoning isn't: only the reasoning itself is.
var isText = map[string]bool{
	"response.output_text.delta": true, "response.refusal.delta": true, "response.reasoning_text.delta": true,
	"response.function_call_arguments.delta": true, "response.custom_tool_call_input.delta": true,
	"response.mcp_call_arguments.delta": true, "response.code_interpreter_call_code.delta": true,
	"response.audio.transcript.delta": true,
}

// Inspect reads one event, or one piece of a long event. The last piece of such an
// event returns the event's kind, the others Other.
func (s *Stream) Inspect(event []byte) operation.Kind {
	if !s.Whole() {
		s.long.Read(event) // its text has come in deltas before it
		if !s.Last() {
			return operation.Other
		}
		defer func() { s.long = sse.LongEvent{} }()
		if s.long.Broken {
			s.Unread++
		}
		return s.event(s.long.Kept, s.long.Failed)
	}
	return s.event(s.Data(event))
}

// event reads an event's data. failed reports whether the event's name is error.
func (s *Stream) event(data []byte, failed bool) operation.Kind {
	if len(data) == 0 || string(data) == "[DONE]" {
		return operation.Other
	}
	e := event{payload: payload{Scanner: jsonscan.New(data, lax.Options), scratch: s.scratch}}
	if e.read() != nil {
		s.Unread++
	}
	s.scratch = e.scratch
	switch {
	case e.kind == "error", failed, e.kind == "" && e.failed:
		s.Failed, s.IsAnswer = true, true
		return operation.Failure
	case !strings.HasPrefix(e.kind, "response."):
		return operation.Other
	}
	s.IsAnswer = true
	if e.id != "" {
		s.ID = e.id
	}
	if ends[e.kind] {
		return s.end(&e)
	}
	s.Begun = s.Begun || e.kind != "response.queued"
	if isText[e.kind] {
		s.write(e.delta)
	}
	return operation.Chunk
}

// write passes on text that the model wrote.
func (s *Stream) write(delta []byte) {
	if len(delta) == 0 {
		return
	}
	s.written = true
	if s.text != nil {
		s.text(0, delta)
	}
}

// end keeps the usage of the final response, and returns the kind of its event.
func (s *Stream) end(e *event) operation.Kind {
	s.Done, s.Finished = true, true
	e.written = e.written || s.written
	s.Usage, s.Report = e.usage, e.trusted()
	if e.kind == "response.failed" {
		s.Failed = true
		return operation.Failure
	}
	return operation.Done
}

// An event is the data of one event.
type event struct {
	payload // the response in it
	kind    string
	delta   []byte
}

// read reads an event's data.
func (e *event) read() error {
	if e.Peek() != '{' {
		return e.Skip()
	}
	return e.Object(func(key []byte) (err error) {
		switch string(key) {
		case "type":
			e.kind, err = e.string()
		case "response":
			err = e.response()
		case "delta":
			err = e.readDelta()
		case "error":
			var found bool
			found, err = lax.NonEmpty(&e.Scanner)
			e.failed = e.failed || found && err == nil
		default:
			err = e.Skip()
		}
		return err
	})
}

// readDelta reads a delta. One that isn't a string is skipped.
func (e *event) readDelta() error {
	if e.Peek() != '"' {
		return e.Skip()
	}
	text, scratch, err := lax.Text(&e.Scanner, e.scratch)
	e.delta, e.scratch = text, scratch
	return err
}

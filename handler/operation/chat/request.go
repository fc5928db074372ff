package chat

import (
	"tollgate/handler/jsonscan"
	"tollgate/handler/operation"
	"tollgate/handler/operation/fields"
	"tollgate/handler/tokens"
)

// Request is a call for chat completions: the fields that determine how it is metered
// and where it goes. The rest of the body is kept without being interpreted.
type Request struct {
	// Model is the requested model; empty if the body names none.
	Model string
	// Stream asks for the answer as server-sent events.
	Stream bool
	// Usage is the caller's stream_options.
	Usage fields.UsageOption
	// N is the number of completions, 1 by default.
	N int64
	// MaxTokens and MaxCompletionTokens are the caller's caps on each completion, in
	// tokens. They are nil if absent, null or 0, which servers of DeepSeek's models
	// take for no cap.
	MaxTokens, MaxCompletionTokens *int64
	// Dearer is as in operation.Envelope.
	Dearer []operation.DearerField
	// DataSources asks Azure to answer from the caller's own data. Azure refuses such
	// a call if it has stream_options.
	DataSources bool
	// Messages and Tools are the raw JSON of these fields, slices of the body.
	// Messages is an array of at least one object; Tools may be nil.
	Messages, Tools []byte

	body []byte
	at   positions
}

// positions holds the ranges of the values that Rewrite may replace.
type positions struct {
	object                          int // of the byte after the body's brace
	model, maxTokens, maxCompletion fields.Span
}

// topLevel are the fields of a call that Parse reads.
var topLevel = jsonscan.Keys{Fold: true, Known: map[string]bool{
	"model": true, "messages": true, "tools": true, "stream": true, "stream_options": true,
	"n": true, "max_tokens": true, "max_completion_tokens": true, "service_tier": true,
}}

// inMessages are the fields, at any depth of a message, whose text is counted. No
// object in a message may have two keys that differ only in case.
var inMessages = jsonscan.Keys{Fold: true, Known: map[string]bool{
	"role": true, "content": true, "reasoning_content": true, "type": true, "text": true,
	"name": true, "tool_calls": true, "function": true, "arguments": true,
}}

// Parse reads a call's body. It refuses anything that two readers could understand
// differently: repeated keys, keys that differ only in case, text that isn't UTF-8,
// counts with a fraction or exponent. To bound memory it also refuses more than 4,096
// messages, or 65,536 objects, keys and strings. Every error is a *operation.FieldError.
//
// The Request refers to body, which must not change afterwards.
func Parse(body []byte) (*Request, error) {
	r := &Request{N: 1, body: body}
	start, err := fields.Body(body, topLevel, "a JSON object with messages", r.field)
	if err == nil && r.Messages == nil {
		err = noMessages
	}
	if err != nil {
		return nil, err
	}
	r.at.object = start
	return r, nil
}

var noMessages = operation.Wrong("messages", "is missing or empty", "send at least one message")

// field reads the value of one of the body's keys.
func (r *Request) field(s *jsonscan.Scanner, key []byte) (err error) {
	switch string(key) {
	case "model":
		r.Model, r.at.model, err = fields.String(s, "model")
	case "messages":
		r.Messages, err = readMessages(s)
	case "tools":
		r.Tools, err = readTools(s)
	case "stream":
		r.Stream, _, err = fields.Bool(s, "stream")
	case "stream_options":
		err = r.Usage.Read(s)
	case "n":
		var n *int64
		if n, _, err = fields.Integer(s, "n", 1); n != nil {
			r.N = *n
		}
	case "max_tokens":
		r.MaxTokens, r.at.maxTokens, err = readCap(s, "max_tokens")
	case "max_completion_tokens":
		r.MaxCompletionTokens, r.at.maxCompletion, err = readCap(s, "max_completion_tokens")
	case "service_tier":
		r.Dearer, err = fields.AppendServiceTier(r.Dearer, s)
	case "data_sources", "dataSources":
		if r.DataSources = !s.Literal("null"); r.DataSources {
			err = s.Skip()
		}
	default:
		err = s.Skip()
	}
	return err
}

// readMessages checks the messages and returns them.
func readMessages(s *jsonscan.Scanner) ([]byte, error) {
	start := s.Pos()
	n, err := fields.Messages(s, inMessages)
	if err == nil && n == 0 {
		err = noMessages
	}
	return s.Since(start), err
}

func readTools(s *jsonscan.Scanner) ([]byte, error) {
	start := s.Pos()
	if s.Literal("null") {
		return nil, nil
	}
	if s.Peek() != '[' {
		return nil, operation.Wrong("tools", "must be an array", "leave it out, or send an array of tools")
	}
	if err := s.Skip(); err != nil {
		return nil, fields.Explain("tools", err, s.Pos())
	}
	return s.Since(start), nil
}

// readCap reads a cap; nil means none.
// Source: https://github.com/sgl-project/sglang/blob/main/python/sglang/srt/entrypoints/openai/protocol.py
func readCap(s *jsonscan.Scanner, field string) (*int64, fields.Span, error) {
	most, at, err := fields.Integer(s, field, 0)
	if most != nil && *most == 0 {
		most = nil
	}
	return most, at, err
}

// Envelope implements operation.Request.
func (r *Request) Envelope() operation.Envelope {
	return operation.Envelope{
		Model: r.Model, Stream: r.Stream, Completions: r.N, Dearer: r.Dearer,
		UsageOnRequest: r.Stream && !r.Usage.Include && !r.DataSources,
	}
}

// Count implements operation.Request.
func (r *Request) Count(encoding *tokens.Encoding) (int64, error) {
	count, err := encoding.CountChat(r.Messages, r.Tools)
	if err != nil {
		return 0, operation.Wrong("messages", "can't be read", "send an array of messages")
	}
	return int64(count), nil
}

// Bound implements operation.Request.
func (r *Request) Bound(encoding *tokens.Encoding) int64 {
	return int64(encoding.Bound(r.Messages, r.Tools))
}

// WithoutBody implements operation.Request.
func (r *Request) WithoutBody() operation.Request {
	rest := *r
	rest.body, rest.Messages, rest.Tools = nil, nil, nil
	return &rest
}

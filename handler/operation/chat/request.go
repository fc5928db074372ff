package chat

import (
	"errors"
	"fmt"
	"strconv"
	"unicode/utf8"

	"tollgate/handler/jsonscan"
	"tollgate/handler/operation"
	"tollgate/handler/tokens"
)

// Request is a call for chat completions: the fields that determine how it is metered
// and where it goes. The rest of the body is kept without being interpreted.
type Request struct {
	// Model is the requested model; empty if the body names none.
	Model string
	// Stream asks for the answer as server-sent events.
	Stream bool
	// IncludeUsage is the caller's own stream_options.include_usage.
	IncludeUsage bool
	// N is the number of completions, 1 by default.
	N int64
	// MaxTokens and MaxCompletionTokens are the caller's caps on each completion, in
	// tokens. They are nil if absent, null or 0, which servers of DeepSeek's models
	// read as no cap.
	MaxTokens, MaxCompletionTokens *int64
	// DataSources asks Azure to answer from the caller's own data. Azure refuses such
	// a call if it has stream_options.
	DataSources bool
	// Messages and Tools are the raw JSON of these fields, slices of the body.
	// Messages is an array of at least one object; Tools may be nil.
	Messages, Tools []byte

	body []byte
	at   positions
}

// span is a range of the body; empty if the field is absent.
type span struct{ start, end int }

func (s span) present() bool { return s.end > 0 }

// positions holds the ranges of the values that Rewrite may replace.
type positions struct {
	object                                        int // of the byte after the body's brace
	model, maxTokens, maxCompletion, options, use span
	optionsEmpty                                  bool
	optionsNull                                   bool
}

const (
	// maxMessages is the most messages of a call: far more than any chat has, and few
	// enough that the memory for each is small compared with the body.
	maxMessages = 4096
	// maxElements is the most objects, keys and strings of a body, for the same
	// reason.
	maxElements = 65536
)

// topLevel are the fields of a call that Parse reads.
var topLevel = jsonscan.Keys{Fold: true, Known: map[string]bool{
	"model": true, "messages": true, "tools": true, "stream": true, "stream_options": true,
	"n": true, "max_tokens": true, "max_completion_tokens": true,
}}

var streamOptions = jsonscan.Keys{Fold: true, Known: map[string]bool{"include_usage": true}}

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
	if !utf8.Valid(body) {
		return nil, operation.Wrong("", "the body is not valid UTF-8", "send JSON in UTF-8")
	}
	r := &Request{N: 1, body: body}
	s := jsonscan.New(body, jsonscan.Options{Distinct: true, MaxElements: maxElements})
	if s.Peek() != '{' {
		return nil, notAnObject(&s)
	}
	r.at.object = s.Pos() + 1
	err := s.Distinct(topLevel, func(key []byte) error { return r.field(&s, key) })
	if err == nil && !s.AtEnd() {
		return nil, operation.Wrong("", "the body goes on after its JSON object", "send one JSON object and nothing else")
	}
	if err != nil {
		return nil, explain("", err, s.Pos())
	}
	if r.Messages == nil {
		return nil, noMessages
	}
	return r, nil
}

var noMessages = operation.Wrong("messages", "is missing or empty", "send at least one message")

func notAnObject(s *jsonscan.Scanner) *operation.FieldError {
	if s.AtEnd() {
		return operation.Wrong("", "the body is empty", "send a JSON object with messages")
	}
	if err := s.Skip(); err != nil {
		return explain("", err, s.Pos())
	}
	return operation.Wrong("", "the body is not a JSON object", "send a JSON object with messages")
}

// explain returns a FieldError for an error of the scanner near a byte of the body.
func explain(field string, err error, pos int) *operation.FieldError {
	var known *operation.FieldError
	var key *jsonscan.KeyError
	where := fmt.Sprintf(" near byte %d", pos)
	switch {
	case errors.As(err, &known):
		return known
	case errors.As(err, &key) && key.Known != "":
		return operation.Wrong(join(field, key.Known), key.Error()+where, "send each key once, in lower case")
	case errors.Is(err, jsonscan.ErrRepeated):
		return operation.Wrong(field, ofBody(field, "has a key twice")+where, "send each key once")
	case errors.Is(err, jsonscan.ErrElements):
		return operation.Wrong(field, ofBody(field, fmt.Sprintf("has more than %d objects, keys and strings", maxElements))+where, "send fewer of them")
	case errors.Is(err, jsonscan.ErrDepth):
		return operation.Wrong(field, ofBody(field, fmt.Sprintf("nests deeper than %d levels", jsonscan.MaxDepth)), "nest it less deeply")
	}
	return operation.Wrong(field, ofBody(field, "is not valid JSON")+where, "send one well-formed JSON object")
}

func join(field, name string) string {
	if field == "" {
		return name
	}
	return field + "." + name
}

// ofBody puts "the body" before a problem that has no field to name.
func ofBody(field, problem string) string {
	if field == "" {
		return "the body " + problem
	}
	return problem
}

// field reads the value of one of the body's keys.
func (r *Request) field(s *jsonscan.Scanner, key []byte) (err error) {
	switch string(key) {
	case "model":
		r.Model, r.at.model, err = readString(s, "model")
	case "messages":
		r.Messages, err = readMessages(s)
	case "tools":
		r.Tools, err = readTools(s)
	case "stream":
		r.Stream, _, err = readBool(s, "stream")
	case "stream_options":
		err = r.options(s)
	case "n":
		var n *int64
		if n, _, err = readCount(s, "n", 1); n != nil {
			r.N = *n
		}
	case "max_tokens":
		r.MaxTokens, r.at.maxTokens, err = readCap(s, "max_tokens")
	case "max_completion_tokens":
		r.MaxCompletionTokens, r.at.maxCompletion, err = readCap(s, "max_completion_tokens")
	case "data_sources", "dataSources":
		if r.DataSources = !s.Literal("null"); r.DataSources {
			err = s.Skip()
		}
	default:
		err = s.Skip()
	}
	return err
}

func (r *Request) options(s *jsonscan.Scanner) error {
	start := s.Pos()
	if s.Literal("null") {
		r.at.options, r.at.optionsNull = span{start, s.Pos()}, true
		return nil
	}
	if s.Peek() != '{' {
		return operation.Wrong("stream_options", "must be an object", "leave it out, or send {\"include_usage\": true}")
	}
	r.at.optionsEmpty = true
	err := s.Distinct(streamOptions, func(key []byte) (err error) {
		r.at.optionsEmpty = false
		if string(key) != "include_usage" {
			return s.Skip()
		}
		r.IncludeUsage, r.at.use, err = readBool(s, "stream_options.include_usage")
		return err
	})
	r.at.options = span{start, s.Pos()}
	if err != nil {
		return explain("stream_options", err, s.Pos())
	}
	return nil
}

func readMessages(s *jsonscan.Scanner) ([]byte, error) {
	start := s.Pos()
	if s.Literal("null") {
		return nil, noMessages
	}
	if s.Peek() != '[' {
		return nil, operation.Wrong("messages", "must be an array", "send an array of messages")
	}
	empty := true
	err := s.Array(func(i int) error {
		empty = false
		if i == maxMessages {
			return operation.Wrong("messages", fmt.Sprintf("has more than %d messages", maxMessages), "send fewer: join some, or leave out the oldest")
		}
		if s.Peek() != '{' {
			return operation.Wrong(fmt.Sprintf("messages[%d]", i), "must be an object", "send objects with role and content")
		}
		if err := s.SkipDistinct(inMessages); err != nil {
			return explain(fmt.Sprintf("messages[%d]", i), err, s.Pos())
		}
		return nil
	})
	if err == nil && empty {
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
		return nil, explain("tools", err, s.Pos())
	}
	return s.Since(start), nil
}

func readString(s *jsonscan.Scanner, field string) (string, span, error) {
	start := s.Pos()
	if s.Literal("null") {
		return "", span{start, s.Pos()}, nil
	}
	if s.Peek() != '"' {
		return "", span{}, operation.Wrong(field, "must be a string", "send a string")
	}
	raw, escaped, err := s.String()
	if escaped && err == nil {
		raw = jsonscan.AppendUnescaped(nil, raw)
	}
	return string(raw), span{start, s.Pos()}, err
}

func readBool(s *jsonscan.Scanner, field string) (bool, span, error) {
	start := s.Pos()
	switch {
	case s.Literal("null"), s.Literal("false"):
		return false, span{start, s.Pos()}, nil
	case s.Literal("true"):
		return true, span{start, s.Pos()}, nil
	}
	return false, span{}, operation.Wrong(field, "must be true or false", "send true or false, without quotes")
}

// readCap reads a cap; nil means none.
// Source: https://github.com/sgl-project/sglang/blob/main/python/sglang/srt/entrypoints/openai/protocol.py
func readCap(s *jsonscan.Scanner, field string) (*int64, span, error) {
	most, at, err := readCount(s, field, 0)
	if most != nil && *most == 0 {
		most = nil
	}
	return most, at, err
}

// readCount reads a whole number, least or greater; null is nil. It refuses 10.0 and 1e1,
// which upstreams read differently.
func readCount(s *jsonscan.Scanner, field string, least int64) (*int64, span, error) {
	start := s.Pos()
	if s.Literal("null") {
		return nil, span{start, s.Pos()}, nil
	}
	wrong := operation.Wrong(field, "must be a whole number", fmt.Sprintf("send a number of digits only, %d or more", least))
	if c := s.Peek(); c != '-' && (c < '0' || c > '9') {
		return nil, span{}, wrong
	}
	raw, err := s.Number()
	if err != nil {
		return nil, span{}, err
	}
	n, err := strconv.ParseInt(string(raw), 10, 64)
	switch {
	case errors.Is(err, strconv.ErrRange) && raw[0] != '-':
		wrong.Problem = "is too large"
	case err == nil && (n < least || raw[0] == '-'), errors.Is(err, strconv.ErrRange):
		wrong.Problem, wrong.Fix = fmt.Sprintf("must be %d or more", least), "raise it or leave it out"
	case err == nil:
		return &n, span{start, s.Pos()}, nil
	}
	return nil, span{}, wrong
}

// Envelope implements operation.Request.
func (r *Request) Envelope() operation.Envelope {
	return operation.Envelope{
		Model: r.Model, Stream: r.Stream, Completions: r.N,
		UsageOnRequest: r.Stream && !r.IncludeUsage && !r.DataSources,
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

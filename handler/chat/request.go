// Package chat reads and edits what passes between a caller and a model: the
// envelope of a chat completion request, token usage, and streams of
// server-sent events. It does no I/O.
package chat

import (
	"encoding/json"
	"math"
	"strconv"
)

// FieldError says which field of a request is wrong, how, and what would be
// right. It never quotes a value, which might be part of a prompt.
type FieldError struct {
	Field   string
	Problem string
	Fix     string
}

func (e *FieldError) Error() string { return e.Field + " " + e.Problem + ": " + e.Fix + "." }

// Request is the envelope of a chat completion request: what decides its cost
// and its way. Everything else in the body is upstream's business.
type Request struct {
	Model        string // empty where the body names none
	Stream       bool
	IncludeUsage bool  // stream_options.include_usage: the caller wants the usage chunk
	N            int64 // completions asked for, at least 1
	// MaxTokens and MaxCompletionTokens are the caller's own caps on each
	// completion, in tokens; -1 where there is none.
	MaxTokens, MaxCompletionTokens int64
	// Messages and Tools are the raw JSON of these fields; Tools may be nil.
	Messages, Tools []byte

	body          []byte
	model         span
	maxTokens     span // where the body says null
	streamOptions span // an object, or null
	usageOption   span // the value of stream_options.include_usage
}

// span is where a value stands in the body, in bytes; end 0: it isn't there.
type span struct{ start, end int }

// maxCompletions bounds n as the APIs themselves do.
// Source: https://learn.microsoft.com/azure/ai-foundry/openai/reference
const maxCompletions = 128

// Parse reads a request's envelope. Every error is a *FieldError. The Request
// keeps body, which must not change any more.
func Parse(body []byte) (*Request, error) {
	if err := wellFormed(body); err != nil {
		return nil, err
	}
	start := skipSpace(body, 0)
	if body[start] != '{' {
		return nil, &FieldError{Field: "body", Problem: "is not a JSON object", Fix: "send an object with messages"}
	}
	fields, err := members(body[start:], "")
	if err != nil {
		return nil, err
	}
	r := &Request{N: 1, MaxTokens: -1, MaxCompletionTokens: -1, body: body}
	for _, field := range fields {
		field.start += start
		if err := r.read(field); err != nil {
			return nil, err
		}
	}
	if r.Messages == nil {
		return nil, &FieldError{Field: "messages", Problem: "is missing", Fix: "send at least one message"}
	}
	if r.streamOptions.end > 0 && body[r.streamOptions.start] == '{' && !r.Stream {
		return nil, &FieldError{Field: "stream_options", Problem: "is there without stream", Fix: "set stream to true or leave it out"}
	}
	return r, nil
}

func (r *Request) read(f member) (err error) {
	at := span{f.start, f.start + len(f.value)}
	null := string(f.value) == "null"
	switch f.name {
	case "messages":
		r.Messages, err = f.value, checkMessages(f.value)
	case "model":
		if r.model = at; f.value[0] != '"' {
			return &FieldError{Field: "model", Problem: "is not a string", Fix: "name a model"}
		}
		r.Model = decode(f.value)
	case "stream":
		r.Stream, err = boolean("stream", f.value)
	case "stream_options":
		if r.streamOptions = at; !null {
			err = r.readStreamOptions(f)
		}
	case "max_tokens":
		if null {
			r.maxTokens = at
		}
		r.MaxTokens, err = completionCap(f)
	case "max_completion_tokens":
		r.MaxCompletionTokens, err = completionCap(f)
	case "n":
		if !null {
			r.N, err = whole(f.name, f.value, 1, maxCompletions)
		}
	case "tools":
		if null {
			return nil
		}
		if r.Tools = f.value; f.value[0] != '[' {
			return &FieldError{Field: "tools", Problem: "is not an array", Fix: "send an array of tools or leave it out"}
		}
	}
	return err
}

func (r *Request) readStreamOptions(f member) error {
	if f.value[0] != '{' {
		return &FieldError{Field: "stream_options", Problem: "is not an object", Fix: `send {"include_usage": true} or leave it out`}
	}
	options, err := members(f.value, "stream_options.")
	if err != nil {
		return err
	}
	for _, option := range options {
		if option.name == "include_usage" {
			start := f.start + option.start
			r.usageOption = span{start, start + len(option.value)}
			r.IncludeUsage, err = boolean("stream_options.include_usage", option.value)
		}
	}
	return err
}

// checkMessages demands objects with a role each, and no field twice: what is
// counted must be what the model reads.
func checkMessages(value []byte) error {
	if value[0] != '[' {
		return &FieldError{Field: "messages", Problem: "is not an array", Fix: "send an array of messages"}
	}
	count := 0
	err := elements(value, func(message []byte) error {
		path := "messages[" + strconv.Itoa(count) + "]"
		count++
		if message[0] != '{' {
			return &FieldError{Field: path, Problem: "is not an object", Fix: "send an object with role and content"}
		}
		fields, err := members(message, path+".")
		if err != nil {
			return err
		}
		for _, field := range fields {
			if field.name == "role" && field.value[0] == '"' {
				return nil
			}
		}
		return &FieldError{Field: path + ".role", Problem: "is missing or not a string", Fix: "use system, user, assistant or tool"}
	})
	if err == nil && count == 0 {
		err = &FieldError{Field: "messages", Problem: "is empty", Fix: "send at least one message"}
	}
	return err
}

func boolean(field string, value []byte) (bool, error) {
	switch string(value) {
	case "true":
		return true, nil
	case "false", "null":
		return false, nil
	}
	return false, &FieldError{Field: field, Problem: "is not true or false", Fix: "use one of them or leave it out"}
}

func completionCap(f member) (int64, error) {
	if string(f.value) == "null" {
		return -1, nil
	}
	return whole(f.name, f.value, 0, math.MaxInt32)
}

// whole reads an integer written as one: 1e3 and 5.0, which parsers read in
// different ways, are refused.
func whole(field string, value []byte, low, high int64) (int64, error) {
	n, err := strconv.ParseInt(string(value), 10, 64)
	if err != nil || n < low || n > high {
		return 0, &FieldError{Field: field, Problem: "is out of range or not a whole number",
			Fix: "use a whole number from " + strconv.FormatInt(low, 10) + " to " + strconv.FormatInt(high, 10) + " or leave it out"}
	}
	return n, nil
}

// CompletionCap is the most completion tokens that the caller's own caps allow
// over all n completions, and whether there is such a cap. Where both fields
// are set the larger counts, since upstream may heed either.
func (r *Request) CompletionCap() (tokens int64, capped bool) {
	each := max(r.MaxTokens, r.MaxCompletionTokens)
	return r.N * each, each >= 0 // at most 128 × 2³¹: no overflow
}

// Edit is what the gateway may change in a request.
type Edit struct {
	Model        string // the name that upstream knows the model by; empty: leave it
	MaxTokens    int64  // a cap for a request that has none, in tokens; 0: leave it
	IncludeUsage bool   // ask for usage at the end of a stream
}

// Rewrite is the body with the edit applied: every other byte stays as it came.
func (r *Request) Rewrite(e Edit) []byte {
	var changes []change
	if e.Model != "" && e.Model != r.Model {
		name, _ := json.Marshal(e.Model) // a string always encodes
		changes = append(changes, r.set("model", r.model, string(name)))
	}
	if e.MaxTokens > 0 {
		changes = append(changes, r.set("max_tokens", r.maxTokens, strconv.FormatInt(e.MaxTokens, 10)))
	}
	if e.IncludeUsage && r.Stream && !r.IncludeUsage {
		changes = append(changes, r.askForUsage())
	}
	return splice(r.body, changes)
}

// set replaces a field's value, or adds the field as the body's first: every
// request has messages, so another always follows.
func (r *Request) set(field string, value span, with string) change {
	if value.end > 0 {
		return change{value, with}
	}
	first := skipSpace(r.body, 0) + 1
	return change{span{first, first}, `"` + field + `":` + with + ","}
}

func (r *Request) askForUsage() change {
	if r.usageOption.end > 0 {
		return change{r.usageOption, "true"}
	}
	if r.streamOptions.end == 0 || r.body[r.streamOptions.start] != '{' {
		return r.set("stream_options", r.streamOptions, `{"include_usage":true}`)
	}
	inside := r.streamOptions.start + 1
	if r.body[skipSpace(r.body, inside)] == '}' {
		return change{span{inside, inside}, `"include_usage":true`}
	}
	return change{span{inside, inside}, `"include_usage":true,`}
}

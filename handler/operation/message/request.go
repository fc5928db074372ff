package message

import (
	"fmt"
	"strconv"

	"tollgate/handler/jsonscan"
	"tollgate/handler/operation"
	"tollgate/handler/operation/fields"
	"tollgate/handler/tokens"
)

// request is a call for a message, or for the count of its tokens. The rest of the body
// is kept without being interpreted.
type request struct {
	model  string
	stream bool
	// cap is the caller's max_tokens: nil if it is absent or null. With 0 the model writes
	// nothing, but still reads the prompt, which is billed.
	cap *int64
	// dearer lists the fields that ask for dearer tokens.
	dearer []operation.DearerField
	// hasMessages reports whether there is at least one message.
	hasMessages bool

	body           []byte
	start          int // of the byte after the body's brace
	modelAt, capAt fields.Span
}

// topLevel are the fields of a call that parse reads.
var topLevel = jsonscan.Keys{Fold: true, Known: map[string]bool{
	"model": true, "messages": true, "system": true, "tools": true, "stream": true, "max_tokens": true, "fallbacks": true,
	"service_tier": true, "speed": true, "inference_geo": true,
}}

// inMessages are the fields, at any depth of a message or the system prompt, whose text is
// counted. No object there may have two keys that differ only in case.
var inMessages = jsonscan.Keys{Fold: true, Known: map[string]bool{
	"role": true, "content": true, "type": true, "text": true, "thinking": true, "source": true,
}}

// normal are the values of fields that ask for tokens at the normal rates.
// Sources: https://platform.claude.com/docs/en/api/messages/create,
// https://platform.claude.com/docs/en/build-with-claude/fast-mode and
// https://platform.claude.com/docs/en/build-with-claude/data-residency
var normal = map[string][]string{
	"service_tier":  {"standard_only", "auto"},
	"speed":         {"standard"},
	"inference_geo": {"global"},
}

// parse reads a call's body. It refuses a body that two readers could understand
// differently, and one that would have any other model answer than the call names.
func parse(body []byte) (operation.Request, error) {
	r := &request{body: body}
	start, err := fields.Body(body, topLevel, "a JSON object with messages", r.field)
	if err == nil && !r.hasMessages {
		err = operation.Wrong("messages", "is missing or empty", "send at least one message")
	}
	if err != nil {
		return nil, err
	}
	r.start = start
	return r, nil
}

// field reads the value of one of the body's keys.
func (r *request) field(s *jsonscan.Scanner, key []byte) (err error) {
	switch string(key) {
	case "model":
		r.model, r.modelAt, err = fields.String(s, "model")
	case "stream":
		r.stream, _, err = fields.Bool(s, "stream")
	case "max_tokens":
		r.cap, r.capAt, err = fields.Integer(s, "max_tokens", 0)
	case "messages":
		var n int
		n, err = fields.Messages(s, inMessages)
		r.hasMessages = n > 0
	case "system":
		err = readSystem(s)
	case "tools":
		err = readTools(s)
	case "fallbacks":
		err = readFallbacks(s)
	case "service_tier", "speed", "inference_geo":
		r.dearer, err = fields.AppendDearer(r.dearer, s, string(key), normal[string(key)]...)
	default:
		err = s.Skip()
	}
	return err
}

// readSystem checks the system prompt: a text, or an array of blocks.
func readSystem(s *jsonscan.Scanner) error {
	switch s.Peek() {
	case '"', 'n':
		return s.Skip()
	case '[':
	default:
		return operation.Wrong("system", "must be a string or an array of blocks", "send a string")
	}
	if err := s.SkipDistinct(inMessages); err != nil {
		return fields.Explain("system", err, s.Pos())
	}
	return nil
}

// readTools checks the tools. It refuses a tool that names a model: that model would answer
// within the call, even if the subscription must not use it.
func readTools(s *jsonscan.Scanner) error {
	if s.Literal("null") {
		return nil
	}
	if s.Peek() != '[' {
		return operation.Wrong("tools", "must be an array", "leave it out, or send an array of tools")
	}
	err := s.Array(func(i int) error {
		if s.Peek() != '{' {
			return s.Skip()
		}
		return s.Object(func(key []byte) error {
			if string(key) == "model" {
				return operation.Wrong(fmt.Sprintf("tools[%d].model", i), "names a second model, which the call's limits don't cover", "leave the tool out, or call that model yourself")
			}
			return s.Skip()
		})
	})
	if err != nil {
		return fields.Explain("tools", err, s.Pos())
	}
	return nil
}

// readFallbacks refuses models that the endpoint would use in place of the call's.
func readFallbacks(s *jsonscan.Scanner) error {
	value, err := s.Value()
	if err != nil || string(value) == "null" || string(value) == "[]" {
		return err
	}
	return operation.Wrong("fallbacks", "names other models, which the call's limits don't cover", "leave it out, and call another model yourself when one refuses")
}

// Envelope implements operation.Request.
func (r *request) Envelope() operation.Envelope {
	return operation.Envelope{Model: r.model, Stream: r.stream, Completions: 1, Dearer: r.dearer}
}

// Caps implements operation.Request. The cap includes the thinking. A cap of 0, which only
// fills the prompt cache, counts as 1, because 0 would mean that there is none.
func (r *request) Caps(operation.CapRules) operation.Caps {
	if r.cap == nil {
		return operation.Caps{}
	}
	most := max(*r.cap, 1)
	return operation.Caps{Largest: most, Obeyed: most}
}

// Rewrite implements operation.Request. It sets a cap only if the caller has none. A
// caller's cap of 0 stays, as it asks for no answer.
func (r *request) Rewrite(edit operation.Edit) [][]byte {
	var splices []fields.Splice
	if edit.Model != "" && (edit.Model != r.model || !r.modelAt.Present()) {
		splices = append(splices, fields.Set("model", r.modelAt, r.start, fields.Quote(edit.Model)))
	}
	if edit.Cap > 0 && r.cap == nil {
		splices = append(splices, fields.Set("max_tokens", r.capAt, r.start, strconv.FormatInt(edit.Cap, 10)))
	}
	return fields.Apply(r.body, splices)
}

// WithoutBody implements operation.Request.
func (r *request) WithoutBody() operation.Request {
	rest := *r
	rest.body = nil
	return &rest
}

// Count implements operation.Request. It is an estimate, since the tokenizer of these
// models isn't public.
func (r *request) Count(encoding *tokens.Encoding) (int64, error) {
	return r.estimate(func(text []byte) int64 { return int64(encoding.CountText(text)) }), nil
}

// Bound implements operation.Request: a text has no more tokens than bytes.
func (r *request) Bound(*tokens.Encoding) int64 {
	return r.estimate(func(text []byte) int64 { return int64(len(text)) })
}

// What an estimate adds to the tokens of the texts.
const (
	perElement = 4 // tokens for each message or block
	// perImage is the tokens of an image of the largest size that the API doesn't scale
	// down.
	// Source: https://platform.claude.com/docs/en/build-with-claude/vision
	perImage      = 1600
	bytesPerToken = 4 // of the JSON beside the texts, such as tools
)

// estimate returns the tokens of the prompt; size returns those of a text.
func (r *request) estimate(size func(text []byte) int64) (total int64) {
	p := r.Prompt(func(text []byte, _ int) { total += size(text) })
	return total + p.Other/bytesPerToken + perElement*p.Elements + perImage*int64(len(p.Images))
}

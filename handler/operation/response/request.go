package response

import (
	"bytes"
	"fmt"
	"strconv"

	"tollgate/handler/jsonscan"
	"tollgate/handler/operation"
	"tollgate/handler/operation/fields"
	"tollgate/handler/tokens"
)

// request is a call for a response.
type request struct {
	model     string
	stream    bool
	maxOutput int64 // max_output_tokens; 0: none
	dearer    []operation.DearerField
	previous  string
	unowned   string // the path of the first field that names stored content of unknown owner
	store     bool
	hasInput  bool // it has input, or something stored in its place

	body []byte
	at   struct {
		object      int // after the body's brace
		model, most fields.Span
	}
}

// known are the fields that parse reads.
var known = jsonscan.Keys{Fold: true, Known: map[string]bool{
	"model": true, "input": true, "instructions": true, "tools": true, "stream": true, "max_output_tokens": true,
	"previous_response_id": true, "conversation": true, "prompt": true, "store": true, "background": true,
	"agent": true, "agent_reference": true, "service_tier": true,
}}

// parse is operation.Operation's Parse.
func parse(body []byte) (operation.Request, error) {
	r := &request{body: body, store: true}
	start, err := fields.Body(body, known, "a JSON object with input", r.field)
	if err == nil && !r.hasInput {
		err = operation.Wrong("input", "is missing or empty", "send a text, or an array of items")
	}
	if err != nil {
		return nil, err
	}
	r.at.object = start
	return r, nil
}

// background refuses a call that continues after it has been answered.
var background = &operation.FieldError{Field: "background", Code: "background_not_supported",
	Problem: "is true, but the usage of such a response becomes known only when it is fetched later, so it can't be charged",
	Fix:     "leave it out and set stream to true: a stream may take as long as the model needs"}

// field reads the value of one of the body's keys.
func (r *request) field(s *jsonscan.Scanner, key []byte) (err error) {
	switch name := string(key); name {
	case "model":
		r.model, r.at.model, err = fields.String(s, name)
	case "stream":
		r.stream, _, err = fields.Bool(s, name)
	case "max_output_tokens":
		var most *int64
		if most, r.at.most, err = fields.Integer(s, name, 1); most != nil {
			r.maxOutput = *most
		}
	case "previous_response_id":
		r.previous, _, err = fields.String(s, name)
		r.hasInput = r.hasInput || r.previous != ""
	case "store":
		r.store = !s.Literal("false")
		if r.store {
			_, _, err = fields.Bool(s, name) // null is true here
		}
	case "background":
		var on bool
		if on, _, err = fields.Bool(s, name); on {
			err = background
		}
	case "conversation", "prompt", "agent", "agent_reference":
		if !s.Literal("null") {
			r.refersTo(name)
			r.hasInput = true
			err = s.Skip()
		}
	case "service_tier":
		r.dearer, err = fields.AppendServiceTier(r.dearer, s)
	case "instructions":
		_, _, err = fields.String(s, name)
	case "input":
		err = r.input(s)
	case "tools":
		err = r.tools(s)
	default:
		err = s.Skip()
	}
	return err
}

// refersTo records the path of a field that names stored content of unknown owner. Only
// the first is kept.
func (r *request) refersTo(path string) {
	if r.unowned == "" {
		r.unowned = path
	}
}

// input reads the input: a text, or items.
func (r *request) input(s *jsonscan.Scanner) error {
	switch s.Peek() {
	case '"':
		r.hasInput = true
		return s.Skip()
	case '[':
	default:
		if s.Literal("null") {
			return nil
		}
		return operation.Wrong("input", "must be a string or an array", "send a text, or an array of items")
	}
	return s.Array(func(i int) error {
		r.hasInput = true
		path := fmt.Sprintf("input[%d]", i)
		if i == fields.MaxMessages {
			return operation.Wrong("input", fmt.Sprintf("has more than %d items", fields.MaxMessages), "send fewer: join some, or leave out the oldest")
		}
		if s.Peek() != '{' {
			return operation.Wrong(path, "must be an object", "send items, such as {\"role\": \"user\", \"content\": \"…\"}")
		}
		start := s.Pos()
		if err := s.SkipDistinct(inItems); err != nil {
			return fields.Explain(path, err, s.Pos())
		}
		if found := storedItem(s.Since(start)); found != "" {
			r.refersTo(path + found)
		}
		return nil
	})
}

// tools reads the tools.
func (r *request) tools(s *jsonscan.Scanner) error {
	if s.Literal("null") {
		return nil
	}
	if s.Peek() != '[' {
		return operation.Wrong("tools", "must be an array", "leave it out, or send an array of tools")
	}
	return s.Array(func(i int) error {
		tool, err := s.Value()
		if err != nil {
			return fields.Explain("tools", err, s.Pos())
		}
		if found := storedTool(tool); found != "" {
			r.refersTo(fmt.Sprintf("tools[%d]%s", i, found))
		}
		return nil
	})
}

// Envelope implements operation.Request.
func (r *request) Envelope() operation.Envelope {
	return operation.Envelope{Model: r.model, Stream: r.stream, Completions: 1, Dearer: r.dearer, Stored: operation.Stored{
		Continues: r.previous, ContinuesField: "previous_response_id", Unowned: r.unowned, Keeps: r.store}}
}

// Caps implements operation.Request.
func (r *request) Caps(operation.CapRules) operation.Caps {
	return operation.Caps{Largest: r.maxOutput, Obeyed: r.maxOutput}
}

const (
	// itemTokens is about what a template puts around an item, in tokens.
	itemTokens = 4
	// bytesPerToken is about how many bytes of JSON a token has.
	bytesPerToken = 4
)

// Count implements operation.Request. It is an estimate, as no endpoint says how it
// renders a response's input.
func (r *request) Count(encoding *tokens.Encoding) (int64, error) {
	count := int64(0)
	p := r.Prompt(func(text []byte, _ int) { count += int64(encoding.CountOrdinary(text)) })
	count += p.Other/bytesPerToken + itemTokens*p.Elements + tokens.ImageTokens*int64(len(p.Images))
	return min(count, r.Bound(encoding)), nil
}

// Bound implements operation.Request.
func (r *request) Bound(*tokens.Encoding) int64 {
	images := bytes.Count(r.body, []byte("input_image")) + bytes.Count(r.body, []byte(`\u00`)) // the name may have escapes
	return int64(len(r.body) + tokens.ImageTokens*images)
}

// Rewrite implements operation.Request.
func (r *request) Rewrite(edit operation.Edit) [][]byte {
	var splices []fields.Splice
	if edit.Model != "" && (edit.Model != r.model || !r.at.model.Present()) {
		splices = append(splices, fields.Set("model", r.at.model, r.at.object, fields.Quote(edit.Model)))
	}
	if r.maxOutput == 0 && edit.Cap > 0 {
		splices = append(splices, fields.Set("max_output_tokens", r.at.most, r.at.object, strconv.FormatInt(edit.Cap, 10)))
	}
	return fields.Apply(r.body, splices)
}

// WithoutBody implements operation.Request.
func (r *request) WithoutBody() operation.Request {
	rest := *r
	rest.body = nil
	return &rest
}

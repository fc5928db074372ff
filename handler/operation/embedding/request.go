package embedding

import (
	"tollgate/handler/jsonscan"
	"tollgate/handler/operation"
	"tollgate/handler/operation/fields"
	"tollgate/handler/tokens"
)

// request is a call for embeddings.
type request struct {
	model string
	input fields.Texts

	body   []byte
	object int // position after the body's brace
	at     fields.Span
}

// known are the fields that parse reads, and settings those that no model reads.
var (
	known    = jsonscan.Keys{Fold: true, Known: map[string]bool{"model": true, "input": true}}
	settings = map[string]bool{"model": true, "encoding_format": true, "dimensions": true, "user": true, "input_type": true, "truncate": true}
)

// parse is operation.Operation's Parse.
func parse(body []byte) (operation.Request, error) {
	r := &request{body: body}
	start, err := fields.Body(body, known, "a JSON object with input", func(s *jsonscan.Scanner, key []byte) (err error) {
		switch string(key) {
		case "model":
			r.model, r.at, err = fields.String(s, "model")
		case "input":
			err = r.input.Read(s, "input")
		default:
			err = s.Skip()
		}
		return err
	})
	if err == nil && r.input.Items == 0 {
		err = operation.Wrong("input", "is missing", "send a text, or an array of texts")
	}
	if err != nil {
		return nil, err
	}
	r.object = start
	return r, nil
}

// Envelope implements operation.Request.
func (r *request) Envelope() operation.Envelope {
	return operation.Envelope{Model: r.model, Raw: true}
}

// Caps implements operation.Request: there are none.
func (r *request) Caps(operation.CapRules) operation.Caps { return operation.Caps{} }

// Prompt implements operation.Request.
func (r *request) Prompt(text func(text []byte, length int)) operation.Prompt {
	return r.input.Prompt(r.body, "input", settings, text)
}

// Count implements operation.Request.
func (r *request) Count(encoding *tokens.Encoding) (int64, error) {
	return r.input.Count(encoding), nil
}

// Bound implements operation.Request.
func (r *request) Bound(*tokens.Encoding) int64 { return r.input.Size() }

// Rewrite implements operation.Request.
func (r *request) Rewrite(edit operation.Edit) [][]byte {
	var splices []fields.Splice
	if edit.Model != "" && (edit.Model != r.model || !r.at.Present()) {
		splices = append(splices, fields.Set("model", r.at, r.object, fields.Quote(edit.Model)))
	}
	return fields.Apply(r.body, splices)
}

// WithoutBody implements operation.Request.
func (r *request) WithoutBody() operation.Request { return &request{model: r.model} }

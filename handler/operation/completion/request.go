package completion

import (
	"math"
	"strconv"

	"tollgate/handler/jsonscan"
	"tollgate/handler/operation"
	"tollgate/handler/operation/fields"
	"tollgate/handler/tokens"
)

// request is a call for completions.
type request struct {
	model     string
	texts     fields.Texts
	stream    bool
	usage     fields.UsageOption
	n, bestOf int64
	maxTokens *int64 // nil: none

	body []byte
	at   struct {
		object           int // after the body's brace
		model, maxTokens fields.Span
	}
}

// defaultCap is the cap of a completion that has none, in tokens.
// Source: https://learn.microsoft.com/azure/ai-foundry/openai/reference#completions
const defaultCap = 16

// known are the fields that parse reads, and settings those that no model reads.
var (
	known = jsonscan.Keys{Fold: true, Known: map[string]bool{
		"model": true, "prompt": true, "stream": true, "stream_options": true, "n": true, "best_of": true, "max_tokens": true}}
	settings = map[string]bool{
		"model": true, "stream": true, "stream_options": true, "n": true, "best_of": true, "max_tokens": true,
		"temperature": true, "top_p": true, "seed": true, "stop": true, "user": true, "echo": true, "logprobs": true,
		"frequency_penalty": true, "presence_penalty": true}
)

// parse is operation.Operation's Parse.
func parse(body []byte) (operation.Request, error) {
	r := &request{n: 1, bestOf: 1, body: body}
	start, err := fields.Body(body, known, "a JSON object with prompt", r.field)
	if err == nil && r.texts.Items == 0 {
		err = operation.Wrong("prompt", "is missing", "send a text, or an array of texts")
	}
	if err != nil {
		return nil, err
	}
	r.at.object = start
	return r, nil
}

// field reads the value of one of the body's keys.
func (r *request) field(s *jsonscan.Scanner, key []byte) (err error) {
	switch string(key) {
	case "model":
		r.model, r.at.model, err = fields.String(s, "model")
	case "prompt":
		err = r.texts.Read(s, "prompt")
	case "stream":
		r.stream, _, err = fields.Bool(s, "stream")
	case "stream_options":
		err = r.usage.Read(s)
	case "n":
		err = readCount(s, "n", &r.n)
	case "best_of":
		err = readCount(s, "best_of", &r.bestOf)
	case "max_tokens":
		r.maxTokens, r.at.maxTokens, err = fields.Integer(s, "max_tokens", 0)
	default:
		err = s.Skip()
	}
	return err
}

// readCount reads a number of completions into to; null leaves it.
func readCount(s *jsonscan.Scanner, field string, to *int64) error {
	n, _, err := fields.Integer(s, field, 1)
	if n != nil {
		*to = *n
	}
	return err
}

// Envelope implements operation.Request. Each prompt has n completions, and best_of are
// written for them.
func (r *request) Envelope() operation.Envelope {
	each, all := max(r.n, r.bestOf), int64(math.MaxInt64)
	if each <= math.MaxInt64/max(1, r.texts.Items) {
		all = each * r.texts.Items
	}
	return operation.Envelope{Model: r.model, Stream: r.stream, UsageOnRequest: r.stream && !r.usage.Include, Raw: true, Completions: all}
}

// Caps implements operation.Request. A cap of 0, with which a model writes nothing, counts
// as 1, because 0 would mean that there is none.
func (r *request) Caps(operation.CapRules) operation.Caps {
	if r.maxTokens == nil {
		return operation.Caps{Default: defaultCap}
	}
	most := max(1, *r.maxTokens)
	return operation.Caps{Largest: most, Obeyed: most}
}

// Prompt implements operation.Request.
func (r *request) Prompt(text func(text []byte, length int)) operation.Prompt {
	return r.texts.Prompt(r.body, "prompt", settings, text)
}

// Count implements operation.Request.
func (r *request) Count(encoding *tokens.Encoding) (int64, error) {
	return r.texts.Count(encoding), nil
}

// Bound implements operation.Request.
func (r *request) Bound(*tokens.Encoding) int64 { return r.texts.Size() }

// Rewrite implements operation.Request.
func (r *request) Rewrite(edit operation.Edit) [][]byte {
	var splices []fields.Splice
	if edit.Model != "" && (edit.Model != r.model || !r.at.model.Present()) {
		splices = append(splices, fields.Set("model", r.at.model, r.at.object, fields.Quote(edit.Model)))
	}
	if r.maxTokens == nil && edit.Cap > 0 {
		splices = append(splices, fields.Set("max_tokens", r.at.maxTokens, r.at.object, strconv.FormatInt(edit.Cap, 10)))
	}
	if edit.AskUsage && r.Envelope().UsageOnRequest {
		splices = append(splices, r.usage.Ask(r.at.object))
	}
	return fields.Apply(r.body, splices)
}

// WithoutBody implements operation.Request.
func (r *request) WithoutBody() operation.Request {
	rest := *r
	rest.body, rest.texts = nil, fields.Texts{Items: r.texts.Items}
	return &rest
}

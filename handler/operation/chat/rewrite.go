package chat

import (
	"bytes"
	"strconv"

	"tollgate/handler/jsonscan"
	"tollgate/handler/operation"
	"tollgate/handler/operation/fields"
)

// Rewrite implements operation.Request. A cap goes into the one field that the model
// obeys, and replaces the caller's cap in the other.
func (r *Request) Rewrite(edit operation.Edit) [][]byte {
	splices := make([]fields.Splice, 0, 4)
	set := func(key string, at fields.Span, value string) {
		splices = append(splices, fields.Set(key, at, r.at.object, value))
	}
	if edit.Model != "" && (edit.Model != r.Model || !r.at.model.Present()) {
		set("model", r.at.model, fields.Quote(edit.Model))
	}
	var other fields.Span // the caller's cap in the other field, to be removed
	switch most, newer := r.capToSet(edit); {
	case most == 0:
	case newer:
		set("max_completion_tokens", r.at.maxCompletion, strconv.FormatInt(most, 10))
		other = r.at.maxTokens
	default:
		set("max_tokens", r.at.maxTokens, strconv.FormatInt(most, 10))
		other = r.at.maxCompletion
	}
	if edit.AskUsage && r.Envelope().UsageOnRequest {
		splices = append(splices, r.Usage.Ask(r.at.object))
	}
	if other.Present() { // last, as insertions at the body's start must precede it
		splices = append(splices, fields.Splice{Span: member(r.body, other)})
	}
	return fields.Apply(r.body, splices)
}

// member returns the range of a member of the body, given that of its value, with the
// comma before or after it. There is always one, as the body also has messages.
func member(body []byte, value fields.Span) fields.Span {
	key := bytes.LastIndexByte(body[:value.Start], '"')
	start := bytes.LastIndexByte(body[:key], '"')
	rest := jsonscan.New(body[value.End:], jsonscan.Options{})
	if rest.Peek() == ',' {
		return fields.Span{Start: start, End: value.End + rest.Pos() + 1}
	}
	return fields.Span{Start: bytes.LastIndexByte(body[:start], ','), End: value.End}
}

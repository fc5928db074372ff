package chat

import (
	"bytes"
	"encoding/json"
	"slices"
	"strconv"

	"tollgate/handler/jsonscan"
	"tollgate/handler/operation"
)

type splice struct {
	span
	text string
}

// Rewrite implements operation.Request. A cap goes into the one field that the model
// obeys, and replaces the caller's cap in the other.
func (r *Request) Rewrite(edit operation.Edit) [][]byte {
	splices := make([]splice, 0, 4)
	set := func(key string, at span, value string) {
		if at.present() {
			splices = append(splices, splice{at, value})
			return
		}
		start := span{r.at.object, r.at.object}
		splices = append(splices, splice{start, `"` + key + `":` + value + `,`})
	}
	if edit.Model != "" && (edit.Model != r.Model || !r.at.model.present()) {
		set("model", r.at.model, quote(edit.Model))
	}
	var other span // the caller's cap in the other field, to be removed
	switch put, newer := r.capToPut(edit); {
	case put == 0:
	case newer:
		set("max_completion_tokens", r.at.maxCompletion, strconv.FormatInt(put, 10))
		other = r.at.maxTokens
	default:
		set("max_tokens", r.at.maxTokens, strconv.FormatInt(put, 10))
		other = r.at.maxCompletion
	}
	if edit.AskUsage && r.Envelope().UsageOnRequest {
		r.askForUsage(set)
	}
	if other.present() { // last, as insertions at the body's start must precede it
		splices = append(splices, splice{member(r.body, other), ""})
	}
	return apply(r.body, splices)
}

// member returns the range of a member of the body, given that of its value, with the
// comma before or after it. There is always one, as the body also has messages.
func member(body []byte, value span) span {
	key := bytes.LastIndexByte(body[:value.start], '"')
	start := bytes.LastIndexByte(body[:key], '"')
	rest := jsonscan.New(body[value.end:], jsonscan.Options{})
	if rest.Peek() == ',' {
		return span{start, value.end + rest.Pos() + 1}
	}
	return span{bytes.LastIndexByte(body[:start], ','), value.end}
}

// askForUsage sets include_usage and keeps the rest of the caller's stream_options.
func (r *Request) askForUsage(set func(key string, at span, value string)) {
	inside := r.at.options.start + 1
	switch {
	case r.at.use.present():
		set("", r.at.use, "true")
	case !r.at.options.present() || r.at.optionsNull:
		set("stream_options", r.at.options, `{"include_usage":true}`)
	case r.at.optionsEmpty:
		set("", span{inside, inside}, `"include_usage":true`)
	default:
		set("", span{inside, inside}, `"include_usage":true,`)
	}
}

func apply(body []byte, splices []splice) [][]byte {
	slices.SortStableFunc(splices, func(a, b splice) int { return a.start - b.start })
	pieces := make([][]byte, 0, 2*len(splices)+1)
	done := 0
	for _, s := range splices {
		pieces = append(pieces, body[done:s.start], []byte(s.text))
		done = s.end
	}
	return append(pieces, body[done:])
}

// quote returns text as a JSON string.
func quote(text string) string {
	quoted, err := json.Marshal(text)
	if err != nil {
		panic(err) // a string always marshals
	}
	return string(quoted)
}

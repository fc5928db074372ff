package chat

import (
	"bytes"
	"encoding/json"
	"slices"
	"strconv"

	"tollgate/handler/jsonscan"
)

// Edit holds the changes that Rewrite makes. Zero fields change nothing.
type Edit struct {
	// Model is upstream's name for the model.
	Model *string
	// MaxTokens or MaxCompletionTokens is the new cap of each completion, in tokens.
	// It replaces the caller's cap in either field.
	MaxTokens, MaxCompletionTokens *int64
	// IncludeUsage asks for usage at the stream's end. It has no effect on a call
	// that isn't streamed, as upstreams refuse stream_options there.
	IncludeUsage bool
}

type splice struct {
	span
	text string
}

// Rewrite returns the body with the edit spliced in and every other byte unchanged,
// in pieces to be sent in order. Most of them are slices of the body, so that no call
// keeps its body in memory twice.
func (r *Request) Rewrite(edit Edit) [][]byte {
	splices := make([]splice, 0, 4)
	set := func(key string, at span, value string) {
		if at.present() {
			splices = append(splices, splice{at, value})
			return
		}
		start := span{r.at.object, r.at.object}
		splices = append(splices, splice{start, `"` + key + `":` + value + `,`})
	}
	if edit.Model != nil && (*edit.Model != r.Model || !r.at.model.present()) {
		set("model", r.at.model, quote(*edit.Model))
	}
	var other span // the caller's cap in the other field, to be removed
	switch {
	case edit.MaxTokens != nil:
		set("max_tokens", r.at.maxTokens, strconv.FormatInt(*edit.MaxTokens, 10))
		other = r.at.maxCompletion
	case edit.MaxCompletionTokens != nil:
		set("max_completion_tokens", r.at.maxCompletion, strconv.FormatInt(*edit.MaxCompletionTokens, 10))
		other = r.at.maxTokens
	}
	if edit.IncludeUsage && r.Stream && !r.IncludeUsage {
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

// ReleaseBody drops the body, and so Messages and Tools, to free memory. The other fields
// stay, but Rewrite and Prompt can't be called any more.
func (r *Request) ReleaseBody() { r.body, r.Messages, r.Tools = nil, nil, nil }

// quote returns text as a JSON string.
func quote(text string) string {
	quoted, err := json.Marshal(text)
	if err != nil {
		panic(err) // a string always marshals
	}
	return string(quoted)
}

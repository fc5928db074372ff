package fakemodel

import (
	"encoding/json"
	"strings"
	"sync"

	"tollgate/handler/tokens/reference"
)

// A scale weighs texts in tokens, independently of the gateway's code.
type scale struct {
	name string // of the encoding; empty: DeepSeek's
}

// scaleOf returns the scale of a model, or of the default encoding if it isn't one that
// the endpoint knows.
func scaleOf(model, fallback string) scale {
	switch model = strings.ToLower(model); {
	case strings.HasPrefix(model, "deepseek"):
		return scale{}
	case strings.HasPrefix(model, "text-embedding-"), strings.HasPrefix(model, "gpt-3.5"), strings.HasSuffix(model, "-002"):
		return scale{"cl100k_base"}
	}
	return scale{fallback}
}

var scales = map[string]func() (*reference.Counter, error){
	"o200k_base":  sync.OnceValues(func() (*reference.Counter, error) { return reference.OpenAI("o200k_base") }),
	"cl100k_base": sync.OnceValues(func() (*reference.Counter, error) { return reference.OpenAI("cl100k_base") }),
	"":            sync.OnceValues(reference.DeepSeek),
}

// text weighs a text.
func (s scale) text(text string) int64 {
	counter, err := scales[s.name]()
	if err != nil {
		panic("the embedded vocabulary: " + err.Error()) // a broken build
	}
	return int64(counter.Count(strings.ToValidUTF8(text, "\uFFFD")))
}

// What a chat's template adds to each object, and what an image counts, in tokens.
const (
	perObject = 3
	perImage  = 765
)

// json weighs what a model reads of JSON: its texts, a few tokens for each object, and
// images at a flat price.
func (s scale) json(raw json.RawMessage) (tokens int64) {
	var text string
	var list []json.RawMessage
	var fields map[string]json.RawMessage
	switch {
	case json.Unmarshal(raw, &text) == nil:
		if strings.HasPrefix(text, "data:image/") {
			return perImage
		}
		return s.text(text)
	case json.Unmarshal(raw, &list) == nil:
		for _, element := range list {
			tokens += s.json(element)
		}
	case json.Unmarshal(raw, &fields) == nil:
		if string(fields["type"]) == `"base64"` { // a message's image
			return perImage
		}
		tokens = perObject
		for name, value := range fields {
			if name != "cache_control" && name != "signature" && name != "encrypted_content" {
				tokens += s.json(value)
			}
		}
	}
	return tokens
}

// tools weighs the definitions of functions: a model reads their names, too.
func (s scale) tools(raw json.RawMessage) int64 { return s.text(string(raw)) }

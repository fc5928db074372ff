package fakemodel

import (
	"encoding/json"
	"strings"
	"sync"

	"tollgate/handler/tokens/reference"
)

// A tokenCounter counts the tokens of texts, independently of the gateway's code.
type tokenCounter struct {
	name string // of the encoding; empty: DeepSeek's
}

// counterFor returns the counter for a model, or one for the encoding fallback if the
// endpoint doesn't know the model.
func counterFor(model, fallback string) tokenCounter {
	switch model = strings.ToLower(model); {
	case strings.HasPrefix(model, "deepseek"):
		return tokenCounter{}
	case strings.HasPrefix(model, "text-embedding-"), strings.HasPrefix(model, "gpt-3.5"), strings.HasSuffix(model, "-002"):
		return tokenCounter{"cl100k_base"}
	}
	return tokenCounter{fallback}
}

var counters = map[string]func() (*reference.Counter, error){
	"o200k_base":  sync.OnceValues(func() (*reference.Counter, error) { return reference.OpenAI("o200k_base") }),
	"cl100k_base": sync.OnceValues(func() (*reference.Counter, error) { return reference.OpenAI("cl100k_base") }),
	"":            sync.OnceValues(reference.DeepSeek),
}

// text returns the number of tokens of a text.
func (s tokenCounter) text(text string) int64 {
	counter, err := counters[s.name]()
	if err != nil {
		panic("the embedded vocabulary: " + err.Error()) // a broken build
	}
	return int64(counter.Count(strings.ToValidUTF8(text, "\uFFFD")))
}

// What a chat's template adds to each object, and what an image counts as, in tokens.
const (
	perObject = 3
	perImage  = 765
)

// json returns the number of tokens of JSON that a model reads: of its texts, with a few
// for each object and a fixed number for each image.
func (s tokenCounter) json(raw json.RawMessage) (tokens int64) {
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

// tools returns the number of tokens of the definitions of functions, whose field names a
// model reads too.
func (s tokenCounter) tools(raw json.RawMessage) int64 { return s.text(string(raw)) }

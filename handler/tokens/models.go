package tokens

import (
	"strings"

	"github.com/pkoukk/tiktoken-go"
)

// The encodings, each for a family of models.
var (
	r1         = &Encoding{tables: deepseek, template: r1Template, exact: true, known: true}
	r1Variants = &Encoding{tables: deepseek, template: r1Template, known: true}
	v3         = &Encoding{tables: deepseek, template: v3Template, known: true}
	o200k      = &Encoding{tables: o200kBase, template: openAITemplate, known: true}
	cl100k     = &Encoding{tables: cl100kBase, template: openAITemplate, known: true}
	unknown    = &Encoding{tables: deepseek, template: v3Template}
)

// missingPrefixes are the prefixes of OpenAI's models that tiktoken-go's table lacks. Azure
// spells gpt-3.5 without the dot.
// Source: https://github.com/openai/tiktoken/blob/main/tiktoken/model.py
var missingPrefixes = []struct {
	prefix   string
	encoding *Encoding
}{
	{"gpt-5", o200k}, {"gpt-oss", o200k}, {"chatgpt-4o", o200k}, {"o1", o200k}, {"o3", o200k}, {"o4", o200k},
	{"gpt-35", cl100k}, {"davinci-002", cl100k}, {"babbage-002", cl100k},
}

// ofOpenAI returns the encoding of an OpenAI model, or nil if it isn't one. The name
// must be in lower case.
func ofOpenAI(name string) *Encoding {
	of := tiktoken.MODEL_TO_ENCODING[name]
	for prefix, encoding := range tiktoken.MODEL_PREFIX_TO_ENCODING {
		if of == "" && strings.HasPrefix(name, prefix) {
			of = encoding
		}
	}
	switch of {
	case tiktoken.MODEL_O200K_BASE:
		return o200k
	case tiktoken.MODEL_CL100K_BASE:
		return cl100k
	}
	for _, family := range missingPrefixes {
		if strings.HasPrefix(name, family.prefix) {
			return family.encoding
		}
	}
	return nil
}

// ForModel returns the encoding of a model, by name. It ignores case, and anything
// before a slash. A model of an unknown family gets DeepSeek-V3's encoding.
func ForModel(name string) *Encoding {
	name = name[strings.LastIndexByte(name, '/')+1:]
	if strings.EqualFold(name, "DeepSeek-R1") || strings.EqualFold(name, "DeepSeek-R1-0528") {
		return r1
	}
	name = strings.ToLower(name)
	switch {
	case strings.Contains(name, "deepseek-r1"), strings.Contains(name, "ds-r1"):
		return r1Variants
	case strings.Contains(name, "deepseek"):
		return v3
	}
	if encoding := ofOpenAI(name); encoding != nil {
		return encoding
	}
	return unknown
}

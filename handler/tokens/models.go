package tokens

import "strings"

// The encodings there are, each for a family of models.
var (
	r1      = &Encoding{tables: deepseek, template: r1Template, exact: true, known: true}
	r1Kin   = &Encoding{tables: deepseek, template: r1Template, known: true}
	v3      = &Encoding{tables: deepseek, template: v3Template, known: true}
	o200k   = &Encoding{tables: o200kBase, template: openAITemplate, known: true}
	cl100k  = &Encoding{tables: cl100kBase, template: openAITemplate, known: true}
	unknown = &Encoding{tables: deepseek, template: v3Template}
)

// families are the encodings by what a model's name begins with, the first that
// fits. Azure spells gpt-3.5 without its point.
// Source: https://github.com/openai/tiktoken/blob/main/tiktoken/model.py
var families = []struct {
	prefix   string
	encoding *Encoding
}{
	{"gpt-4o", o200k}, {"gpt-4.1", o200k}, {"gpt-4.5", o200k}, {"gpt-5", o200k}, {"gpt-oss", o200k},
	{"chatgpt-4o", o200k}, {"o1", o200k}, {"o3", o200k}, {"o4", o200k},
	{"gpt-4", cl100k}, {"gpt-3.5", cl100k}, {"gpt-35", cl100k},
}

// ForModel is the encoding of a model, by the name that callers use. Case and
// what precedes a slash don't matter. A model of no known family is counted as
// DeepSeek-V3 would be.
func ForModel(name string) *Encoding {
	name = name[strings.LastIndexByte(name, '/')+1:]
	if strings.EqualFold(name, "DeepSeek-R1") || strings.EqualFold(name, "DeepSeek-R1-0528") {
		return r1
	}
	for _, family := range families {
		if len(name) >= len(family.prefix) && strings.EqualFold(name[:len(family.prefix)], family.prefix) {
			return family.encoding
		}
	}
	switch name := strings.ToLower(name); {
	case strings.Contains(name, "deepseek-r1"), strings.Contains(name, "ds-r1"):
		return r1Kin
	case strings.Contains(name, "deepseek"):
		return v3
	}
	return unknown
}

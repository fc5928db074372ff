package fakemodel

import (
	"crypto/rand"
	"encoding/json"
)

// A tool is a function that a call offers.
type tool struct {
	Function struct {
		Name       string          `json:"name"`
		Parameters json.RawMessage `json:"parameters"`
	} `json:"function"`
}

// A toolCall is the function call in an answer.
type toolCall struct {
	id, name, arguments string
	tokens              int64 // size of name and arguments
}

// callOf returns the model's call of an offered function, with arguments that fit its
// schema: the function that the choice names, or else the first. It returns nil if there
// are no functions or the choice is none.
func callOf(tools []tool, choice json.RawMessage) *toolCall {
	var mode string
	var named tool
	_ = json.Unmarshal(choice, &mode)  // a mode, or
	_ = json.Unmarshal(choice, &named) // an object that names a function
	if len(tools) == 0 || mode == "none" {
		return nil
	}
	chosen := tools[0]
	for _, t := range tools {
		if t.Function.Name == named.Function.Name {
			chosen = t
		}
	}
	return newCall(chosen.Function.Name, chosen.Function.Parameters)
}

// newCall returns a call of a function with arguments that fit its parameters.
func newCall(name string, parameters json.RawMessage) *toolCall {
	var s schema
	_ = json.Unmarshal(parameters, &s) // without parameters there are no arguments
	arguments := "{}"
	if example, ok := s.example(maxDepth).(map[string]any); ok {
		text, _ := json.Marshal(example) // can't fail: its values were read as JSON
		arguments = string(text)
	}
	return &toolCall{id: "call_" + rand.Text(), name: name, arguments: arguments, tokens: int64(encoding.Count(name + arguments))}
}

// whole returns the call as it appears in an answer that isn't streamed.
func (c *toolCall) whole() map[string]any {
	return map[string]any{"id": c.id, "type": "function", "function": map[string]string{"name": c.name, "arguments": c.arguments}}
}

// parts returns the call's chunks in a stream: its name, then its arguments in two
// pieces.
func (c *toolCall) parts() []map[string]any {
	first, second := c.halves()
	return []map[string]any{
		{"index": 0, "id": c.id, "type": "function", "function": map[string]string{"name": c.name, "arguments": ""}},
		{"index": 0, "function": map[string]string{"arguments": first}},
		{"index": 0, "function": map[string]string{"arguments": second}},
	}
}

// part returns the tokens of the call's i-th chunk: those of the name and of the first
// half of the arguments are billed with the name.
func (c *toolCall) part(i int) int64 {
	return [...]int64{c.tokens / 2, 0, c.tokens - c.tokens/2}[i]
}

// halves returns the arguments in two pieces.
func (c *toolCall) halves() (first, second string) {
	half := len(c.arguments) / 2
	for half < len(c.arguments) && c.arguments[half]&0xc0 == 0x80 {
		half++ // don't split a character
	}
	return c.arguments[:half], c.arguments[half:]
}

// A schema holds the parts of a JSON Schema that the model reads.
type schema struct {
	Type       any               `json:"type"` // a name, or several
	Properties map[string]schema `json:"properties"`
	Required   []string          `json:"required"`
	Enum       []any             `json:"enum"`
	Items      *schema           `json:"items"`
	MinItems   int               `json:"minItems"`
}

// maxDepth and maxItems bound an example.
const maxDepth, maxItems = 8, 4

// example returns a value that fits the schema; objects have only required fields.
func (s *schema) example(depth int) any {
	if len(s.Enum) > 0 {
		return s.Enum[0]
	}
	name, _ := s.Type.(string)
	if several, ok := s.Type.([]any); ok && len(several) > 0 {
		name, _ = several[0].(string)
	}
	if name == "" && s.Properties != nil {
		name = "object"
	}
	switch name {
	case "object":
		object := make(map[string]any)
		for _, field := range s.Required {
			if property, ok := s.Properties[field]; ok && depth > 0 {
				object[field] = property.example(depth - 1)
			}
		}
		return object
	case "array":
		array := []any{}
		for range min(s.MinItems, maxItems) {
			if s.Items != nil && depth > 0 {
				array = append(array, s.Items.example(depth-1))
			}
		}
		return array
	case "integer", "number":
		return 1
	case "boolean":
		return true
	case "null":
		return nil
	}
	return "so"
}

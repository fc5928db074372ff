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

// toolCall returns the model's call of an offered function: the one that tool_choice
// names, else the first, with arguments that fit its schema. It returns nil if the last
// message is a tool's result, or with tool_choice none.
func (r *request) toolCall() *toolCall {
	if len(r.Tools) == 0 || len(r.Messages) > 0 && r.Messages[len(r.Messages)-1].Role == "tool" {
		return nil
	}
	var mode string
	var choice tool
	if json.Unmarshal(r.ToolChoice, &mode) == nil && mode == "none" {
		return nil
	}
	_ = json.Unmarshal(r.ToolChoice, &choice) // a mode names no function
	chosen := r.Tools[0]
	for _, t := range r.Tools {
		if t.Function.Name == choice.Function.Name {
			chosen = t
		}
	}
	var s schema
	_ = json.Unmarshal(chosen.Function.Parameters, &s) // without parameters there are no arguments
	arguments := "{}"
	if example, ok := s.example(maxDepth).(map[string]any); ok {
		text, _ := json.Marshal(example) // can't fail: its values were read as JSON
		arguments = string(text)
	}
	name := chosen.Function.Name
	return &toolCall{id: "call_" + rand.Text(), name: name, arguments: arguments, tokens: int64(encoding.Count(name + arguments))}
}

// whole returns the call as it appears in an answer that isn't streamed.
func (c *toolCall) whole() map[string]any {
	return map[string]any{"id": c.id, "type": "function", "function": map[string]string{"name": c.name, "arguments": c.arguments}}
}

// parts returns the call's chunks in a stream: its name, then its arguments in two
// pieces.
func (c *toolCall) parts() []map[string]any {
	half := len(c.arguments) / 2
	for half < len(c.arguments) && c.arguments[half]&0xc0 == 0x80 {
		half++ // don't split a character
	}
	return []map[string]any{
		{"index": 0, "id": c.id, "type": "function", "function": map[string]string{"name": c.name, "arguments": ""}},
		{"index": 0, "function": map[string]string{"arguments": c.arguments[:half]}},
		{"index": 0, "function": map[string]string{"arguments": c.arguments[half:]}},
	}
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

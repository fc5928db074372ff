package response

import (
	"fmt"

	"tollgate/handler/jsonscan"
	"tollgate/handler/operation"
	"tollgate/handler/operation/fields"
)

// settings are the fields of a call that no model reads.
var settings = map[string]bool{
	"model": true, "stream": true, "stream_options": true, "max_output_tokens": true, "max_tool_calls": true,
	"temperature": true, "top_p": true, "top_logprobs": true, "parallel_tool_calls": true, "truncation": true, "include": true,
	"store": true, "background": true, "metadata": true, "service_tier": true, "user": true, "safety_identifier": true,
	"prompt_cache_key": true, "prompt_cache_retention": true, "reasoning": true, "tool_choice": true,
}

// hidden are fields that make a model read something that isn't in the body, besides those
// for which fields.ReadsOutsideBody is true.
var hidden = map[string]bool{"prompt": true, "agent": true, "agent_reference": true, "context_management": true}

// Prompt implements operation.Request. Its texts are the instructions, and the input or
// the texts of its items. It is never plain: no endpoint says how it renders a response's
// input.
func (r *request) Prompt(text func(text []byte, length int)) operation.Prompt {
	w := promptWalk{fields.NewWalk(r.body, text)}
	_ = w.Members(w.field) // parse has checked the body
	return w.Prompt
}

// promptWalk walks a body for request.Prompt.
type promptWalk struct{ fields.Walk }

// field reads one of the body's members.
func (w *promptWalk) field(key []byte, start int) error {
	name := string(key)
	switch {
	case (name == "input" || name == "instructions") && w.Peek() == '"':
		w.Elements++
		return w.Emit(start)
	case name == "input" && w.Peek() == '[':
		w.Frame += fields.CompactSize(w.Since(start)) + 3 // plus the brackets and the body's end
		return w.Array(w.item)
	}
	value, err := w.SkipOther(start)
	switch {
	case err != nil, fields.Absent(value), settings[name]:
	case name == "tools":
		w.tools(value)
	case hidden[name], fields.ReadsOutsideBody(key):
		w.SetUnbounded(name)
	}
	return err
}

// tools records a tool that the endpoint runs as unbounded, since the model reads its
// results.
func (w *promptWalk) tools(value []byte) {
	s := jsonscan.New(value, jsonscan.Options{})
	_ = s.Array(func(i int) error {
		tool, err := s.Value()
		if !callerRuns(tool) {
			w.SetUnbounded(fmt.Sprintf("tools[%d]", i))
		}
		return err
	})
}

// item reads an item of the input.
func (w *promptWalk) item(i int) error {
	w.Elements++
	w.Frame += 2 // the closing brace and a comma
	path := fmt.Sprintf("input[%d].", i)
	return w.Members(func(key []byte, start int) error {
		name, c := string(key), w.Peek()
		switch name {
		case "content", "output", "summary", "arguments", "input":
			switch {
			case c == '"':
				return w.Emit(start)
			case c == '[':
				w.Frame += fields.CompactSize(w.Since(start)) + 2
				return w.Array(func(j int) error { return w.part(fmt.Sprintf("%s%s[%d]", path, name, j)) })
			case c == '{':
				w.Frame += fields.CompactSize(w.Since(start))
				return w.part(path + name)
			}
		case "role", "type":
			return w.kind(start, itemKinds, path+name)
		}
		value, err := w.SkipOther(start)
		if fields.ReadsOutsideBody(key) && !fields.Absent(value) {
			w.SetUnbounded(path + name)
		}
		return err
	})
}

// itemKinds are the roles and, besides selfContained, the types of items that hold all
// that the model reads of them.
var itemKinds = map[string]bool{
	"user": true, "assistant": true, "system": true, "developer": true, "message": true, "reasoning": true, "compaction": true,
}

// partKinds are the types of parts that hold a text or an image.
var partKinds = map[string]bool{
	"input_text": true, "output_text": true, "text": true, "summary_text": true, "reasoning_text": true, "refusal": true,
	"input_image": true, "computer_screenshot": true,
}

// kind reads a role or type. It records any that is neither in known nor in selfContained
// as unbounded, since what the model reads of it is unknown.
func (w *promptWalk) kind(start int, known map[string]bool, path string) error {
	value, err := w.Value()
	switch name := stringOf(value); {
	case known[name], selfContained[name]:
		w.Frame += fields.CompactSize(w.Since(start))
	default:
		w.AddOther(start)
		if !fields.Absent(value) {
			w.SetUnbounded(path)
		}
	}
	return err
}

// partFields are the fields of a part that have no more tokens than bytes.
var partFields = map[string]bool{"annotations": true, "logprobs": true, "detail": true, "filename": true}

// part reads a part of an item: a text or an image. Any other, such as a file, is
// unbounded.
func (w *promptWalk) part(path string) error {
	w.Elements++
	start := w.Pos()
	switch w.Peek() {
	case '"':
		return w.Emit(start)
	case '{':
	default:
		err := w.Skip()
		w.AddOther(start)
		w.SetUnbounded(path)
		return err
	}
	w.Frame += 2 // the closing brace and a comma
	before, low := len(w.Images), false
	err := w.Members(func(key []byte, start int) error {
		name, c := string(key), w.Peek()
		switch {
		case c == '"' && (name == "text" || name == "refusal"):
			return w.Emit(start)
		case c == '"' && name == "image_url":
			return w.ImageURL(start, path+".image_url")
		case name == "type":
			return w.kind(start, partKinds, path+".type")
		}
		value, err := w.Value()
		low = low || name == "detail" && string(value) == `"low"`
		w.AddOther(start)
		if !partFields[name] && !isEmpty(value) && !fields.Absent(value) {
			w.SetUnbounded(path)
		}
		return err
	})
	if len(w.Images) > before {
		w.Images[before].Low = low
	}
	return err
}

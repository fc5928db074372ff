package message

import (
	"bytes"
	"fmt"
	"slices"
	"strings"

	"tollgate/handler/jsonscan"
	"tollgate/handler/operation"
	"tollgate/handler/operation/fields"
)

// The most tokens that the API itself adds to a prompt with tools.
// Source: https://platform.claude.com/docs/en/agents-and-tools/tool-use/overview
const (
	forTools   = 1024 // how to use tools, once
	forOwnTool = 2048 // the description of each tool in ownTools
)

// Prompt implements operation.Request. Its texts are those of the system prompt and the
// messages, and their thinking. It is never plain, since the template of these models
// isn't public.
func (r *request) Prompt(text func(text []byte, length int)) operation.Prompt {
	w := promptWalk{fields.NewWalk(r.body, text)}
	_ = w.Members(w.field) // parse has checked the body
	return w.Prompt
}

// promptWalk walks a body for Prompt.
type promptWalk struct{ fields.Walk }

// absent reports whether a value means the same as no field.
func absent(value []byte) bool {
	return string(value) == "null" || string(value) == "false" || string(value) == "[]"
}

// field reads one of the body's members.
func (w *promptWalk) field(key []byte, start int) error {
	switch string(key) {
	case "messages":
		w.Frame += fields.CompactSize(w.Since(start)) + 3 // plus the brackets and the body's end
		return w.Array(w.message)
	case "system":
		return w.content(start, "system")
	}
	value, err := w.SkipOther(start)
	switch name := string(key); {
	case err != nil, absent(value):
	case name == "tools":
		w.tools(value)
	case name == "stop_sequences":
		w.stops(value)
	case name == "context_management":
		w.edits(value)
	case name == "mcp_servers", name == "container", name == "compaction":
		w.SetUnbounded(name)
	}
	return err
}

// tools records a tool that runs at the endpoint as unbounded, since the model reads its
// results, and adds the descriptions that the API gives the model of the others.
func (w *promptWalk) tools(value []byte) {
	w.Other += forTools
	s := jsonscan.New(value, jsonscan.Options{})
	_ = s.Array(func(i int) error {
		if kind := kindOf(s); slices.ContainsFunc(ownTools, func(own string) bool { return strings.HasPrefix(kind, own) }) {
			w.Other += forOwnTool
		} else if kind != "" && kind != "custom" && kind != "null" {
			w.SetUnbounded(fmt.Sprintf("tools[%d]", i))
		}
		return s.Skip()
	})
}

// ownTools are the beginnings of the types of tools that the API defines and the caller
// runs.
var ownTools = []string{"bash_", "text_editor_", "computer_", "memory_", "browser_"}

// stops finds the longest stop sequence.
func (w *promptWalk) stops(value []byte) {
	s := jsonscan.New(value, jsonscan.Options{})
	_ = s.Array(func(int) error {
		value, err := s.Value()
		w.Stop = max(w.Stop, int64(len(value)))
		return err
	})
}

// edits records an edit of the conversation that takes tokens of its own as unbounded: for
// a compaction, a model reads the whole conversation again. Edits that clear something
// take none.
func (w *promptWalk) edits(value []byte) {
	s := jsonscan.New(value, jsonscan.Options{})
	_ = s.Object(func(key []byte) error {
		if string(key) != "edits" || s.Peek() != '[' {
			value, err := s.Value()
			if !absent(value) {
				w.SetUnbounded("context_management")
			}
			return err
		}
		return s.Array(func(i int) error {
			if !strings.HasPrefix(kindOf(s), "clear_") {
				w.SetUnbounded(fmt.Sprintf("context_management.edits[%d]", i))
			}
			return s.Skip()
		})
	})
}

var roles = map[string]bool{`"user"`: true, `"assistant"`: true, `"system"`: true}

// message reads one message.
func (w *promptWalk) message(i int) error {
	w.Elements++
	w.Frame += 2 // the closing brace and a comma
	return w.Members(func(key []byte, start int) error {
		if string(key) == "content" {
			return w.content(start, fmt.Sprintf("messages[%d].content", i))
		}
		if value := w.Scanner; string(key) == "role" {
			if role, err := value.Value(); err == nil && roles[string(role)] {
				w.Scanner = value
				w.Frame += fields.CompactSize(w.Since(start))
				return nil
			}
		}
		_, err := w.SkipOther(start)
		return err
	})
}

// content reads a text, or an array of blocks.
func (w *promptWalk) content(start int, path string) error {
	switch w.Peek() {
	case '"':
		return w.Emit(start)
	case '[':
		w.Frame += fields.CompactSize(w.Since(start)) + 2
		return w.Array(func(i int) error { return w.block(fmt.Sprintf("%s[%d]", path, i)) })
	}
	_, err := w.SkipOther(start)
	return err
}

// block reads a content block. Anything but text and images counts by its size.
func (w *promptWalk) block(path string) error {
	if start := w.Pos(); w.Peek() != '{' {
		_, err := w.SkipOther(start)
		return err
	}
	w.Elements++
	w.Frame += 2 // the closing brace and a comma
	kind := kindOf(w.Scanner)
	if kind == "container_upload" {
		w.SetUnbounded(path)
	}
	return w.Members(func(key []byte, start int) error {
		switch name := string(key); {
		case (name == "text" || name == "thinking") && w.Peek() == '"':
			return w.Emit(start)
		case name == "content":
			return w.content(start, path+".content")
		case name == "source" && kind == "image":
			return w.image(start, path+".source")
		case name == "source" && kind == "document":
			return w.document(start, path+".source")
		}
		_, err := w.SkipOther(start)
		return err
	})
}

// image reads an image's source: its data, its address, or a stored file's id.
func (w *promptWalk) image(start int, path string) error {
	kind := kindOf(w.Scanner)
	if kind != "base64" && kind != "url" {
		w.SetUnbounded(path)
		_, err := w.SkipOther(start)
		return err
	}
	value, err := w.Value()
	one := operation.Image{}
	if kind == "url" {
		one.URL = int64(len(value))
	}
	w.AddImage(one, path)
	return err
}

// document reads a document's source. The size of a text bounds its tokens, but that of a
// PDF doesn't bound those of its pages.
func (w *promptWalk) document(start int, path string) error {
	if kind := kindOf(w.Scanner); kind != "text" && kind != "content" {
		w.SetUnbounded(path)
	}
	value, err := w.SkipOther(start)
	if bytes.Contains(value, []byte(`"image"`)) { // a part of the content may be one
		w.SetUnbounded(path)
	}
	return err
}

package response

import (
	"bytes"
	"fmt"
	"strings"

	"tollgate/handler/jsonscan"
)

// inItems are the fields, at any depth of an item, that decide what the item is or whose
// text is counted. No object in an item may have two keys that differ only in case.
var inItems = jsonscan.Keys{Fold: true, Known: map[string]bool{
	"type": true, "id": true, "role": true, "content": true, "text": true, "output": true, "arguments": true, "input": true,
	"summary": true, "encrypted_content": true, "image_url": true, "detail": true,
	"file_id": true, "file_ids": true, "vector_store_id": true, "vector_store_ids": true, "container_id": true, "container": true,
}}

// selfContained are the types of items that hold all that the model reads of them. An
// endpoint completes an item of another type by its id from what it has stored.
// Source: https://platform.openai.com/docs/api-reference/responses/create#responses_create-input
var selfContained = map[string]bool{
	"function_call": true, "function_call_output": true, "custom_tool_call": true, "custom_tool_call_output": true,
	"local_shell_call": true, "local_shell_call_output": true, "shell_call": true, "shell_call_output": true,
	"apply_patch_call": true, "apply_patch_call_output": true, "computer_call": true, "computer_call_output": true,
	"mcp_approval_request": true, "mcp_approval_response": true, "mcp_list_tools": true, "mcp_call": true,
}

// storedItem returns the path, below an item of the input, of a field that names stored
// content of unknown owner; empty if there is none. The item has been checked.
func storedItem(item []byte) (path string) {
	s := jsonscan.New(item, jsonscan.Options{})
	var kind string
	var id, content, encrypted bool
	_ = s.Object(func(key []byte) error {
		value, err := s.Value()
		switch string(key) {
		case "type":
			kind = stringOf(value)
		case "id":
			id = !isEmpty(value)
		case "content":
			content = !isEmpty(value)
		case "encrypted_content":
			encrypted = !isEmpty(value)
		}
		return err
	})
	switch {
	case kind == "item_reference", kind == "" && id && !content:
		return ".id"
	case kind == "", kind == "message", selfContained[kind], encrypted, !id:
		return reference(item)
	}
	return ".id"
}

// storedTool does the same for a tool. It doesn't look into tools that the caller runs:
// the names in the schema of their parameters are the caller's own.
func storedTool(tool []byte) (path string) {
	if callerRuns(tool) {
		return ""
	}
	return reference(tool)
}

// callerRuns reports whether a tool runs at the caller rather than at the endpoint.
func callerRuns(tool []byte) bool {
	s := jsonscan.New(tool, jsonscan.Options{})
	if s.Peek() != '{' {
		return false
	}
	kind := ""
	_ = s.Object(func(key []byte) error {
		value, err := s.Value()
		if string(key) == "type" {
			kind = stringOf(value)
		}
		return err
	})
	return kind == "function" || kind == "custom"
}

// references are the fields that name stored content, in lower case.
var references = map[string]bool{
	"file_id": true, "file_ids": true, "vector_store_id": true, "vector_store_ids": true,
	"container_id": true, "container": true, "skill_id": true, "conversation_id": true, "prompt_id": true,
}

// inPath are the fields that a path may contain: names that the API defines, so that no
// error quotes a caller's text.
var inPath = map[string]bool{"content": true, "output": true, "container": true, "environment": true, "input_image_mask": true, "result": true, "summary": true, "tools": true}

// reference returns the path, within a value, of the first field that names stored content:
// one of references whose value is an id or a list of ids.
func reference(value []byte) (path string) {
	s := jsonscan.New(value, jsonscan.Options{})
	return findReference(&s)
}

func findReference(s *jsonscan.Scanner) (path string) {
	found := func(part string) error {
		if inner := findReference(s); inner != "" && path == "" {
			path = part + inner
		}
		return nil
	}
	switch s.Peek() {
	case '{':
		_ = s.Object(func(key []byte) error {
			name := strings.ToLower(string(key))
			if c := s.Peek(); references[name] && (c == '"' || c == '[') {
				value, err := s.Value()
				if path == "" && !isEmpty(value) {
					path = "." + name
				}
				return err
			}
			if !inPath[name] {
				return found("")
			}
			return found("." + name)
		})
	case '[':
		_ = s.Array(func(i int) error { return found(fmt.Sprintf("[%d]", i)) })
	default:
		_ = s.Skip() // the body has been checked
	}
	return path
}

// stringOf returns the value of a JSON string, empty if it isn't one.
func stringOf(value []byte) string {
	s := jsonscan.New(value, jsonscan.Options{})
	raw, escaped, err := s.String()
	if err != nil {
		return ""
	}
	if escaped {
		raw = jsonscan.AppendUnescaped(nil, raw)
	}
	return string(raw)
}

// isEmpty reports whether a value is null, or has nothing in it.
func isEmpty(value []byte) bool {
	switch string(value) {
	case "null", `""`, "[]", "{}":
		return true
	}
	return len(value) >= 2 && (value[0] == '[' || value[0] == '{') && len(bytes.TrimSpace(value[1:len(value)-1])) == 0
}

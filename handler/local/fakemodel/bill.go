package fakemodel

import (
	"bytes"
	"encoding/json"
	"regexp"
	"strings"
	"sync"

	"tollgate/handler/tokens/reference"
)

// Billed returns the cost of all calls so far, in tokens: prompts, and what was generated
// until each call ended or its caller left, including hidden tokens.
func (e *Endpoint) Billed() int64 { return e.billed.Load() }

// billChat returns the cost of a chat's prompt, computed without the gateway's own code: a
// DeepSeek-R1 chat by the published template, any other model's by the bytes of the body
// without white space, four to a token.
func billChat(body []byte) int64 {
	var call struct {
		Model    string
		Messages []struct {
			Role      string
			Content   json.RawMessage
			ToolCalls []struct {
				Type     string
				Function *struct{ Name, Arguments any }
			} `json:"tool_calls"`
		}
	}
	_ = json.Unmarshal(body, &call) // a field of the wrong type is ignored
	if !strings.HasPrefix(call.Model, "DeepSeek-R1") {
		var compact bytes.Buffer
		_ = json.Compact(&compact, body) // can't fail: it was read before
		return int64(compact.Len() / 4)
	}
	var system []string
	chat := ""
	for _, m := range call.Messages {
		text := textOf(m.Content)
		switch m.Role {
		case "system":
			system = append(system, text)
		case "user":
			chat += "<｜User｜>" + text
		case "assistant":
			if string(m.Content) != "null" && m.Content != nil {
				_, after, thought := strings.Cut(text, "</think>")
				for thought {
					text = after
					_, after, thought = strings.Cut(text, "</think>")
				}
				chat += "<｜Assistant｜>" + text + "<｜end▁of▁sentence｜>"
			}
		case "tool":
			chat += "<｜tool▁output▁begin｜>" + text + "<｜tool▁output▁end｜>"
		}
	}
	return count("<｜begin▁of▁sentence｜>" + strings.Join(system, "\n\n") + chat + "<｜Assistant｜><think>\n")
}

// textOf returns the text of a message's content: a string, or the texts of its parts.
func textOf(content json.RawMessage) (text string) {
	var parts []json.RawMessage
	if json.Unmarshal(content, &text) == nil || json.Unmarshal(content, &parts) != nil {
		return text
	}
	for _, raw := range parts {
		var part struct{ Text string }
		if json.Unmarshal(raw, &part) == nil {
			text += part.Text
		}
	}
	return text
}

// special matches the vocabulary's special tokens, each of which counts as one.
var special = regexp.MustCompile(`<｜[^<>]*｜>|</?think>`)

var deepSeek = sync.OnceValues(reference.DeepSeek)

// count counts a text with tiktoken-go, on DeepSeek's ranks.
func count(text string) (n int64) {
	counter, err := deepSeek()
	if err != nil {
		panic("the embedded vocabulary: " + err.Error()) // a broken build
	}
	for _, ordinary := range special.Split(text, -1) {
		n += int64(counter.Count(strings.ToValidUTF8(ordinary, "\uFFFD")))
	}
	return n + int64(len(special.FindAllStringIndex(text, -1)))
}

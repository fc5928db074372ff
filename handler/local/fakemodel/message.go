package fakemodel

import (
	"bytes"
	"crypto/rand"
	"encoding/json"
	"net/http"
	"slices"
	"strings"
)

// A messageRequest holds the fields of a message's request that the endpoint reads.
type messageRequest struct {
	Model      string          `json:"model"`
	MaxTokens  *int64          `json:"max_tokens"`
	System     json.RawMessage `json:"system"`
	Messages   []chatMessage   `json:"messages"`
	Tools      json.RawMessage `json:"tools"`
	ToolChoice struct {
		Type, Name string
	} `json:"tool_choice"`
	Thinking struct {
		Type   string `json:"type"`
		Budget int64  `json:"budget_tokens"`
	} `json:"thinking"`
	Stream bool `json:"stream"`
}

type chatMessage struct {
	Role    string          `json:"role"`
	Content json.RawMessage `json:"content"`
}

// readMessage reads a request. It reports false if it has answered it with an error.
func (c *call) readMessage(counts bool) (*messageRequest, bool) {
	invalid := func(message string) (*messageRequest, bool) {
		c.fail(http.StatusBadRequest, "", message)
		return nil, false
	}
	var request messageRequest
	if json.NewDecoder(c.r.Body).Decode(&request) != nil {
		return invalid("The request body is not valid JSON.")
	}
	switch {
	case c.r.Header.Get("Anthropic-Version") == "":
		return invalid("anthropic-version: header is required")
	case request.Model == "":
		return invalid("model: Field required")
	case len(request.Messages) == 0:
		return invalid("messages: at least one message is required")
	case counts:
		return &request, true
	case request.MaxTokens == nil:
		return invalid("max_tokens: Field required")
	case *request.MaxTokens < 0, *request.MaxTokens == 0 && !request.fillsCache():
		return invalid("max_tokens: must be greater than or equal to 1")
	case request.Thinking.Type == "enabled" && request.Thinking.Budget >= *request.MaxTokens:
		return invalid("`max_tokens` must be greater than `thinking.budget_tokens`.")
	}
	return &request, true
}

// fillsCache reports whether the request marks a part of its prompt to be cached. Then
// max_tokens may be 0: nothing is written but the cache.
func (q *messageRequest) fillsCache() bool {
	parts := [][]byte{q.System, q.Tools}
	for _, m := range q.Messages {
		parts = append(parts, m.Content)
	}
	return slices.ContainsFunc(parts, func(part []byte) bool { return bytes.Contains(part, []byte(`"cache_control"`)) })
}

// The tokens that a message's template adds to a prompt, and to its tools.
const (
	perPrompt = 7
	forTools  = 120
)

// promptTokens returns the tokens of a request's prompt.
func (q *messageRequest) promptTokens() int64 {
	s := counterFor(q.Model, "o200k_base")
	n := perPrompt + s.json(q.System)
	for _, m := range q.Messages {
		n += perObject + s.json(m.Content)
	}
	if len(q.Tools) > 0 {
		n += forTools + s.tools(q.Tools)
	}
	return n
}

func (c *call) countMessage() {
	if request, ok := c.readMessage(true); ok {
		c.send(http.StatusOK, object("input_tokens", request.promptTokens()))
	}
}

func (c *call) message() {
	request, ok := c.readMessage(false)
	if !ok {
		return
	}
	style := plain
	if request.Thinking.Type == "enabled" || request.Thinking.Type == "adaptive" {
		style = apart
	}
	if !strings.Contains(c.r.Header.Get("Anthropic-Beta"), "compact-") {
		c.behaviour.Compaction = 0
	}
	a := c.newAnswer(request.Model, style, request.promptTokens(), defaultCompletion, *request.MaxTokens, request.call())
	f := &messageFormat{answer: a, id: "msg_" + rand.Text(), request: c.w.Header().Get("Request-Id")}
	c.e.billed.Add(f.compacted() + f.summarized())
	c.reply(a, f, request.Stream)
}

// call returns the model's call of a tool that was offered, unless the last message has a
// tool's result.
func (q *messageRequest) call() *toolCall {
	var offered []struct {
		Type, Name string
		Schema     json.RawMessage `json:"input_schema"`
	}
	_ = json.Unmarshal(q.Tools, &offered) // on an error there are no tools
	var functions []tool
	for _, o := range offered {
		if o.Type == "" || o.Type == "custom" {
			var t tool
			t.Function.Name, t.Function.Parameters = o.Name, o.Schema
			functions = append(functions, t)
		}
	}
	if strings.Contains(string(q.Messages[len(q.Messages)-1].Content), `"tool_result"`) || q.ToolChoice.Type == "none" {
		return nil
	}
	call := callOf(functions, object("function", object("name", q.ToolChoice.Name)))
	if call != nil {
		call.id = "toolu_" + rand.Text()
	}
	return call
}

// A messageFormat writes a message.
type messageFormat struct {
	*answer
	id, request string
}

func (f *messageFormat) stopReason() string {
	switch {
	case f.cut:
		return "max_tokens"
	case f.call != nil:
		return "tool_use"
	}
	return "end_turn"
}

// compacted and summarized return what a compaction read and wrote, which the usage
// reports among its iterations alone.
func (f *messageFormat) compacted() int64 { return f.behaviour.Compaction }

func (f *messageFormat) summarized() int64 { return f.behaviour.Compaction / 4 }

// usage returns the usage with the given output, in tokens.
func (f *messageFormat) usage(output int64) []any {
	counts := func(input, written, read, output int64) []any {
		return []any{"input_tokens", input, "cache_creation_input_tokens", written, "cache_read_input_tokens", read,
			"cache_creation", object("ephemeral_5m_input_tokens", written, "ephemeral_1h_input_tokens", 0), "output_tokens", output}
	}
	written, read := f.cacheWritten(), f.cached()
	usage := counts(f.prompt-written-read, written, read, output)
	if f.compacted() > 0 {
		usage = append(usage, "iterations", []json.RawMessage{
			object(append([]any{"type", "compaction"}, counts(f.compacted(), 0, 0, f.summarized())...)...),
			object(append([]any{"type", "message"}, usage...)...),
		})
	}
	if thought := f.hidden + int64(len(f.think())); thought > 0 {
		usage = append(usage, "output_tokens_details", object("thinking_tokens", min(thought, output)))
	}
	return append(usage, "service_tier", "standard")
}

// think returns the tokens of the thinking block.
func (f *messageFormat) think() (thought []token) {
	for _, t := range f.written {
		if t.reasoning {
			thought = append(thought, t)
		}
	}
	return thought
}

// message returns the message with its content and usage; a nil stopReason says that it
// goes on.
func (f *messageFormat) message(content []json.RawMessage, stopReason any, output int64) json.RawMessage {
	pairs := []any{"id", f.id, "type", "message", "role", "assistant", "model", f.model, "content", append([]json.RawMessage{}, content...),
		"stop_reason", stopReason, "stop_sequence", nil}
	if !f.behaviour.NoUsage {
		pairs = append(pairs, "usage", object(f.usage(output)...))
	}
	return object(pairs...)
}

func (f *messageFormat) whole() json.RawMessage {
	var content []json.RawMessage
	if thoughts := f.thoughts(); thoughts != "" {
		content = append(content, object("type", "thinking", "thinking", thoughts, "signature", signature))
	}
	if text := f.text(); text != "" {
		content = append(content, object("type", "text", "text", text))
	}
	if f.call != nil {
		content = append(content, object("type", "tool_use", "id", f.call.id, "name", f.call.name, "input", json.RawMessage(f.call.arguments)))
	}
	return f.message(content, f.stopReason(), f.reportedCompletion())
}

// signature ends each thinking block.
const signature = "RmFrZSBzaWduYXR1cmU="

func (f *messageFormat) failed() json.RawMessage {
	return anthropicError(statusOverloaded, "Overloaded", f.request)
}

func (f *messageFormat) failure(s *stream) { s.write("error", f.failed()) }

// events sends the message's blocks one after another, a ping in the first, the usage so
// far when it has thought, and the whole usage at the end.
func (f *messageFormat) events(s *stream) {
	f.event(s, "message_start", "message", f.message(nil, nil, 1))
	index := 0
	block := func(begun json.RawMessage, deltas func(index int)) {
		f.event(s, "content_block_start", "index", index, "content_block", begun)
		if index == 0 {
			f.event(s, "ping")
		}
		deltas(index)
		f.event(s, "content_block_stop", "index", index)
		index++
	}
	if s.behaviour.Novelty {
		f.event(s, "novelty", "new", 1)
	}
	if thought := f.think(); len(thought) > 0 {
		block(object("type", "thinking", "thinking", "", "signature", ""), func(index int) {
			for _, t := range thought {
				s.bill(1, f.delta(s, index, "thinking_delta", "thinking", t.text))
			}
			f.delta(s, index, "signature_delta", "signature", signature)
		})
		if !f.behaviour.NoUsage {
			f.event(s, "message_delta", "delta", object("stop_reason", nil, "stop_sequence", nil), "usage", object("output_tokens", f.hidden+int64(len(thought))))
		}
	}
	if f.text() != "" {
		block(object("type", "text", "text", ""), func(index int) {
			for _, t := range f.written[len(f.think()):] {
				s.bill(1, f.delta(s, index, "text_delta", "text", t.text))
			}
		})
	}
	if f.call != nil {
		block(object("type", "tool_use", "id", f.call.id, "name", f.call.name, "input", object()), func(index int) {
			first, second := f.call.halves()
			f.delta(s, index, "input_json_delta", "partial_json", "")
			for i, piece := range []string{first, second} {
				s.bill(f.call.part(2*i), f.delta(s, index, "input_json_delta", "partial_json", piece))
			}
		})
	}
	f.end(s)
}

func (f *messageFormat) end(s *stream) {
	last := []any{"delta", object("stop_reason", f.stopReason(), "stop_sequence", nil)}
	if !f.behaviour.NoUsage {
		last = append(last, "usage", object(f.usage(f.reportedCompletion())...))
	}
	f.event(s, "message_delta", last...)
	f.event(s, "message_stop")
}

func (f *messageFormat) event(s *stream, kind string, pairs ...any) bool {
	return s.write(kind, object(append([]any{"type", kind}, pairs...)...))
}

func (f *messageFormat) delta(s *stream, index int, kind, field, text string) bool {
	return f.event(s, "content_block_delta", "index", index, "delta", object("type", kind, field, text))
}

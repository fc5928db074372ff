package fakemodel

import (
	"crypto/rand"
	"encoding/json"
	"net/http"
	"slices"
)

// demoCompletions holds the completion tokens of the article's first two calls.
var demoCompletions = []int64{233, 184}

// The article's chat.
const (
	demoSystem = "You are a sarcastic, unhelpful assistant."
	demoUser   = "Can you tell me the time, please?"
)

// A chatRequest holds the fields of a chat completion that the endpoint reads.
type chatRequest struct {
	Model    string `json:"model"`
	Messages []struct {
		Role    string `json:"role"`
		Content any    `json:"content"`
	} `json:"messages"`
	MaxTokens           int64 `json:"max_tokens"`
	MaxCompletionTokens int64 `json:"max_completion_tokens"`
	Stream              bool  `json:"stream"`
	StreamOptions       *struct {
		IncludeUsage bool `json:"include_usage"`
	} `json:"stream_options"`
	Tools       []tool          `json:"tools"`
	ToolChoice  json.RawMessage `json:"tool_choice"`
	ServiceTier *string         `json:"service_tier"`
}

func (c *call) chatCompletion() {
	var fields map[string]json.RawMessage
	var request chatRequest
	body := json.NewDecoder(c.r.Body)
	var raw json.RawMessage
	if body.Decode(&raw) != nil || json.Unmarshal(raw, &fields) != nil || json.Unmarshal(raw, &request) != nil || len(request.Messages) == 0 {
		c.fail(http.StatusBadRequest, "invalid_request", "The body is not a chat completion request.")
		return
	}
	if c.api == inference {
		switch extra := unknown(fields); {
		case len(extra) == 0 || c.r.Header.Get("Extra-Parameters") == "pass-through":
		case c.r.Header.Get("Extra-Parameters") == "drop":
			request.StreamOptions, request.MaxCompletionTokens, request.ServiceTier = nil, 0, nil
		default:
			c.refuseExtra(extra)
			return
		}
	}
	tier, ok := c.serviceTier(request.ServiceTier)
	if !ok {
		return
	}
	a := c.chatAnswer(fields, &request, raw)
	usage := request.StreamOptions != nil && request.StreamOptions.IncludeUsage
	c.reply(a, &chatFormat{a, "chatcmpl-" + rand.Text(), tier, usage}, request.Stream)
}

func (c *call) chatAnswer(fields map[string]json.RawMessage, request *chatRequest, raw []byte) *answer {
	var prompt int64
	if c.behaviour.Bill {
		prompt = billChat(raw)
	} else {
		n, _ := encoding.CountChat(fields["messages"], fields["tools"]) // can't fail: they were read before
		prompt = int64(n)
	}
	size := int64(defaultCompletion)
	if m := request.Messages; len(m) == 2 && m[0].Content == demoSystem && m[1].Content == demoUser {
		if call := c.e.demoCalls.Add(1); call <= int64(len(demoCompletions)) {
			size = demoCompletions[call-1]
		}
	}
	most := int64(-1)
	if larger := max(request.MaxTokens, request.MaxCompletionTokens); larger > 0 {
		most = larger
	}
	var call *toolCall
	if last := request.Messages[len(request.Messages)-1]; last.Role != "tool" {
		call = callOf(request.Tools, request.ToolChoice)
	}
	style := apart
	if c.api == inference {
		style = marked
	}
	return c.newAnswer("DeepSeek-R1", style, prompt, size, most, call)
}

// parameters lists the parameters of the model inference API; all others are extra.
// Source: https://learn.microsoft.com/rest/api/aifoundry/model-inference/get-chat-completions
var parameters = []string{"messages", "model", "frequency_penalty", "presence_penalty", "temperature", "top_p", "max_tokens",
	"stop", "stream", "response_format", "tools", "tool_choice", "seed", "modalities"}

// unknown returns a body's extra parameters, sorted.
func unknown(fields map[string]json.RawMessage) []string {
	var extra []string
	for name := range fields {
		if !slices.Contains(parameters, name) {
			extra = append(extra, name)
		}
	}
	slices.Sort(extra)
	return extra
}

// A chatFormat writes a chat completion.
type chatFormat struct {
	*answer
	id       string
	tier     string // that serves the call; empty: the call asks for none
	ownChunk bool   // usage comes in a chunk of its own, as the call asked for
}

func (f *chatFormat) finish() string {
	switch {
	case f.cut:
		return "length"
	case f.call != nil:
		return "tool_calls"
	}
	return "stop"
}

func (f *chatFormat) usage() map[string]any {
	usage := map[string]any{"prompt_tokens": f.prompt, "completion_tokens": f.reportedCompletion(), "total_tokens": f.prompt + f.reportedCompletion()}
	if f.cached() > 0 || f.cacheWritten() > 0 {
		usage["prompt_tokens_details"] = map[string]int64{"cached_tokens": f.cached(), "cache_write_tokens": f.cacheWritten()}
	}
	if f.hidden > 0 {
		usage["completion_tokens_details"] = map[string]int64{"reasoning_tokens": f.hidden}
	}
	return usage
}

func (f *chatFormat) whole() json.RawMessage {
	message := map[string]any{"role": "assistant", "content": f.text()}
	if f.call != nil {
		message["tool_calls"] = []any{f.call.whole()}
	}
	if thoughts := f.thoughts(); thoughts != "" {
		message["reasoning_content"] = thoughts
	}
	if f.call != nil && f.text() == "" {
		message["content"] = nil
	}
	completion := map[string]any{
		"id": f.id, "object": "chat.completion", "created": f.created, "model": f.model,
		"choices": []any{map[string]any{"index": 0, "finish_reason": f.finish(), "message": message}},
	}
	if f.tier != "" {
		completion["service_tier"] = f.tier
	}
	if !f.behaviour.NoUsage {
		completion["usage"] = f.usage()
	}
	body, _ := json.Marshal(completion) // maps of strings and numbers always encode
	return body
}

func (f *chatFormat) failed() json.RawMessage {
	return object("error", object("code", "InternalServerError", "message", "The model failed."))
}

func (f *chatFormat) failure(s *stream) { s.write("", f.failed()) }

// events sends the answer's role, then one token an event. Usage comes with the
// finish_reason, or in a chunk of its own if the call asked for that.
func (f *chatFormat) events(s *stream) {
	f.delta(s, map[string]any{"role": "assistant", "content": ""})
	for _, token := range f.written {
		field := "content"
		if token.reasoning {
			field = "reasoning_content"
		}
		s.bill(1, f.delta(s, map[string]any{field: token.text}))
	}
	if f.call != nil {
		for i, part := range f.call.parts() {
			s.bill(f.call.part(i), f.delta(s, map[string]any{"tool_calls": []any{part}}))
		}
	}
	last := map[string]any{"choices": []any{map[string]any{"index": 0, "delta": map[string]string{}, "finish_reason": f.finish()}}}
	if !f.ownChunk && !f.behaviour.NoUsage {
		last["usage"] = f.usage()
	}
	f.chunk(s, last)
	if f.ownChunk && !f.behaviour.NoUsage {
		f.chunk(s, map[string]any{"choices": []any{}, "usage": f.usage()})
	}
	s.write("", json.RawMessage("[DONE]"))
}

func (f *chatFormat) delta(s *stream, delta map[string]any) bool {
	return f.chunk(s, map[string]any{"choices": []any{map[string]any{"index": 0, "delta": delta, "finish_reason": nil}}})
}

func (f *chatFormat) chunk(s *stream, chunk map[string]any) bool {
	chunk["id"], chunk["object"], chunk["created"], chunk["model"] = f.id, "chat.completion.chunk", f.created, f.model
	if f.tier != "" {
		chunk["service_tier"] = f.tier
	}
	text, _ := json.Marshal(chunk) // maps of strings and numbers always encode
	return s.write("", text)
}

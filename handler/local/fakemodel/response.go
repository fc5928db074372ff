package fakemodel

import (
	"crypto/rand"
	"encoding/json"
	"net/http"
	"strings"
)

// A responseRequest holds the fields of a response's request that the endpoint reads.
type responseRequest struct {
	Model        string          `json:"model"`
	Input        json.RawMessage `json:"input"`
	Instructions json.RawMessage `json:"instructions"`
	Tools        json.RawMessage `json:"tools"`
	ToolChoice   json.RawMessage `json:"tool_choice"`
	MaxTokens    *int64          `json:"max_output_tokens"`
	Reasoning    *struct {
		Summary string `json:"summary"`
	} `json:"reasoning"`
	Include       []string        `json:"include"`
	Previous      string          `json:"previous_response_id"`
	Store         *bool           `json:"store"`
	Background    bool            `json:"background"`
	Stream        bool            `json:"stream"`
	ServiceTier   *string         `json:"service_tier"`
	Metadata      json.RawMessage `json:"metadata"`
	StreamOptions struct {
		Obfuscation *bool `json:"include_obfuscation"`
	} `json:"stream_options"`
}

// items returns the input as a list.
func (q *responseRequest) items() (items []json.RawMessage) {
	var text string
	if json.Unmarshal(q.Input, &text) == nil {
		return []json.RawMessage{object("id", "msg_"+rand.Text(), "type", "message", "role", "user", "content", []json.RawMessage{object("type", "input_text", "text", text)})}
	}
	_ = json.Unmarshal(q.Input, &items) // it was read before
	return items
}

// readResponse reads a request. It reports false if it has answered it with an error.
func (c *call) readResponse() (*responseRequest, bool) {
	var request responseRequest
	if err := json.NewDecoder(c.r.Body).Decode(&request); err != nil {
		c.failField("", "invalid_json", "We could not parse the JSON body of your request.")
		return nil, false
	}
	switch {
	case request.Model == "":
		c.failField("model", "missing_required_parameter", "Missing required parameter: 'model'.")
	case len(request.items()) == 0 && request.Previous == "":
		c.failField("input", "missing_required_parameter", "Missing required parameter: 'input'.")
	case request.MaxTokens != nil && *request.MaxTokens < minOutput:
		c.failField("max_output_tokens", "integer_below_min_value", "Invalid 'max_output_tokens': integer below minimum value. Expected a value >= 16.")
	case request.Previous != "" && !c.e.stored.has(request.Previous):
		c.failField("previous_response_id", "previous_response_not_found", "Previous response with id '"+request.Previous+"' not found.")
	case !c.e.stored.encryptedHere(request.Input):
		c.failField("input", "invalid_encrypted_content", "The encrypted content could not be verified.")
	case request.Background && request.Store != nil && !*request.Store:
		c.failField("background", "invalid_value", "Background responses must be stored.")
	default:
		_, ok := c.serviceTier(request.ServiceTier)
		return &request, ok
	}
	return nil, false
}

// minOutput is the least max_output_tokens that the API takes.
const minOutput = 16

// promptTokens returns the tokens of a request's prompt, those of the conversation before it
// included.
func (c *call) promptTokens(q *responseRequest) int64 {
	s := counterFor(q.Model, "o200k_base")
	return s.json(q.Input) + s.json(q.Instructions) + s.tools(q.Tools) + c.e.stored.conversationTokens(q.Previous)
}

func (c *call) countResponse() {
	if request, ok := c.readResponse(); ok {
		c.send(http.StatusOK, object("object", "response.input_tokens", "input_tokens", c.promptTokens(request)))
	}
}

// reasoningTokens is the number of hidden reasoning tokens if a call asks for reasoning.
const reasoningTokens = 32

func (c *call) response() {
	request, ok := c.readResponse()
	if !ok {
		return
	}
	most := int64(-1)
	if request.MaxTokens != nil {
		most = *request.MaxTokens
	}
	if request.Reasoning != nil && c.behaviour.Hidden == 0 {
		c.behaviour.Hidden = reasoningTokens
	}
	a := c.newAnswer(request.Model, plain, c.promptTokens(request), defaultCompletion, most, request.call())
	f := &responseFormat{answer: a, request: request, id: "resp_" + rand.Text(), encryptionPrefix: c.e.stored.encryptionPrefix()}
	if request.Background {
		c.e.billed.Add(a.prompt + a.completion())
		c.e.stored.keep(f, c.behaviour.FirstToken)
		c.send(http.StatusOK, f.object("queued", nil, nil))
		return
	}
	if request.Store == nil || *request.Store {
		f.store = &c.e.stored
	}
	c.reply(a, f, request.Stream)
}

// call returns the model's call of a function that was offered, unless the last item is
// a function's result.
func (q *responseRequest) call() *toolCall {
	var offered []struct {
		Type, Name string
		Parameters json.RawMessage
	}
	_ = json.Unmarshal(q.Tools, &offered) // other tools have other fields
	var functions []tool
	for _, o := range offered {
		if o.Type == "function" {
			var t tool
			t.Function.Name, t.Function.Parameters = o.Name, o.Parameters
			functions = append(functions, t)
		}
	}
	var last struct{ Type string }
	if items := q.items(); len(items) > 0 {
		_ = json.Unmarshal(items[len(items)-1], &last) // a message may leave its type out
	}
	if strings.HasSuffix(last.Type, "_output") {
		return nil
	}
	choice := q.ToolChoice
	var named struct{ Name string }
	if json.Unmarshal(choice, &named) == nil && named.Name != "" {
		choice = object("function", object("name", named.Name))
	}
	return callOf(functions, choice)
}

// A responseFormat writes a response.
type responseFormat struct {
	*answer
	request          *responseRequest
	id               string
	encryptionPrefix string // begins the encrypted reasoning
	store            *store // nil: the response isn't stored

	sequence int
}

// status returns the response's status when it has ended.
func (f *responseFormat) status() string {
	if f.cut {
		return "incomplete"
	}
	return "completed"
}

func (f *responseFormat) usage() json.RawMessage {
	if f.behaviour.NoUsage {
		return json.RawMessage("null")
	}
	return object("input_tokens", f.prompt, "input_tokens_details", object("cached_tokens", f.cached(), "cache_write_tokens", f.cacheWritten()),
		"output_tokens", f.reportedCompletion(), "output_tokens_details", object("reasoning_tokens", f.hidden), "total_tokens", f.prompt+f.reportedCompletion())
}

// object returns the response with a status, its output so far and its usage.
func (f *responseFormat) object(status string, output []json.RawMessage, usage json.RawMessage) json.RawMessage {
	null := json.RawMessage("null")
	details, failure := null, null
	switch status {
	case "incomplete":
		details = object("reason", "max_output_tokens")
	case "failed":
		failure = object("code", "server_error", "message", "The model failed.")
	}
	if output == nil {
		output = []json.RawMessage{}
	}
	return object("id", f.id, "object", "response", "created_at", f.created, "status", status, "background", f.request.Background,
		"error", failure, "incomplete_details", details, "instructions", f.request.Instructions, "max_output_tokens", f.request.MaxTokens,
		"model", f.model, "output", output, "parallel_tool_calls", true, "previous_response_id", orNull(f.request.Previous),
		"reasoning", object("effort", nil, "summary", nil), "store", f.store != nil || f.request.Background, "temperature", 1, "text", object("format", object("type", "text")),
		"tool_choice", "auto", "tools", []string{}, "top_p", 1, "truncation", "disabled", "usage", usage, "user", nil, "service_tier", f.serviceTier(), "metadata", map[string]string{})
}

// serviceTier returns the service tier that serves the response, nil if its call asks for
// none.
func (f *responseFormat) serviceTier() any {
	if f.request.ServiceTier == nil {
		return nil
	}
	return servedTiers[*f.request.ServiceTier]
}

func orNull(text string) any {
	if text == "" {
		return nil
	}
	return text
}

func (f *responseFormat) whole() json.RawMessage {
	f.keep()
	return f.ended()
}

// ended returns the response at its end.
func (f *responseFormat) ended() json.RawMessage {
	var output []json.RawMessage
	for _, item := range f.items() {
		output = append(output, item.done)
	}
	return f.object(f.status(), output, f.usage())
}

func (f *responseFormat) failed() json.RawMessage { return f.object("failed", nil, nil) }

func (f *responseFormat) keep() {
	if f.store != nil {
		f.store.keep(f, 0)
	}
}

// An item is a part of a response's output, as it begins and as it ends.
type item struct {
	id, kind    string
	begun, done json.RawMessage
}

// items returns the response's output: reasoning, a message, a function's call.
func (f *responseFormat) items() []item {
	var items []item
	add := func(kind, id string, begun, done json.RawMessage) { items = append(items, item{id, kind, begun, done}) }
	suffix := strings.TrimPrefix(f.id, "resp")
	if f.hidden > 0 {
		id := "rs" + suffix
		pairs := []any{"id", id, "type", "reasoning", "summary", f.summary()}
		for _, name := range f.request.Include {
			if name == "reasoning.encrypted_content" {
				pairs = append(pairs, "encrypted_content", f.encryptionPrefix+rand.Text())
			}
		}
		add("reasoning", id, object("id", id, "type", "reasoning", "summary", []string{}), object(pairs...))
	}
	if len(f.written) > 0 {
		id := "msg" + suffix
		part := object("type", "output_text", "annotations", []string{}, "logprobs", []string{}, "text", f.text())
		message := func(status string, content ...json.RawMessage) json.RawMessage {
			return object("id", id, "type", "message", "status", status, "content", append([]json.RawMessage{}, content...), "role", "assistant")
		}
		add("message", id, message("in_progress"), message(f.status(), part))
	}
	if f.call != nil {
		id := "fc" + suffix
		call := func(status, arguments string) json.RawMessage {
			return object("id", id, "type", "function_call", "status", status, "arguments", arguments, "call_id", f.call.id, "name", f.call.name)
		}
		add("function_call", id, call("in_progress", ""), call("completed", f.call.arguments))
	}
	return items
}

// summary returns the summary of the reasoning, if the call asked for one. It isn't
// billed.
func (f *responseFormat) summary() []json.RawMessage {
	if f.request.Reasoning == nil || f.request.Reasoning.Summary == "" {
		return []json.RawMessage{}
	}
	return []json.RawMessage{object("type", "summary_text", "text", thoughtSummary)}
}

const thoughtSummary = "so so"

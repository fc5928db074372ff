package fakemodel

import (
	"crypto/rand"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"tollgate/handler/tokens"
)

// demoCompletions holds the completion tokens of the article's first two calls.
var demoCompletions = []int64{233, 184}

// The article's chat.
const (
	demoSystem = "You are a sarcastic, unhelpful assistant."
	demoUser   = "Can you tell me the time, please?"
)

// defaultCompletion is the size of an answer unless something limits it, in tokens.
const defaultCompletion = 60

// encoding is the model's own.
var encoding = tokens.ForModel("DeepSeek-R1")

// An answer holds the tokens of a completion and its usage.
type answer struct {
	id      string
	created int64 // Unix seconds
	written []token
	call    *toolCall // follows the written tokens; nil: none
	finish  string
	prompt  int64 // tokens
	hidden  int64 // reasoning tokens that are not written
	noUsage bool
}

// A token is one token of an answer, and the field that it is written to.
type token struct{ field, text string }

func (e *Endpoint) answer(fields map[string]json.RawMessage, asked request, models bool, behaviour Behaviour) answer {
	prompt, _ := encoding.CountChat(fields["messages"], fields["tools"]) // can't fail: they were read before
	a := answer{id: "chatcmpl-" + rand.Text(), created: time.Now().Unix(), prompt: int64(prompt), finish: "stop", noUsage: behaviour.NoUsage}
	completion := int64(defaultCompletion)
	if m := asked.Messages; len(m) == 2 && m[0].Content == demoSystem && m[1].Content == demoUser {
		if call := e.demoCalls.Add(1); call <= int64(len(demoCompletions)) {
			completion = demoCompletions[call-1]
		}
	}
	if behaviour.Completion > 0 {
		completion = behaviour.Completion
	}
	if a.call = asked.toolCall(); a.call != nil {
		completion = max(completion-a.call.tokens, minThought)
		a.written, a.finish = thought(completion, models), "tool_calls"
	} else {
		a.written = think(completion, models)
	}
	if most := max(asked.MaxTokens, asked.MaxCompletionTokens); most > 0 && most < a.completion() {
		a.written = think(most, models)
		a.call, a.finish = nil, "length"
	}
	if most := asked.MaxTokens + asked.MaxCompletionTokens; behaviour.Hidden > 0 {
		a.hidden = behaviour.Hidden
		if most > 0 && a.hidden+int64(len(a.written)) > most { // hidden tokens come first
			a.hidden = min(a.hidden, most)
			a.written, a.finish = a.written[:most-a.hidden], "length"
		}
	}
	return a
}

// completion returns the size of the answer, in tokens.
func (a *answer) completion() int64 {
	n := int64(len(a.written))
	if a.call != nil {
		n += a.call.tokens
	}
	return n + a.hidden
}

// minThought is the least reasoning before a tool call, in tokens: enough for the marks
// around a thought.
const minThought = 8

// think returns an answer of the given number of tokens: a thought and text.
func think(completion int64, models bool) []token {
	around := int64(1)
	if models {
		around = 5
	}
	all := thought(completion/2-2+around, models)
	all = append(all, token{"content", "\n\n"}, token{"content", "well"})
	for int64(len(all)) < completion {
		all = append(all, token{"content", " well"})
	}
	return all[:completion]
}

// thought returns a thought of n tokens. The models shape writes it to content, between
// marks; the others write it to reasoning_content.
func thought(n int64, models bool) []token {
	field, before, after := "reasoning_content", []string(nil), []string(nil)
	if models {
		field, before, after = "content", []string{"<think>", "\n"}, []string{"\n", "</think>"}
	}
	var all []token
	add := func(texts ...string) {
		for _, text := range texts {
			all = append(all, token{field, text})
		}
	}
	add(before...)
	add("so")
	for range n - 1 - int64(len(before)+len(after)) {
		add(" so")
	}
	add(after...)
	return all
}

func (a answer) usage() map[string]int64 {
	completion := a.completion()
	return map[string]int64{"prompt_tokens": a.prompt, "completion_tokens": completion, "total_tokens": a.prompt + completion}
}

// send sends an answer that isn't streamed.
func (a answer) send(w http.ResponseWriter, behaviour Behaviour) {
	texts := make(map[string]string)
	for _, token := range a.written {
		texts[token.field] += token.text
	}
	message := map[string]any{"role": "assistant", "content": ""}
	if a.call != nil {
		message["content"] = nil
		message["tool_calls"] = []any{a.call.whole()}
	}
	for field, text := range texts {
		message[field] = text
	}
	completion := map[string]any{
		"id": a.id, "object": "chat.completion", "created": a.created, "model": "DeepSeek-R1",
		"choices": []any{map[string]any{"index": 0, "finish_reason": a.finish, "message": message}},
	}
	if !a.noUsage {
		completion["usage"] = a.usage()
	}
	body, _ := json.Marshal(completion) // maps of strings and numbers always encode
	w.Header().Set("Content-Type", "application/json")
	if behaviour.CutAfter > 0 {
		w.Header().Set("Content-Length", strconv.Itoa(len(body)))
		_, _ = w.Write(body[:len(body)/2])
		breakOff(w)
	}
	_, _ = w.Write(body)
}

// breakOff sends what was written and drops the connection.
func breakOff(w http.ResponseWriter) {
	_ = http.NewResponseController(w).Flush()
	panic(http.ErrAbortHandler)
}

// A stream sends an answer event by event.
type stream struct {
	w         http.ResponseWriter
	r         *http.Request
	control   *http.ResponseController
	endpoint  *Endpoint
	behaviour Behaviour
	id        string // the answer's
	created   int64
	events    int
	left      bool // the caller has left
}

// send sends the answer's role, then one token an event. Usage comes with the
// finish_reason, or in a chunk of its own if the call asked for that.
func (s *stream) send(a answer, ownChunk bool) {
	s.w.Header().Set("Content-Type", "text/event-stream")
	s.id, s.created = a.id, a.created
	s.delta(map[string]any{"role": "assistant", "content": ""})
	for _, token := range a.written {
		if s.delta(map[string]any{token.field: token.text}); !s.left {
			s.endpoint.billed.Add(1)
		}
	}
	if a.call != nil {
		for _, part := range a.call.parts() {
			s.delta(map[string]any{"tool_calls": []any{part}})
		}
	}
	last := map[string]any{"choices": []any{map[string]any{"index": 0, "delta": map[string]string{}, "finish_reason": a.finish}}}
	if !ownChunk && !a.noUsage {
		last["usage"] = a.usage()
	}
	s.chunk(last)
	if ownChunk && !a.noUsage {
		s.chunk(map[string]any{"choices": []any{}, "usage": a.usage()})
	}
	s.write("data: [DONE]\n\n")
}

func (s *stream) delta(delta map[string]any) {
	s.chunk(map[string]any{"choices": []any{map[string]any{"index": 0, "delta": delta, "finish_reason": nil}}})
}

func (s *stream) chunk(chunk map[string]any) {
	chunk["id"], chunk["object"], chunk["created"], chunk["model"] = s.id, "chat.completion.chunk", s.created, "DeepSeek-R1"
	text, _ := json.Marshal(chunk) // maps of strings and numbers always encode
	s.write(fmt.Sprintf("data: %s\n\n", text))
}

func (s *stream) write(event string) {
	if s.behaviour.HoldAfter > 0 && s.events == s.behaviour.HoldAfter {
		<-s.r.Context().Done()
		s.left = true
	}
	if s.left || s.events > 0 && !wait(s.r, s.behaviour.Pace) {
		s.left = true
		return
	}
	if s.behaviour.CutAfter > 0 && s.events == s.behaviour.CutAfter {
		_, _ = s.w.Write([]byte(event[:len(event)/2]))
		breakOff(s.w)
	}
	s.events++
	_, err := s.w.Write([]byte(event))
	s.left = err != nil || s.control.Flush() != nil
}

package r1sim

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"

	"tollgate/handler/tokens"
)

// The completions that the article's first two calls took, in tokens.
var demoCompletions = []int64{233, 184}

// The article's chat.
const (
	demoSystem = "You are a sarcastic, unhelpful assistant."
	demoUser   = "Can you tell me the time, please?"
)

// usualCompletion is how many tokens an answer takes where nothing bounds it.
const usualCompletion = 60

// encoding is how the model itself counts.
var encoding = tokens.ForModel("DeepSeek-R1")

// answer is what the model says to a call, a token at a time, and what that costs.
type answer struct {
	written []token
	finish  string
	prompt  int64 // tokens
	noUsage bool
}

// token is one token of an answer, and the field that it is written to.
type token struct{ field, text string }

func (e *Endpoint) answer(fields map[string]json.RawMessage, asked request, models bool, behaviour Behaviour) answer {
	prompt, _ := encoding.CountChat(fields["messages"], fields["tools"]) // read once already
	a := answer{prompt: int64(prompt), finish: "stop", noUsage: behaviour.NoUsage}
	completion := int64(usualCompletion)
	if m := asked.Messages; len(m) == 2 && m[0].Content == demoSystem && m[1].Content == demoUser {
		if call := e.demoCalls.Add(1); call <= int64(len(demoCompletions)) {
			completion = demoCompletions[call-1]
		}
	}
	if behaviour.Completion > 0 {
		completion = behaviour.Completion
	}
	a.written = think(completion, models)
	if most := max(asked.MaxTokens, asked.MaxCompletionTokens); most > 0 && most < completion {
		a.written, a.finish = a.written[:most], "length"
	}
	return a
}

// think is an answer of so many tokens: a thought and what is said. The models
// shape has both in content, the others each in its own field.
func think(completion int64, models bool) []token {
	thinking, before, after := "reasoning_content", []string(nil), []string(nil)
	if models {
		thinking, before, after = "content", []string{"<think>", "\n"}, []string{"\n", "</think>"}
	}
	var all []token
	add := func(field string, texts ...string) {
		for _, text := range texts {
			all = append(all, token{field, text})
		}
	}
	add(thinking, before...)
	add(thinking, "so")
	for range completion/2 - 2 {
		add(thinking, " so")
	}
	add(thinking, after...)
	add("content", "\n\n", "well")
	for int64(len(all)) < completion {
		add("content", " well")
	}
	return all[:completion]
}

func (a answer) usage() map[string]int64 {
	completion := int64(len(a.written))
	return map[string]int64{"prompt_tokens": a.prompt, "completion_tokens": completion, "total_tokens": a.prompt + completion}
}

// whole sends an answer that isn't streamed.
func (a answer) whole(w http.ResponseWriter, behaviour Behaviour) {
	message := map[string]string{"role": "assistant", "content": ""}
	for _, token := range a.written {
		message[token.field] += token.text
	}
	told := map[string]any{
		"id": "r1sim", "object": "chat.completion", "model": "DeepSeek-R1",
		"choices": []any{map[string]any{"index": 0, "finish_reason": a.finish, "message": message}},
	}
	if !a.noUsage {
		told["usage"] = a.usage()
	}
	body, _ := json.Marshal(told) // maps of strings and numbers always encode
	w.Header().Set("Content-Type", "application/json")
	if behaviour.CutAfter > 0 {
		w.Header().Set("Content-Length", strconv.Itoa(len(body)))
		_, _ = w.Write(body[:len(body)/2])
		breakOff(w)
	}
	_, _ = w.Write(body)
}

// breakOff ends the connection in the midst of an answer, what was written sent.
func breakOff(w http.ResponseWriter) {
	_ = http.NewResponseController(w).Flush()
	panic(http.ErrAbortHandler)
}

// stream is an answer on its way, an event at a time.
type stream struct {
	w         http.ResponseWriter
	r         *http.Request
	control   *http.ResponseController
	behaviour Behaviour
	events    int
	left      bool // the caller has
}

// send sends the answer a token an event. Usage comes with the finish_reason, or
// in a chunk of its own where that was asked for.
func (s *stream) send(a answer, ownChunk bool) {
	s.w.Header().Set("Content-Type", "text/event-stream")
	for _, token := range a.written {
		s.delta(token.field, token.text)
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

func (s *stream) delta(field, text string) {
	s.chunk(map[string]any{"choices": []any{map[string]any{"index": 0, "delta": map[string]string{field: text}}}})
}

func (s *stream) chunk(chunk map[string]any) {
	chunk["id"], chunk["object"], chunk["model"] = "r1sim", "chat.completion.chunk", "DeepSeek-R1"
	text, _ := json.Marshal(chunk) // maps of strings and numbers always encode
	s.write(fmt.Sprintf("data: %s\n\n", text))
}

func (s *stream) write(event string) {
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

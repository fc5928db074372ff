package r1sim

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"tollgate/handler/tokens"
)

// The article's chat, whose prompt DeepSeek-R1 counts as 25 tokens, and the
// completions that its first two calls took.
const (
	demoSystem = "You are a sarcastic, unhelpful assistant."
	demoUser   = "Can you tell me the time, please?"
	demoPrompt = 25
)

var demoCompletions = []int64{233, 184}

// usualCompletion is how many tokens an answer takes where nothing bounds it.
const usualCompletion = 60

// answer is what the model says to a call, and what it costs in tokens.
type answer struct {
	thought, said, finish string
	prompt, completion    int64
	noUsage               bool
}

func (e *Endpoint) answer(fields map[string]json.RawMessage, asked request, behaviour Behaviour) answer {
	a := answer{completion: usualCompletion, finish: "stop", noUsage: behaviour.NoUsage}
	if m := asked.Messages; len(m) == 2 && m[0].Content == demoSystem && m[1].Content == demoUser {
		a.prompt = demoPrompt
		if call := e.demoCalls.Add(1); call <= int64(len(demoCompletions)) {
			a.completion = demoCompletions[call-1]
		}
	} else {
		prompt, _ := tokens.ForModel("DeepSeek-R1").CountChat(fields["messages"], fields["tools"])
		a.prompt = int64(prompt)
	}
	if behaviour.Completion > 0 {
		a.completion = behaviour.Completion
	}
	if most := max(asked.MaxTokens, asked.MaxCompletionTokens); most > 0 && most < a.completion {
		a.completion, a.finish = most, "length"
	}
	words := int(a.completion)
	a.thought = strings.TrimSpace(strings.Repeat("hmm ", words/2))
	a.said = strings.TrimSpace(strings.Repeat("well ", words-words/2))
	return a
}

func (a answer) usage() map[string]int64 {
	return map[string]int64{"prompt_tokens": a.prompt, "completion_tokens": a.completion, "total_tokens": a.prompt + a.completion}
}

// whole sends an answer that isn't streamed.
func (a answer) whole(w http.ResponseWriter, models bool, behaviour Behaviour) {
	message := map[string]string{"role": "assistant", "content": "<think>\n" + a.thought + "\n</think>\n\n" + a.said}
	if !models {
		message = map[string]string{"role": "assistant", "reasoning_content": a.thought, "content": a.said}
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

// send sends the answer a word an event. Usage comes with the finish_reason, or
// in a chunk of its own where that was asked for.
func (s *stream) send(a answer, models, ownChunk bool) {
	s.w.Header().Set("Content-Type", "text/event-stream")
	thinking := "reasoning_content"
	if models {
		thinking = "content"
		s.delta("content", "<think>\n")
	}
	for word := range strings.FieldsSeq(a.thought) {
		s.delta(thinking, word+" ")
	}
	if models {
		s.delta("content", "</think>\n\n")
	}
	for word := range strings.FieldsSeq(a.said) {
		s.delta("content", word+" ")
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

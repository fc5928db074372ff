// Package r1sim is a DeepSeek-R1 endpoint to run against: it speaks the three
// shapes of Foundry's endpoints and tells usage as they do, and thinks about
// nothing.
package r1sim

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"

	"tollgate/handler/tokens"
)

// Key is the api-key that the endpoint takes.
const Key = "r1sim"

// demoPrompt is the article's chat, whose prompt DeepSeek-R1 counts as 25
// tokens, and the completions that its first two calls took.
const (
	demoSystem = "You are a sarcastic, unhelpful assistant."
	demoUser   = "Can you tell me the time, please?"
	demoPrompt = 25
)

var demoCompletions = []int64{233, 184}

// usualCompletion is how many tokens an answer takes where nothing bounds it.
const usualCompletion = 60

// Endpoint answers chat completions. The zero value is ready.
type Endpoint struct{ demoCalls atomic.Int64 }

// request is what the endpoint reads of a call.
type request struct {
	Messages []struct {
		Role    string `json:"role"`
		Content any    `json:"content"`
	} `json:"messages"`
	MaxTokens     int64 `json:"max_tokens"`
	Stream        bool  `json:"stream"`
	StreamOptions *struct {
		IncludeUsage bool `json:"include_usage"`
	} `json:"stream_options"`
}

// ServeHTTP implements http.Handler.
func (e *Endpoint) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	models := strings.HasPrefix(r.URL.Path, "/models/")
	switch {
	case r.Header.Get("Api-Key") != Key && r.Header.Get("Authorization") != "Bearer "+Key:
		fail(w, http.StatusUnauthorized, "401", "Access denied due to invalid subscription key or wrong API endpoint.")
	case r.Method != http.MethodPost || !strings.HasSuffix(r.URL.Path, "/chat/completions") || !models && !strings.HasPrefix(r.URL.Path, "/openai/"):
		fail(w, http.StatusNotFound, "404", "Resource not found")
	default:
		e.complete(w, r, models)
	}
}

func fail(w http.ResponseWriter, status int, code, message string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string]any{"error": map[string]string{"code": code, "message": message}})
}

func (e *Endpoint) complete(w http.ResponseWriter, r *http.Request, models bool) {
	var body json.RawMessage
	var asked request
	if json.NewDecoder(r.Body).Decode(&body) != nil || json.Unmarshal(body, &asked) != nil || len(asked.Messages) == 0 {
		fail(w, http.StatusBadRequest, "invalid_request", "The body is not a chat completion request.")
		return
	}
	if models && asked.StreamOptions != nil && r.Header.Get("Extra-Parameters") != "drop" {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusUnprocessableEntity)
		_, _ = fmt.Fprint(w, `{"detail":[{"loc":["body","stream_options"],"msg":"extra parameters are not allowed","input":"stream_options"}]}`)
		return
	}
	a := e.answer(body, asked)
	if asked.Stream {
		a.stream(w, models, asked.StreamOptions != nil && asked.StreamOptions.IncludeUsage)
		return
	}
	message := map[string]string{"role": "assistant", "content": "<think>\n" + a.thought + "\n</think>\n\n" + a.said}
	if !models {
		message = map[string]string{"role": "assistant", "reasoning_content": a.thought, "content": a.said}
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(map[string]any{
		"id": "r1sim", "object": "chat.completion", "model": "DeepSeek-R1", "usage": a.usage(),
		"choices": []any{map[string]any{"index": 0, "finish_reason": a.finish, "message": message}},
	})
}

// answer is what the model says to a call, and what it costs in tokens.
type answer struct {
	thought, said, finish string
	prompt, completion    int64
}

func (e *Endpoint) answer(body json.RawMessage, asked request) answer {
	a := answer{completion: usualCompletion, finish: "stop"}
	if m := asked.Messages; len(m) == 2 && m[0].Content == demoSystem && m[1].Content == demoUser {
		a.prompt = demoPrompt
		if call := e.demoCalls.Add(1); call <= int64(len(demoCompletions)) {
			a.completion = demoCompletions[call-1]
		}
	} else {
		var raw struct{ Messages, Tools json.RawMessage }
		_ = json.Unmarshal(body, &raw) // read once already
		prompt, _ := tokens.ForModel("DeepSeek-R1").CountChat(raw.Messages, raw.Tools)
		a.prompt = int64(prompt)
	}
	if asked.MaxTokens > 0 && asked.MaxTokens < a.completion {
		a.completion, a.finish = asked.MaxTokens, "length"
	}
	words := int(a.completion)
	a.thought = strings.TrimSpace(strings.Repeat("hmm ", words/2))
	a.said = strings.TrimSpace(strings.Repeat("well ", words-words/2))
	return a
}

func (a answer) usage() map[string]int64 {
	return map[string]int64{"prompt_tokens": a.prompt, "completion_tokens": a.completion, "total_tokens": a.prompt + a.completion}
}

// stream sends the answer a word an event. Usage comes with the finish_reason,
// or in a chunk of its own where that was asked for.
func (a answer) stream(w http.ResponseWriter, models, ownChunk bool) {
	w.Header().Set("Content-Type", "text/event-stream")
	control := http.NewResponseController(w)
	send := func(chunk map[string]any) {
		chunk["id"], chunk["object"], chunk["model"] = "r1sim", "chat.completion.chunk", "DeepSeek-R1"
		text, _ := json.Marshal(chunk) // maps of strings and numbers always encode
		_, _ = fmt.Fprintf(w, "data: %s\n\n", text)
		_ = control.Flush()
	}
	delta := func(field, text string) {
		send(map[string]any{"choices": []any{map[string]any{"index": 0, "delta": map[string]string{field: text}}}})
	}
	thinking := "reasoning_content"
	if models {
		thinking = "content"
		delta("content", "<think>\n")
	}
	for word := range strings.FieldsSeq(a.thought) {
		delta(thinking, word+" ")
	}
	if models {
		delta("content", "</think>\n\n")
	}
	for word := range strings.FieldsSeq(a.said) {
		delta("content", word+" ")
	}
	last := map[string]any{"choices": []any{map[string]any{"index": 0, "delta": map[string]string{}, "finish_reason": a.finish}}}
	if !ownChunk {
		last["usage"] = a.usage()
	}
	send(last)
	if ownChunk {
		send(map[string]any{"choices": []any{}, "usage": a.usage()})
	}
	_, _ = fmt.Fprint(w, "data: [DONE]\n\n")
}

// Package fakemodel simulates a model endpoint: it has the three shapes of Foundry's
// endpoints and their usage and errors, and writes meaningless text. Tests and the demo
// run against it. Start reading at Endpoint.
package fakemodel

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
)

// Key is the api-key that the endpoint accepts.
const Key = "fakemodel"

// An Endpoint answers chat completions. The zero value is ready and behaves normally.
type Endpoint struct {
	// Behaviour applies to calls that don't change it with the header.
	Behaviour Behaviour

	demoCalls atomic.Int64
	billed    atomic.Int64 // tokens
}

// A request holds the fields of a call that the endpoint reads.
type request struct {
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
	Tools      []tool          `json:"tools"`
	ToolChoice json.RawMessage `json:"tool_choice"`
}

// ServeHTTP implements http.Handler.
func (e *Endpoint) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	behaviour, err := e.Behaviour.With(r.Header.Get(Header))
	models := strings.HasPrefix(r.URL.Path, "/models/")
	switch {
	case err != nil:
		fail(w, http.StatusBadRequest, "400", err.Error())
	case r.Header.Get("Api-Key") != Key && r.Header.Get("Authorization") != "Bearer "+Key:
		fail(w, http.StatusUnauthorized, "401", "Access denied due to invalid subscription key or wrong API endpoint.")
	case r.Method != http.MethodPost || !strings.HasSuffix(r.URL.Path, "/chat/completions") || !models && !strings.HasPrefix(r.URL.Path, "/openai/"):
		fail(w, http.StatusNotFound, "404", "Resource not found")
	case behaviour.Status != 0:
		behaviour.refuse(w)
	default:
		e.complete(w, r, models, behaviour)
	}
}

func fail(w http.ResponseWriter, status int, code, message string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string]any{"error": map[string]string{"code": code, "message": message}})
}

func (e *Endpoint) complete(w http.ResponseWriter, r *http.Request, models bool, behaviour Behaviour) {
	var fields map[string]json.RawMessage
	var asked request
	body := json.NewDecoder(r.Body)
	var raw json.RawMessage
	if body.Decode(&raw) != nil || json.Unmarshal(raw, &fields) != nil || json.Unmarshal(raw, &asked) != nil || len(asked.Messages) == 0 {
		fail(w, http.StatusBadRequest, "invalid_request", "The body is not a chat completion request.")
		return
	}
	if models {
		switch extra := unknown(fields); {
		case len(extra) == 0 || r.Header.Get("Extra-Parameters") == "pass-through":
		case r.Header.Get("Extra-Parameters") == "drop":
			asked.StreamOptions, asked.MaxCompletionTokens = nil, 0
		default:
			refuseExtra(w, extra)
			return
		}
	}
	a := e.answer(fields, asked, models, behaviour)
	if behaviour.Bill {
		a.prompt = bill(raw)
	}
	e.billed.Add(a.prompt)
	began := time.Now()
	if !wait(r, behaviour.FirstToken) {
		e.billed.Add(int64(float64(a.hidden) * min(1, float64(time.Since(began))/float64(behaviour.FirstToken))))
		return
	}
	e.billed.Add(a.hidden)
	if asked.Stream {
		s := stream{w: w, r: r, endpoint: e, behaviour: behaviour, control: http.NewResponseController(w)}
		s.send(a, asked.StreamOptions != nil && asked.StreamOptions.IncludeUsage)
		return
	}
	e.billed.Add(a.completion() - a.hidden)
	a.send(w, behaviour)
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

func refuseExtra(w http.ResponseWriter, extra []string) {
	type detail struct {
		Loc   []string `json:"loc"`
		Msg   string   `json:"msg"`
		Input string   `json:"input"`
	}
	var details []detail
	for _, name := range extra {
		details = append(details, detail{[]string{"body", name}, "extra parameters are not allowed", name})
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusUnprocessableEntity)
	_ = json.NewEncoder(w).Encode(map[string]any{"detail": details})
}

// refuse answers with the behaviour's error, in Foundry's words.
func (b Behaviour) refuse(w http.ResponseWriter) {
	if b.RetryAfter > 0 {
		w.Header().Set("Retry-After", strconv.FormatInt(int64((b.RetryAfter+time.Second-1)/time.Second), 10))
		w.Header().Set("Retry-After-Ms", strconv.FormatInt(b.RetryAfter.Milliseconds(), 10))
	}
	code := strconv.Itoa(b.Status)
	switch b.Status {
	case http.StatusUnprocessableEntity:
		refuseExtra(w, []string{"simulated"})
	case http.StatusTooManyRequests:
		fail(w, b.Status, code, fmt.Sprintf("Requests to the ChatCompletions_Create Operation have exceeded the token rate limit. Please retry after %d seconds.", int(b.RetryAfter.Seconds())))
	case http.StatusRequestTimeout:
		fail(w, b.Status, "Timeout", "The operation was timeout.")
	default:
		fail(w, b.Status, code, http.StatusText(b.Status))
	}
}

// wait waits for a time. It reports false if the caller left first.
func wait(r *http.Request, d time.Duration) bool {
	if d <= 0 {
		return true
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-r.Context().Done():
		return false
	}
}

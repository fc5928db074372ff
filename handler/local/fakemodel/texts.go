package fakemodel

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"math"
	"net/http"
	"time"
)

// countInputs returns the tokens of each text of an input: a text, texts, the tokens of a
// text, or those of several. It returns nil for anything else.
func (s tokenCounter) countInputs(raw json.RawMessage) []int64 {
	var text string
	if json.Unmarshal(raw, &text) == nil && text != "" {
		return []int64{s.text(text)}
	}
	var texts []string
	if json.Unmarshal(raw, &texts) == nil {
		var sizes []int64
		for _, text := range texts {
			sizes = append(sizes, s.text(text))
		}
		return sizes
	}
	var tokens []int32
	if json.Unmarshal(raw, &tokens) == nil {
		return []int64{int64(len(tokens))}
	}
	var lists [][]int32
	var sizes []int64
	if json.Unmarshal(raw, &lists) == nil {
		for _, list := range lists {
			sizes = append(sizes, int64(len(list)))
		}
	}
	return sizes
}

func sum(sizes []int64) (total int64) {
	for _, size := range sizes {
		total += size
	}
	return total
}

// dimensions is the length of an embedding unless the call asks for another.
const dimensions = 1536

func (c *call) embedding() {
	var request struct {
		Model      string          `json:"model"`
		Input      json.RawMessage `json:"input"`
		Dimensions int             `json:"dimensions"`
		Encoding   string          `json:"encoding_format"`
	}
	if json.NewDecoder(c.r.Body).Decode(&request) != nil {
		c.failField("", "invalid_json", "The body is not an embeddings request.")
		return
	}
	sizes := counterFor(request.Model, "cl100k_base").countInputs(request.Input)
	if len(sizes) == 0 {
		c.failField("input", "invalid_value", "'$.input' is invalid.")
		return
	}
	if request.Dimensions == 0 {
		request.Dimensions = dimensions
	}
	prompt := sum(sizes)
	c.e.billed.Add(prompt)
	if !wait(c.r, c.behaviour.FirstToken) {
		return
	}
	var data []json.RawMessage
	for i, size := range sizes {
		data = append(data, object("object", "embedding", "index", i, "embedding", vector(request.Dimensions, size, request.Encoding == "base64")))
	}
	pairs := []any{"object", "list", "data", data, "model", request.Model}
	if !c.behaviour.NoUsage {
		reported := prompt
		if c.behaviour.OddUsage {
			reported = -1
		}
		pairs = append(pairs, "usage", object("prompt_tokens", reported, "total_tokens", reported))
	}
	if c.behaviour.FailAfter > 0 {
		c.send(http.StatusOK, object("error", object("code", "InternalServerError", "message", "The model failed.")))
		return
	}
	c.sendWhole(object(pairs...))
}

// vector returns a meaningless embedding of length 1.
func vector(length int, seed int64, packed bool) any {
	values := make([]float32, length)
	for i := range values {
		sign := float32(1 - 2*((int64(i)+seed)%2))
		values[i] = sign / float32(math.Sqrt(float64(length)))
	}
	if !packed {
		return values
	}
	var bytes []byte
	for _, value := range values {
		bytes = binary.LittleEndian.AppendUint32(bytes, math.Float32bits(value))
	}
	return base64.StdEncoding.EncodeToString(bytes)
}

// defaultMaxTokens is the completions API's cap for a call without one.
const defaultMaxTokens = 16

func (c *call) completion() {
	var request struct {
		Model         string          `json:"model"`
		Prompt        json.RawMessage `json:"prompt"`
		MaxTokens     *int64          `json:"max_tokens"`
		N             int64           `json:"n"`
		BestOf        int64           `json:"best_of"`
		Stream        bool            `json:"stream"`
		StreamOptions struct {
			IncludeUsage bool `json:"include_usage"`
		} `json:"stream_options"`
	}
	if json.NewDecoder(c.r.Body).Decode(&request) != nil {
		c.failField("", "invalid_json", "The body is not a completions request.")
		return
	}
	sizes := counterFor(request.Model, "cl100k_base").countInputs(request.Prompt)
	most := int64(defaultMaxTokens)
	if request.MaxTokens != nil {
		most = *request.MaxTokens
	}
	n := max(request.N, 1)
	best := max(request.BestOf, n)
	switch {
	case len(sizes) == 0:
		c.failField("prompt", "invalid_value", "'$.prompt' is invalid.")
		return
	case request.Stream && best > n:
		c.failField("best_of", "invalid_value", "best_of must equal n when streaming.")
		return
	}
	a := c.newAnswer(request.Model, plain, sum(sizes), defaultCompletion, most, nil)
	written, count := a.written, int64(len(sizes))
	a.hidden *= count * best
	a.hidden += (best - n) * count * int64(len(written)) // those that aren't the best are written but not returned
	a.written = nil
	for range n * count {
		a.written = append(a.written, written...)
	}
	f := &completionFormat{answer: a, id: "cmpl-" + rand.Text(), choices: n * count, ownChunk: request.StreamOptions.IncludeUsage}
	f.created = time.Now().Unix()
	c.reply(a, f, request.Stream)
}

// A completionFormat writes a completion. Its written tokens are those of all choices.
type completionFormat struct {
	*answer
	id       string
	choices  int64
	ownChunk bool
}

// choice returns the tokens of one choice.
func (f *completionFormat) choice(i int64) []token {
	each := int64(len(f.written)) / f.choices
	return f.written[i*each : (i+1)*each]
}

func (f *completionFormat) finish() string {
	if f.cut {
		return "length"
	}
	return "stop"
}

func (f *completionFormat) usage() json.RawMessage {
	return object("prompt_tokens", f.prompt, "completion_tokens", f.reportedCompletion(), "total_tokens", f.prompt+f.reportedCompletion())
}

func (f *completionFormat) object(choices []json.RawMessage, more ...any) json.RawMessage {
	return object(append([]any{"id", f.id, "object", "text_completion", "created", f.created, "model", f.model, "choices", append([]json.RawMessage{}, choices...)}, more...)...)
}

func (f *completionFormat) whole() json.RawMessage {
	var choices []json.RawMessage
	for i := range f.choices {
		one := answer{written: f.choice(i)}
		choices = append(choices, object("text", one.text(), "index", i, "logprobs", nil, "finish_reason", f.finish()))
	}
	if f.behaviour.NoUsage {
		return f.object(choices)
	}
	return f.object(choices, "usage", f.usage())
}

func (f *completionFormat) failed() json.RawMessage {
	return object("error", object("code", "InternalServerError", "message", "The model failed."))
}

func (f *completionFormat) failure(s *stream) { s.write("", f.failed()) }

// events sends one token of each choice after another. Usage comes in a chunk of its own,
// and only if the call asked for it.
func (f *completionFormat) events(s *stream) {
	var rest []any
	if f.ownChunk {
		rest = []any{"usage", nil}
	}
	chunk := func(index int64, text string, finish any) bool {
		return s.write("", f.object([]json.RawMessage{object("text", text, "index", index, "logprobs", nil, "finish_reason", finish)}, rest...))
	}
	for i := range f.choices {
		for _, token := range f.choice(i) {
			s.bill(1, chunk(i, token.text, nil))
		}
		chunk(i, "", f.finish())
	}
	if f.ownChunk && !f.behaviour.NoUsage {
		s.write("", f.object(nil, "usage", f.usage()))
	}
	s.write("", json.RawMessage("[DONE]"))
}

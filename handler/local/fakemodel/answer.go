package fakemodel

import (
	"encoding/json"
	"net/http"
	"strconv"
	"time"

	"tollgate/handler/tokens"
)

// defaultCompletion is the size of an answer unless something limits it, in tokens.
const defaultCompletion = 60

// encoding is the model's own.
var encoding = tokens.ForModel("DeepSeek-R1")

// An answer holds the tokens of a completion and its usage.
type answer struct {
	behaviour Behaviour
	created   int64 // Unix seconds
	model     string
	prompt    int64 // tokens, cached ones included
	hidden    int64 // reasoning tokens that are not written
	written   []token
	call      *toolCall // follows the written tokens; nil: none
	cut       bool      // by the caller's cap
}

// A token is one token of an answer, and whether the model writes it as its reasoning.
type token struct {
	reasoning bool
	text      string
}

// A style is how a model writes its reasoning.
type style int

const (
	plain  style = iota // it writes none
	apart               // in a field or block of its own
	marked              // in the text, between marks
)

// newAnswer returns an answer to a prompt: a text or a tool call, of the behaviour's
// size or the given one, and not larger than most, in tokens; most < 0: there is no cap.
func (c *call) newAnswer(model string, style style, prompt, size, most int64, call *toolCall) *answer {
	a := &answer{behaviour: c.behaviour, created: time.Now().Unix(), model: model, prompt: prompt, call: call}
	if c.behaviour.Completion > 0 {
		size = c.behaviour.Completion
	}
	switch {
	case call == nil:
		a.written = style.write(size)
	case style != plain:
		a.written = style.think(max(size-call.tokens, minThought))
	}
	if most >= 0 && most < a.completion() {
		a.written = style.write(most)
		a.call, a.cut = nil, true
	}
	if a.hidden = c.behaviour.Hidden; a.hidden > 0 && most >= 0 && a.completion() > most { // hidden tokens come first
		a.hidden = min(a.hidden, most)
		a.written, a.call, a.cut = style.write(most)[:most-a.hidden], nil, true
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

// reportedCompletion returns the completion's size as usage reports it.
func (a *answer) reportedCompletion() int64 {
	if a.behaviour.OddUsage {
		return -1
	}
	return a.completion()
}

// cached and cacheWritten return the numbers of the prompt's tokens that were read from
// the prompt cache and written to it. They are disjoint.
func (a *answer) cached() int64 { return min(a.behaviour.Cached, a.prompt) }

func (a *answer) cacheWritten() int64 { return min(a.behaviour.CacheWrite, a.prompt-a.cached()) }

// text returns the text of the answer, without its reasoning unless it is marked.
func (a *answer) text() (text string) {
	for _, t := range a.written {
		if !t.reasoning {
			text += t.text
		}
	}
	return text
}

// thoughts returns the reasoning that the answer writes apart from its text.
func (a *answer) thoughts() (text string) {
	for _, t := range a.written {
		if t.reasoning {
			text += t.text
		}
	}
	return text
}

// minThought is the least reasoning before a tool call, in tokens: enough for the marks
// around a thought.
const minThought = 8

// write returns an answer of n tokens: a thought, unless the style has none, and text.
func (s style) write(n int64) []token {
	var all []token
	switch s {
	case apart:
		all = append(s.think(n/2-1), token{text: "\n\n"})
	case marked:
		all = append(s.think(n/2+3), token{text: "\n\n"})
	}
	all = append(all, token{text: "well"})
	for int64(len(all)) < n {
		all = append(all, token{text: " well"})
	}
	return all[:n]
}

// think returns a thought of n tokens, or of as many as its marks need.
func (s style) think(n int64) []token {
	var before, after []string
	if s == marked {
		before, after = []string{"<think>", "\n"}, []string{"\n", "</think>"}
	}
	var all []token
	add := func(texts ...string) {
		for _, text := range texts {
			all = append(all, token{s == apart, text})
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

// A format writes an answer as its operation does.
type format interface {
	// whole returns an answer that isn't streamed, and failed the error in its place.
	whole() json.RawMessage
	failed() json.RawMessage
	// events sends a streamed answer, and failure the event that ends it early.
	events(s *stream)
	failure(s *stream)
}

// reply sends an answer and bills it.
func (c *call) reply(a *answer, f format, streamed bool) {
	c.e.billed.Add(a.prompt)
	began := time.Now()
	if !wait(c.r, c.behaviour.FirstToken) {
		c.e.billed.Add(int64(float64(a.hidden) * min(1, float64(time.Since(began))/float64(c.behaviour.FirstToken))))
		return
	}
	c.e.billed.Add(a.hidden)
	if streamed {
		s := &stream{call: c, control: http.NewResponseController(c.w), format: f}
		c.w.Header().Set("Content-Type", "text/event-stream")
		f.events(s)
		return
	}
	if c.behaviour.FailAfter > 0 {
		c.send(http.StatusOK, f.failed())
		return
	}
	c.e.billed.Add(a.completion() - a.hidden)
	c.sendWhole(f.whole())
}

// sendWhole sends an answer that isn't streamed, or half of it.
func (c *call) sendWhole(body json.RawMessage) {
	if c.behaviour.CutAfter > 0 {
		c.w.Header().Set("Content-Type", "application/json")
		c.w.Header().Set("Content-Length", strconv.Itoa(len(body)))
		_, _ = c.w.Write(body[:len(body)/2])
		breakOff(c.w)
	}
	c.send(http.StatusOK, body)
}

// breakOff sends what was written and drops the connection.
func breakOff(w http.ResponseWriter) {
	_ = http.NewResponseController(w).Flush()
	panic(http.ErrAbortHandler)
}

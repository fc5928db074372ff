// Package fakemodel simulates an endpoint of Foundry: chat completions in its three
// shapes, responses with their storage, messages, embeddings and completions, with their
// usage, streams and errors. It writes meaningless text. Tests and the demo run against
// it.
//
// To keep a mistake from being made on both sides, it shares no code with the gateway,
// except for the tokenizer that counts a chat without [Behaviour.Bill].
//
// Start reading at [Endpoint].
package fakemodel

import (
	"crypto/rand"
	"net/http"
	"strings"
	"sync/atomic"
	"time"
)

// Key is the key that the endpoint accepts.
const Key = "fakemodel"

// An Endpoint answers calls of every operation. The zero value is ready for use.
type Endpoint struct {
	// Behaviour applies to every call, with the changes in the call's header.
	Behaviour Behaviour

	demoCalls atomic.Int64
	billed    atomic.Int64 // tokens
	stored    store
}

// A call is a request, with what its path and headers say.
type call struct {
	e         *Endpoint
	w         http.ResponseWriter
	r         *http.Request
	behaviour Behaviour
	api       api
	id        string // of a stored response or a model
}

// An api is a family of paths with its own form of errors.
type api int

const (
	openAI    api = iota // /openai/v1, /openai/deployments/NAME and /openai
	inference            // /models, the model inference API
	anthropic            // /anthropic/v1
)

// ServeHTTP implements http.Handler.
func (e *Endpoint) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c := &call{e: e, w: w, r: r}
	path := c.route(r.URL.Path)
	c.setCommonHeaders()
	var err error
	c.behaviour, err = e.Behaviour.With(r.Header.Get(Header))
	serve := c.operation(path)
	switch {
	case err != nil:
		c.fail(http.StatusBadRequest, "400", err.Error())
	case !c.authorized():
		c.fail(http.StatusUnauthorized, "401", "Access denied due to invalid subscription key or wrong API endpoint.")
	case serve == nil:
		c.fail(http.StatusNotFound, "404", "Resource not found")
	case c.behaviour.Status != 0:
		c.refuse()
	default:
		serve()
	}
}

// route sets the API that a path belongs to, and returns the rest of the path.
func (c *call) route(path string) string {
	if rest, ok := strings.CutPrefix(path, "/anthropic/v1"); ok {
		c.api = anthropic
		return rest
	}
	if rest, ok := strings.CutPrefix(path, "/models"); ok {
		c.api = inference
		return rest
	}
	rest, ok := strings.CutPrefix(path, "/openai")
	if !ok {
		return ""
	}
	if rest, ok := strings.CutPrefix(rest, "/deployments/"); ok {
		_, rest, _ = strings.Cut(rest, "/")
		return "/" + rest
	}
	return strings.TrimPrefix(rest, "/v1")
}

// operation returns the function that serves a path below its API's, or nil.
func (c *call) operation(path string) func() {
	kind := c.r.Method + " " + path
	if id, ok := strings.CutPrefix(kind, "GET /models/"); ok && c.api != inference {
		c.id = id
		return c.oneModel
	}
	if c.api == anthropic {
		return map[string]func(){"POST /messages": c.message, "POST /messages/count_tokens": c.countMessage, "GET /models": c.listModels}[kind]
	}
	if serve := map[string]func(){"POST /chat/completions": c.chatCompletion, "POST /embeddings": c.embedding}[kind]; serve != nil || c.api == inference {
		return serve
	}
	if serve := map[string]func(){"POST /completions": c.completion, "POST /responses": c.response,
		"POST /responses/input_tokens": c.countResponse, "POST /responses/compact": c.compact, "GET /models": c.listModels}[kind]; serve != nil {
		return serve
	}
	id, ok := strings.CutPrefix(path, "/responses/")
	id, part, _ := strings.Cut(id, "/")
	if c.id = id; !ok || id == "" {
		return nil
	}
	return map[string]func(){"GET ": c.storedResponse, "DELETE ": c.deleteResponse, "POST cancel": c.cancelResponse, "GET input_items": c.inputItems}[c.r.Method+" "+part]
}

// authorized reports whether the call has the endpoint's key, in a header that its API
// takes.
func (c *call) authorized() bool {
	h := c.r.Header
	return h.Get("Api-Key") == Key || h.Get("Authorization") == "Bearer "+Key || c.api == anthropic && h.Get("X-Api-Key") == Key
}

// setCommonHeaders sets the headers that every answer has: the request's id, and the
// limits of the shared account, which the gateway must not pass on.
func (c *call) setCommonHeaders() {
	h := c.w.Header()
	if c.api == anthropic {
		h.Set("Request-Id", "req_"+rand.Text())
		h.Set("Anthropic-Ratelimit-Tokens-Limit", "5000000")
		h.Set("Anthropic-Ratelimit-Tokens-Remaining", "4999000")
		return
	}
	h.Set("Apim-Request-Id", rand.Text())
	h.Set("X-Ratelimit-Limit-Tokens", "5000000")
	h.Set("X-Ratelimit-Remaining-Tokens", "4999000")
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

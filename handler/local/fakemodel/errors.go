package fakemodel

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"time"
)

// fail answers with an error in the form of the call's API.
func (c *call) fail(status int, code, message string) {
	if c.api == anthropic {
		c.send(status, anthropicError(status, message, c.w.Header().Get("Request-Id")))
		return
	}
	c.send(status, object("error", object("code", code, "message", message)))
}

// failField answers 400 for a field, as the responses, embeddings and completions APIs do.
func (c *call) failField(param, code, message string) {
	c.send(http.StatusBadRequest, object("error", object("message", message, "type", "invalid_request_error", "param", param, "code", code)))
}

func (c *call) send(status int, body json.RawMessage) {
	c.w.Header().Set("Content-Type", "application/json")
	c.w.WriteHeader(status)
	_, _ = c.w.Write(body)
}

// anthropicError returns an error of the Messages API.
// Source: https://platform.claude.com/docs/en/api/errors
func anthropicError(status int, message, request string) json.RawMessage {
	kind := "api_error"
	switch status {
	case http.StatusBadRequest, http.StatusUnprocessableEntity:
		kind = "invalid_request_error"
	case http.StatusUnauthorized:
		kind = "authentication_error"
	case http.StatusForbidden:
		kind = "permission_error"
	case http.StatusNotFound:
		kind = "not_found_error"
	case http.StatusRequestEntityTooLarge:
		kind = "request_too_large"
	case http.StatusTooManyRequests:
		kind = "rate_limit_error"
	case http.StatusGatewayTimeout:
		kind = "timeout_error"
	case statusOverloaded:
		kind = "overloaded_error"
	}
	return object("type", "error", "error", object("type", kind, "message", message), "request_id", request)
}

// statusOverloaded is the Messages API's status for an overloaded model.
const statusOverloaded = 529

// refuse answers with the behaviour's error, in Foundry's words.
func (c *call) refuse() {
	b := c.behaviour
	if b.RetryAfter > 0 {
		c.w.Header().Set("Retry-After", strconv.FormatInt(int64((b.RetryAfter+time.Second-1)/time.Second), 10))
		c.w.Header().Set("Retry-After-Ms", strconv.FormatInt(b.RetryAfter.Milliseconds(), 10))
	}
	code := strconv.Itoa(b.Status)
	switch {
	case b.Status == http.StatusUnprocessableEntity && c.api != anthropic:
		c.refuseExtra([]string{"simulated"})
	case b.Status == http.StatusTooManyRequests:
		c.fail(b.Status, code, fmt.Sprintf("Requests to the ChatCompletions_Create Operation have exceeded the token rate limit. Please retry after %d seconds.", int(b.RetryAfter.Seconds())))
	case b.Status == http.StatusRequestTimeout:
		c.fail(b.Status, "Timeout", "The operation was timeout.")
	case b.Status == statusOverloaded:
		c.fail(b.Status, code, "Overloaded")
	default:
		c.fail(b.Status, code, http.StatusText(b.Status))
	}
}

func (c *call) refuseExtra(extra []string) {
	type detail struct {
		Loc   []string `json:"loc"`
		Msg   string   `json:"msg"`
		Input string   `json:"input"`
	}
	var details []detail
	for _, name := range extra {
		details = append(details, detail{[]string{"body", name}, "extra parameters are not allowed", name})
	}
	c.send(http.StatusUnprocessableEntity, object("detail", details))
}

// object encodes an object whose fields are in the given order: a name, its value, the
// next name, and so on.
func object(pairs ...any) json.RawMessage {
	body := []byte{'{'}
	for i := 0; i < len(pairs); i += 2 {
		if i > 0 {
			body = append(body, ',')
		}
		body = append(append(body, encode(pairs[i])...), ':')
		body = append(body, encode(pairs[i+1])...)
	}
	return append(body, '}')
}

// encode encodes a value without the escapes that json.Marshal makes for HTML, which no
// model's endpoint makes.
func encode(value any) []byte {
	if raw, ok := value.(json.RawMessage); ok && raw == nil {
		return []byte("null")
	} else if ok {
		return raw
	}
	var text bytes.Buffer
	encoder := json.NewEncoder(&text)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(value); err != nil {
		panic("encode an answer: " + err.Error()) // strings, numbers and valid JSON always encode
	}
	return bytes.TrimSuffix(text.Bytes(), []byte("\n"))
}

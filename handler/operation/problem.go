package operation

import (
	"encoding/json"
	"fmt"
)

// Problem is one of the gateway's own errors, to be written as an operation's clients
// expect it.
type Problem struct {
	Status int
	// Code is Tollgate's name for it: docs/calls.md lists them.
	Code string
	// Type is OpenAI's error type.
	Type string
	// Message describes the error and its fix, for people to read.
	Message string
	// Param names the field at fault; empty if none is.
	Param     string
	RequestID string
	// Limits is a JSON list that describes the limits that refused the call; nil if none
	// did.
	Limits json.RawMessage
}

// OpenAIProblem writes a problem as OpenAI's error object beside APIM's two fields, so
// that clients of either can read it.
func OpenAIProblem(p Problem) []byte {
	type detail struct {
		Message   string          `json:"message"`
		Type      string          `json:"type"`
		Param     *string         `json:"param"`
		Code      string          `json:"code"`
		RequestID string          `json:"request_id"`
		Limits    json.RawMessage `json:"limits,omitempty"`
	}
	shown := detail{Message: p.Message, Type: p.Type, Code: p.Code, RequestID: p.RequestID, Limits: p.Limits}
	if p.Param != "" {
		shown.Param = &p.Param
	}
	body, err := json.Marshal(struct {
		StatusCode int    `json:"statusCode"`
		Message    string `json:"message"`
		Error      detail `json:"error"`
	}{p.Status, p.Message, shown})
	if err != nil {
		panic(fmt.Sprintf("encode error body: %v", err)) // strings, numbers and valid JSON always encode
	}
	return body
}

// AnthropicProblem writes a problem as Anthropic's error object beside APIM's two fields.
func AnthropicProblem(p Problem) []byte {
	type detail struct {
		Type    string          `json:"type"`
		Message string          `json:"message"`
		Code    string          `json:"code"`
		Param   string          `json:"param,omitempty"`
		Limits  json.RawMessage `json:"limits,omitempty"`
	}
	body, err := json.Marshal(struct {
		Type       string `json:"type"`
		Error      detail `json:"error"`
		RequestID  string `json:"request_id"`
		StatusCode int    `json:"statusCode"`
		Message    string `json:"message"`
	}{"error", detail{anthropicType(p.Status), p.Message, p.Code, p.Param, p.Limits}, p.RequestID, p.Status, p.Message})
	if err != nil {
		panic(fmt.Sprintf("encode error body: %v", err)) // strings, numbers and valid JSON always encode
	}
	return body
}

// anthropicType returns Anthropic's error type for a status.
// Source: https://platform.claude.com/docs/en/api/errors
func anthropicType(status int) string {
	switch {
	case status == 401:
		return "authentication_error"
	case status == 403:
		return "permission_error"
	case status == 404:
		return "not_found_error"
	case status == 413:
		return "request_too_large"
	case status == 429:
		return "rate_limit_error"
	case status == 503:
		return "overloaded_error"
	case status == 504:
		return "timeout_error"
	case status >= 500:
		return "api_error"
	}
	return "invalid_request_error"
}

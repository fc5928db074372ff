// Package message reads and rewrites calls of Anthropic's Messages API, as Foundry serves
// it for Claude, and reads their answers: whole, or as a stream of events whose usage is
// cumulative. It also has the operation that counts a message's tokens, which costs
// nothing.
//
// Start reading at [Operation].
package message

import (
	"tollgate/handler/operation"
	"tollgate/handler/shape"
)

// passed are the headers and query parameters that turn on features of the API.
// Source: https://platform.claude.com/docs/en/api/beta-headers
var passed = operation.Passed{Headers: []string{"Anthropic-Version", "Anthropic-Beta"}, Query: []string{"beta"}}

// Operation is the message.
var Operation = operation.Operation{
	Name: "messages",
	ID:   "Messages_Create",
	Routes: []operation.Route{
		{Path: "/anthropic/v1/messages", Shape: shape.Anthropic},
		{Path: "/v1/messages", Shape: shape.Anthropic},
	},
	Upstream: map[shape.Shape]string{shape.Anthropic: "/anthropic/v1/messages"},
	Fewer:    "max_tokens",
	Passed:   passed,
	Parse:    parse,
	Read:     read,
	Follow:   follow,
	Problem:  operation.AnthropicProblem,
}

// Count is the operation that counts the tokens of a message's prompt.
var Count = operation.Operation{
	Name: "counts of messages' tokens",
	ID:   "Messages_CountTokens",
	Routes: []operation.Route{
		{Path: "/anthropic/v1/messages/count_tokens", Shape: shape.Anthropic},
		{Path: "/v1/messages/count_tokens", Shape: shape.Anthropic},
	},
	Upstream: map[shape.Shape]string{shape.Anthropic: "/anthropic/v1/messages/count_tokens"},
	Free:     true,
	Passed:   passed,
	Parse:    parse,
	Problem:  operation.AnthropicProblem,
}

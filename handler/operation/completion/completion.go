// Package completion reads calls for completions: prompts without messages, which a model
// continues. Their answers differ from a chat completion's in one field, and package chat
// reads both.
//
// Start reading at [Operation].
package completion

import (
	"tollgate/handler/operation"
	"tollgate/handler/operation/chat"
	"tollgate/handler/shape"
)

// Operation is the completion.
var Operation = operation.Operation{
	Name: "completions",
	ID:   "Completions_Create",
	Routes: []operation.Route{
		{Path: "/openai/v1/completions", Shape: shape.OpenAI},
		{Path: "/openai/completions", Shape: shape.OpenAI},
		{Path: "/v1/completions", Shape: shape.OpenAI},
		{Path: "/completions", Shape: shape.OpenAI},
		{Path: "/openai/deployments/{name}/completions", Shape: shape.Deployments},
	},
	Upstream: map[shape.Shape]string{
		shape.OpenAI:      "/openai/v1/completions",
		shape.Deployments: "/openai/deployments/{name}/completions",
	},
	Fewer:   "max_tokens, n and best_of",
	Parse:   parse,
	Read:    chat.ReadAnswer,
	Follow:  chat.Follow,
	Problem: operation.OpenAIProblem,
}

package chat

import (
	"tollgate/handler/operation"
	"tollgate/handler/shape"
)

// Operation is the chat completion. The openai shape has a path for each base URL that
// its clients are given: ending in /openai/v1, as Foundry's does, in /v1, as OpenAI's
// does, or in neither, as DeepSeek's.
var Operation = operation.Operation{
	Name: "chat completions",
	ID:   "ChatCompletions_Create",
	Routes: []operation.Route{
		{Path: "/openai/v1/chat/completions", Shape: shape.OpenAI},
		{Path: "/openai/chat/completions", Shape: shape.OpenAI},
		{Path: "/v1/chat/completions", Shape: shape.OpenAI},
		{Path: "/chat/completions", Shape: shape.OpenAI},
		{Path: "/models/chat/completions", Shape: shape.Models},
		{Path: "/openai/deployments/{name}/chat/completions", Shape: shape.Deployments},
	},
	Upstream: map[shape.Shape]string{
		shape.Models:      "/models/chat/completions",
		shape.OpenAI:      "/openai/v1/chat/completions",
		shape.Deployments: "/openai/deployments/{name}/chat/completions",
	},
	Fewer:   "max_tokens and n",
	Parse:   parseRequest,
	Read:    ReadAnswer,
	Follow:  Follow,
	Problem: operation.OpenAIProblem,
}

func parseRequest(body []byte) (operation.Request, error) {
	r, err := Parse(body)
	if err != nil {
		return nil, err
	}
	return r, nil
}

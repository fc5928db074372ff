// Package response reads calls of the Responses API, and their answers, streamed or not.
// An endpoint stores a response unless the call says store: false, and later calls can
// name what is stored. The package finds the stored content that a call names, so that
// the gateway can refuse content that isn't the caller's.
//
// Start reading at [Operation] and [Stream.Inspect].
package response

import (
	"tollgate/handler/operation"
	"tollgate/handler/shape"
)

// Operation is the response.
var Operation = operation.Operation{
	Name:     "responses",
	ID:       "Responses_Create",
	Routes:   routes("", ""),
	Upstream: upstream(""),
	Fewer:    "max_output_tokens",
	Parse:    parse,
	Read:     read,
	Follow:   follow,
	Problem:  operation.OpenAIProblem,
}

// Count counts the tokens of a call's input, without making the call.
var Count = operation.Operation{
	Name:     "counts of responses' input tokens",
	ID:       "Responses_CountInputTokens",
	Routes:   routes("", "/input_tokens"),
	Upstream: upstream("/input_tokens"),
	Free:     true,
	Parse:    parse,
	Problem:  operation.OpenAIProblem,
}

// Get, Delete, Cancel and ListInput read or change a stored response.
var (
	Get       = stored("Responses_Get", "GET", "", "include", "include[]")
	Delete    = stored("Responses_Delete", "DELETE", "")
	Cancel    = stored("Responses_Cancel", "POST", "/cancel")
	ListInput = stored("Responses_ListInputItems", "GET", "/input_items", "after", "before", "include", "include[]", "limit", "order")
)

func stored(id, method, path string, query ...string) operation.Operation {
	path = "/{id}" + path
	return operation.Operation{
		Name:     "stored responses",
		ID:       id,
		Routes:   routes(method, path),
		Upstream: upstream(path),
		Free:     true,
		Stored:   true,
		Passed:   operation.Passed{Query: query},
		Problem:  operation.OpenAIProblem,
	}
}

// routes returns the routes of a path below the response's.
func routes(method, path string) []operation.Route {
	return []operation.Route{
		{Method: method, Path: "/openai/v1/responses" + path, Shape: shape.OpenAI},
		{Method: method, Path: "/v1/responses" + path, Shape: shape.OpenAI},
		{Method: method, Path: "/responses" + path, Shape: shape.OpenAI},
		{Method: method, Path: "/openai/responses" + path, Shape: shape.Deployments},
	}
}

// upstream returns the paths at which endpoints serve a path below the response's.
// Endpoints of the deployments shape read the model from the body, and need an
// api-version that supports responses.
func upstream(path string) map[shape.Shape]string {
	return map[shape.Shape]string{
		shape.OpenAI:      "/openai/v1/responses" + path,
		shape.Deployments: "/openai/responses" + path,
	}
}

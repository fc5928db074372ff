// Package embedding reads calls for embeddings and their answers. An embedding has no
// completion, so that it costs its prompt alone.
//
// Start reading at [Operation].
package embedding

import (
	"tollgate/handler/operation"
	"tollgate/handler/shape"
)

// Operation is the embedding.
var Operation = operation.Operation{
	Name: "embeddings",
	ID:   "Embeddings_Create",
	Routes: []operation.Route{
		{Path: "/openai/v1/embeddings", Shape: shape.OpenAI},
		{Path: "/openai/embeddings", Shape: shape.OpenAI},
		{Path: "/v1/embeddings", Shape: shape.OpenAI},
		{Path: "/embeddings", Shape: shape.OpenAI},
		{Path: "/models/embeddings", Shape: shape.Models},
		{Path: "/openai/deployments/{name}/embeddings", Shape: shape.Deployments},
	},
	Upstream: map[shape.Shape]string{
		shape.Models:      "/models/embeddings",
		shape.OpenAI:      "/openai/v1/embeddings",
		shape.Deployments: "/openai/deployments/{name}/embeddings",
	},
	Parse:   parse,
	Read:    read,
	Problem: operation.OpenAIProblem,
}

// Package shape names the APIs that callers and endpoints speak. Which operations an API
// has, and at which paths, is in the values of package operation.
package shape

import (
	"slices"
	"strings"
)

// A Shape is an API: it decides which paths and parameters a call may have.
type Shape string

// The shapes of Foundry's endpoints.
// Source: https://learn.microsoft.com/azure/ai-foundry/foundry-models/concepts/endpoints
const (
	Models      Shape = "models"      // the model inference API: {URL}/models/…?api-version=
	OpenAI      Shape = "openai"      // OpenAI's v1 API: {URL}/openai/v1/…
	Deployments Shape = "deployments" // Azure OpenAI's API: {URL}/openai/deployments/{name}/…?api-version=
	Anthropic   Shape = "anthropic"   // Anthropic's API: {URL}/anthropic/v1/…
)

// All lists the shapes.
var All = []Shape{Models, OpenAI, Deployments, Anthropic}

// Valid reports whether the shape is one of All.
func (s Shape) Valid() bool { return slices.Contains(All, s) }

// List returns the names of all shapes for a message: "a, b or c".
func List() string {
	names := make([]string, len(All))
	for i, s := range All {
		names[i] = string(s)
	}
	last := len(names) - 1
	return strings.Join(names[:last], ", ") + " or " + names[last]
}

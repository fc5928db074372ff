package gateway

import (
	"net/http"
	"strings"
)

// shape is the dialect of a route; upstream.Shape has the same three names.
type shape string

const (
	shapeModels      shape = "models"      // Foundry's model inference API
	shapeOpenAI      shape = "openai"      // OpenAI's v1 API
	shapeDeployments shape = "deployments" // Azure OpenAI's API, a deployment in the path
)

// route is what a path asks for.
type route struct {
	serve      func(*Gateway, *call) error
	method     string
	shape      shape
	operation  string // as reports name it
	pattern    string // the path, "{name}" in place of a deployment
	deployment string // the path's own model, for shapeDeployments
}

// The operations, named as in Azure OpenAI's and Foundry's own descriptions.
const (
	operationChat   = "ChatCompletions_Create"
	operationModels = "Models_List"
	operationUsage  = "Usage_Get"
)

// endpoints are the routes by path below the base path; "{name}" stands for a deployment.
var endpoints = map[string]route{
	"/models/chat/completions":                    {serve: (*Gateway).chat, method: http.MethodPost, shape: shapeModels, operation: operationChat},
	"/openai/v1/chat/completions":                 {serve: (*Gateway).chat, method: http.MethodPost, shape: shapeOpenAI, operation: operationChat},
	"/v1/chat/completions":                        {serve: (*Gateway).chat, method: http.MethodPost, shape: shapeOpenAI, operation: operationChat},
	"/openai/deployments/{name}/chat/completions": {serve: (*Gateway).chat, method: http.MethodPost, shape: shapeDeployments, operation: operationChat},
	"/models":           {serve: (*Gateway).list, method: http.MethodGet, shape: shapeModels, operation: operationModels},
	"/openai/v1/models": {serve: (*Gateway).list, method: http.MethodGet, shape: shapeOpenAI, operation: operationModels},
	"/v1/models":        {serve: (*Gateway).list, method: http.MethodGet, shape: shapeOpenAI, operation: operationModels},
	"/openai/models":    {serve: (*Gateway).list, method: http.MethodGet, shape: shapeDeployments, operation: operationModels},
	"/usage":            {serve: (*Gateway).usage, method: http.MethodGet, operation: operationUsage},
}

const (
	deploymentsPrefix = "/openai/deployments/"
	deploymentsSuffix = "/chat/completions"
)

// find looks a path up. The base path may be left out, and only there: so that
// a client needs no more than the host to be changed, whatever its path was. A
// base path that routes begin with too, such as /openai, hides none of them.
func find(path, base string) (route, bool) {
	if found, ok := lookUp(path); ok {
		return found, true
	}
	if rest, below := strings.CutPrefix(path, base); below && strings.HasPrefix(rest, "/") {
		return lookUp(rest)
	}
	return route{}, false
}

func lookUp(path string) (route, bool) {
	name := ""
	if rest, ok := strings.CutPrefix(path, deploymentsPrefix); ok {
		if name, ok = strings.CutSuffix(rest, deploymentsSuffix); !ok || name == "" {
			return route{}, false
		}
		path = deploymentsPrefix + "{name}" + deploymentsSuffix
	}
	found, ok := endpoints[path]
	found.deployment, found.pattern = name, path
	return found, ok
}

package gateway

import (
	"net/http"
	"strings"

	"tollgate/handler/upstream"
)

// A shape is the API that a route belongs to; upstream.Shape has the same three names.
type shape string

const (
	shapeModels      shape = "models"      // Foundry's model inference API
	shapeOpenAI      shape = "openai"      // OpenAI's v1 API
	shapeDeployments shape = "deployments" // Azure OpenAI's API, a deployment in the path
)

// A route is how to serve a path.
type route struct {
	serve      func(*Gateway, *call) error
	method     string
	shape      shape
	operation  string // name in telemetry
	pattern    string // the path, with "{name}" in place of a model
	deployment string // the model that the path names; empty: none
}

// The operations, named as in Azure OpenAI's and Foundry's own descriptions.
const (
	operationChat   = "ChatCompletions_Create"
	operationModels = "Models_List"
	operationModel  = "Models_Get"
	operationUsage  = "Usage_Get"
)

func chatAt(s shape) route {
	return route{serve: (*Gateway).completeChat, method: http.MethodPost, shape: s, operation: operationChat}
}

func modelsAt(s shape) route {
	return route{serve: (*Gateway).listModels, method: http.MethodGet, shape: s, operation: operationModels}
}

func modelAt(s shape) route {
	return route{serve: (*Gateway).getModel, method: http.MethodGet, shape: s, operation: operationModel}
}

// fixedRoutes are the routes by their path below the base path. The openai shape has
// one for each base URL that its clients are given: ending in /openai/v1, as Foundry's
// does, in /v1, as OpenAI's does, or in neither, as DeepSeek's.
var fixedRoutes = map[string]route{
	"/models/chat/completions":    chatAt(shapeModels),
	"/openai/v1/chat/completions": chatAt(shapeOpenAI),
	"/openai/chat/completions":    chatAt(shapeOpenAI),
	"/v1/chat/completions":        chatAt(shapeOpenAI),
	"/chat/completions":           chatAt(shapeOpenAI),
	"/models":                     modelsAt(shapeModels),
	"/openai/v1/models":           modelsAt(shapeOpenAI),
	"/v1/models":                  modelsAt(shapeOpenAI),
	"/openai/models":              modelsAt(shapeDeployments),
	"/usage":                      {serve: (*Gateway).getUsage, method: http.MethodGet, operation: operationUsage},
}

// A namedRoute is a route whose path names a model between prefix and suffix.
type namedRoute struct {
	prefix, suffix string
	route
}

var namedRoutes = []namedRoute{
	{"/openai/deployments/", "/chat/completions", chatAt(shapeDeployments)},
	{"/models/", "", modelAt(shapeModels)},
	{"/openai/v1/models/", "", modelAt(shapeOpenAI)},
	{"/v1/models/", "", modelAt(shapeOpenAI)},
	{"/openai/models/", "", modelAt(shapeDeployments)},
}

// extraParameters returns how the endpoint shall treat parameters that the models
// shape doesn't define: the caller's Extra-Parameters header or, without it, empty,
// which leaves it to the endpoint. Callers of the other shapes don't know the header;
// for them it is pass-through, as in their APIs.
func (c *call) extraParameters() string {
	chosen := c.r.Header.Get("Extra-Parameters")
	if chosen == "" && c.route.shape != shapeModels {
		return upstream.PassThrough
	}
	return chosen
}

// findRoute returns the route of a path, with or without the base path, so that a
// client need change no more than its host. A base path that routes begin with too,
// such as /openai, hides none of them. Doubled and trailing slashes, which appear when
// clients join a base URL and a path, are ignored.
func findRoute(path, base string) (route, bool) {
	path = cleanPath(path)
	paths := [2]string{path}
	if rest, below := strings.CutPrefix(path, base); below && base != "" && strings.HasPrefix(rest, "/") {
		paths[1] = rest
	}
	for _, p := range paths {
		if found, ok := fixedRoutes[p]; ok {
			found.pattern = p
			return found, true
		}
	}
	for _, n := range namedRoutes {
		for _, p := range paths {
			if name, ok := n.match(p); ok {
				found := n.route
				found.deployment, found.pattern = name, n.prefix+"{name}"+n.suffix
				return found, true
			}
		}
	}
	return route{}, false
}

// cleanPath returns a path without doubled slashes and without a trailing one.
func cleanPath(path string) string {
	for strings.Contains(path, "//") {
		path = strings.ReplaceAll(path, "//", "/")
	}
	if len(path) > 1 {
		path = strings.TrimSuffix(path, "/")
	}
	return path
}

// match returns the model that a path names. It rejects what looks like a model's name
// but is another API's path.
func (n *namedRoute) match(path string) (name string, ok bool) {
	name, ok = strings.CutPrefix(path, n.prefix)
	if !ok {
		return "", false
	}
	if name, ok = strings.CutSuffix(name, n.suffix); !ok || name == "" {
		return "", false
	}
	if _, other := findOtherAPI(path); other {
		return "", false
	}
	return escapedSlash.Replace(name), true
}

// escapedSlash replaces slashes that a host has escaped twice.
var escapedSlash = strings.NewReplacer("%2F", "/", "%2f", "/")

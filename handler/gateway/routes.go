package gateway

import (
	"net/http"
	"strings"

	"tollgate/handler/upstream"
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
	pattern    string // the path, "{name}" in place of a model
	deployment string // the model that the path names
}

// The operations, named as in Azure OpenAI's and Foundry's own descriptions.
const (
	operationChat   = "ChatCompletions_Create"
	operationModels = "Models_List"
	operationModel  = "Models_Get"
	operationUsage  = "Usage_Get"
)

func chatAt(s shape) route {
	return route{serve: (*Gateway).chat, method: http.MethodPost, shape: s, operation: operationChat}
}

func modelsAt(s shape) route {
	return route{serve: (*Gateway).list, method: http.MethodGet, shape: s, operation: operationModels}
}

func modelAt(s shape) route {
	return route{serve: (*Gateway).model, method: http.MethodGet, shape: s, operation: operationModel}
}

// endpoints are the routes by path below the base path. Those of the openai shape
// are where its clients ask by the base URL that they were given: with /openai/v1,
// as Foundry's is, with /v1, as OpenAI's is, or with neither, as DeepSeek's is.
var endpoints = map[string]route{
	"/models/chat/completions":    chatAt(shapeModels),
	"/openai/v1/chat/completions": chatAt(shapeOpenAI),
	"/openai/chat/completions":    chatAt(shapeOpenAI),
	"/v1/chat/completions":        chatAt(shapeOpenAI),
	"/chat/completions":           chatAt(shapeOpenAI),
	"/models":                     modelsAt(shapeModels),
	"/openai/v1/models":           modelsAt(shapeOpenAI),
	"/v1/models":                  modelsAt(shapeOpenAI),
	"/openai/models":              modelsAt(shapeDeployments),
	"/usage":                      {serve: (*Gateway).usage, method: http.MethodGet, operation: operationUsage},
}

// namedRoute is a route whose path names a model, between prefix and suffix.
type namedRoute struct {
	prefix, suffix string
	route
}

var named = []namedRoute{
	{"/openai/deployments/", "/chat/completions", chatAt(shapeDeployments)},
	{"/models/", "", modelAt(shapeModels)},
	{"/openai/v1/models/", "", modelAt(shapeOpenAI)},
	{"/v1/models/", "", modelAt(shapeOpenAI)},
	{"/openai/models/", "", modelAt(shapeDeployments)},
}

// extraParameters says what becomes of a body's parameters that the models shape
// doesn't know: the caller's header of that name, or nothing, which leaves it to
// the endpoint. Callers of the other shapes don't know the header, and their APIs
// pass such parameters on: so does theirs.
func (c *call) extraParameters() string {
	chosen := c.r.Header.Get("Extra-Parameters")
	if chosen == "" && c.route.shape != shapeModels {
		return upstream.PassThrough
	}
	return chosen
}

// find returns the route of a path, with or without the base path before it, so that
// a client need change no more than its host. A base path that routes begin with too,
// such as /openai, hides none of them. Doubled slashes and one at the end, which come
// of joining a base URL and a path, are passed over.
func find(path, base string) (route, bool) {
	path = tidy(path)
	paths := [2]string{path}
	if rest, below := strings.CutPrefix(path, base); below && base != "" && strings.HasPrefix(rest, "/") {
		paths[1] = rest
	}
	for _, p := range paths {
		if found, ok := endpoints[p]; ok {
			found.pattern = p
			return found, true
		}
	}
	for _, n := range named {
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

// tidy returns a path without doubled slashes and without one at its end.
func tidy(path string) string {
	for strings.Contains(path, "//") {
		path = strings.ReplaceAll(path, "//", "/")
	}
	if len(path) > 1 {
		path = strings.TrimSuffix(path, "/")
	}
	return path
}

// match returns the model that a path names. What looks like a model's name may be
// another API's.
func (n *namedRoute) match(path string) (name string, ok bool) {
	name, ok = strings.CutPrefix(path, n.prefix)
	if !ok {
		return "", false
	}
	if name, ok = strings.CutSuffix(name, n.suffix); !ok || name == "" {
		return "", false
	}
	if _, other := otherAPI(path); other {
		return "", false
	}
	return escapedSlash.Replace(name), true
}

// escapedSlash undoes what hosts do that escape an escaped slash once more.
var escapedSlash = strings.NewReplacer("%2F", "/", "%2f", "/")

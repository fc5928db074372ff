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
	deployment string // the path's own model, for shapeDeployments
}

// endpoints are the routes by path below the base path; "{name}" stands for a deployment.
var endpoints = map[string]route{
	"/models/chat/completions":                    {(*Gateway).chat, http.MethodPost, shapeModels, ""},
	"/openai/v1/chat/completions":                 {(*Gateway).chat, http.MethodPost, shapeOpenAI, ""},
	"/v1/chat/completions":                        {(*Gateway).chat, http.MethodPost, shapeOpenAI, ""},
	"/openai/deployments/{name}/chat/completions": {(*Gateway).chat, http.MethodPost, shapeDeployments, ""},
	"/models":           {(*Gateway).list, http.MethodGet, shapeModels, ""},
	"/openai/v1/models": {(*Gateway).list, http.MethodGet, shapeOpenAI, ""},
	"/v1/models":        {(*Gateway).list, http.MethodGet, shapeOpenAI, ""},
	"/openai/models":    {(*Gateway).list, http.MethodGet, shapeDeployments, ""},
	"/usage":            {(*Gateway).standing, http.MethodGet, "", ""},
}

const deploymentsPrefix = "/openai/deployments/"

// find looks a path up. The base path may be left out, and only there: so that
// a client needs no more than the host to be changed, whatever its path was.
func find(path, base string) (route, bool) {
	if rest, below := strings.CutPrefix(path, base); below && strings.HasPrefix(rest, "/") {
		path = rest
	}
	name := ""
	if rest, ok := strings.CutPrefix(path, deploymentsPrefix); ok {
		var tail string
		name, tail, ok = strings.Cut(rest, "/")
		if !ok || name == "" {
			return route{}, false
		}
		path = deploymentsPrefix + "{name}/" + tail
	}
	found, ok := endpoints[path]
	found.deployment = name
	return found, ok
}

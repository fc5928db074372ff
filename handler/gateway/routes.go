package gateway

import (
	"cmp"
	"net/http"
	"slices"
	"strings"

	"tollgate/handler/operation"
	"tollgate/handler/operation/all"
	"tollgate/handler/shape"
	"tollgate/handler/upstream"
)

// A route tells how to serve one method of a path.
type route struct {
	serve       func(*Gateway, *call) error
	method      string
	shape       shape.Shape
	operationID string // APIM's Operation ID
	pattern     string // the path, with "{name}" for a model's name or "{id}" for a response's id
	pathValues
	operation *operation.Operation // nil: the gateway answers by itself
}

// pathValues holds the model's name and the response's id that a path contains.
type pathValues struct{ model, id string }

// The gateway's own operations, named as in Azure OpenAI's and Foundry's descriptions.
const (
	operationModels = "Models_List"
	operationModel  = "Models_Get"
	operationUsage  = "Usage_Get"
)

// ownRoutes are the routes that the gateway answers by itself.
var ownRoutes = []route{
	{serve: (*Gateway).listModels, shape: shape.Models, operationID: operationModels, pattern: "/models"},
	{serve: (*Gateway).listModels, shape: shape.OpenAI, operationID: operationModels, pattern: "/openai/v1/models"},
	{serve: (*Gateway).listModels, shape: shape.OpenAI, operationID: operationModels, pattern: "/v1/models"},
	{serve: (*Gateway).listModels, shape: shape.Deployments, operationID: operationModels, pattern: "/openai/models"},
	{serve: (*Gateway).listModels, shape: shape.Anthropic, operationID: operationModels, pattern: "/anthropic/v1/models"},
	{serve: (*Gateway).getModel, shape: shape.Models, operationID: operationModel, pattern: "/models/{name}"},
	{serve: (*Gateway).getModel, shape: shape.OpenAI, operationID: operationModel, pattern: "/openai/v1/models/{name}"},
	{serve: (*Gateway).getModel, shape: shape.OpenAI, operationID: operationModel, pattern: "/v1/models/{name}"},
	{serve: (*Gateway).getModel, shape: shape.Deployments, operationID: operationModel, pattern: "/openai/models/{name}"},
	{serve: (*Gateway).getModel, shape: shape.Anthropic, operationID: operationModel, pattern: "/anthropic/v1/models/{name}"},
	{serve: (*Gateway).getUsage, operationID: operationUsage, pattern: "/usage"},
}

// routes holds all routes by their pattern. patterns lists the patterns with a name or id
// in them, longest first.
var routes, patterns = allRoutes()

// allRoutes makes routes and patterns from ownRoutes and all operations.
func allRoutes() (byPattern map[string][]route, named []string) {
	byPattern = make(map[string][]route)
	add := func(r route) {
		if byPattern[r.pattern] == nil && strings.Contains(r.pattern, "{") {
			named = append(named, r.pattern)
		}
		byPattern[r.pattern] = append(byPattern[r.pattern], r)
	}
	for _, r := range ownRoutes {
		r.method = http.MethodGet
		add(r)
	}
	for _, o := range all.Operations {
		serve := (*Gateway).serveCharged
		if o.Free {
			serve = (*Gateway).serveFree
		}
		for _, at := range o.Routes {
			add(route{serve: serve, method: at.Verb(), shape: at.Shape, operationID: o.ID, pattern: at.Path, operation: o})
		}
	}
	slices.SortStableFunc(named, func(a, b string) int { return cmp.Compare(len(b), len(a)) })
	return byPattern, named
}

// extraParameters returns what an endpoint is to do with parameters that the models shape
// doesn't define: what the caller's Extra-Parameters header says. Without the header it is
// empty for callers of the models shape, which leaves the choice to the endpoint. The other
// shapes don't have the header and pass all parameters, so for them it is pass-through.
func (c *call) extraParameters() string {
	chosen := c.r.Header.Get("Extra-Parameters")
	if chosen == "" && c.route.shape != shape.Models {
		return upstream.PassThrough
	}
	return chosen
}

// findRoute returns the route of a method and path. The path may begin with the base path
// or not, so that a client need change only its host. A base path such as /openai, with
// which routes begin too, hides none of them. Doubled and trailing slashes, which appear
// when clients join a base URL and a path, are ignored. If the path takes only other
// methods, allowed lists them.
func findRoute(method, path, base string) (found route, allowed []string) {
	path = cleanPath(path)
	paths := [2]string{path}
	if rest, below := strings.CutPrefix(path, base); below && base != "" && strings.HasPrefix(rest, "/") {
		paths[1] = rest
	}
	for _, p := range paths {
		if at, ok := routes[p]; ok {
			return byMethod(at, method, pathValues{})
		}
	}
	for _, pattern := range patterns {
		for _, p := range paths {
			if found, ok := match(pattern, p); ok {
				return byMethod(routes[pattern], method, found)
			}
		}
	}
	return route{}, nil
}

// byMethod returns the one of a path's routes that takes a method. If none does, it
// returns the first route, and in allowed the methods that the path takes.
func byMethod(at []route, method string, in pathValues) (found route, allowed []string) {
	for _, r := range at {
		if r.method == method {
			r.pathValues = in
			return r, nil
		}
		allowed = append(allowed, r.method)
	}
	return at[0], allowed
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

// match returns the part of a path that a pattern's {name} or {id} matches. A model's name
// may contain slashes, so match rejects paths of other APIs that would look like one.
func match(pattern, path string) (found pathValues, ok bool) {
	prefix, rest, _ := strings.Cut(pattern, "{")
	kind, suffix, _ := strings.Cut(rest, "}")
	text, ok := strings.CutPrefix(path, prefix)
	if !ok {
		return pathValues{}, false
	}
	if text, ok = strings.CutSuffix(text, suffix); !ok || text == "" {
		return pathValues{}, false
	}
	if kind == "id" {
		return pathValues{id: text}, !strings.Contains(text, "/")
	}
	if _, other := findOtherAPI(path); other || suffix != "" && isOperation(text) {
		return pathValues{}, false
	}
	return pathValues{model: escapedSlash.Replace(text)}, true
}

// isOperation reports whether an operation's path goes on with name after the deployment's
// name. If so, the deployment's name was empty: /openai/deployments//chat/completions.
func isOperation(name string) bool {
	return slices.ContainsFunc(patterns, func(pattern string) bool {
		_, suffix, _ := strings.Cut(pattern, "}/")
		first, _, _ := strings.Cut(suffix, "/")
		return first == name
	})
}

// escapedSlash unescapes slashes that a host has escaped twice.
var escapedSlash = strings.NewReplacer("%2F", "/", "%2f", "/")

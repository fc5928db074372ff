package gateway

import (
	"net/http"
	"strings"

	"tollgate/handler/operation"
	"tollgate/handler/operation/all"
)

// servedPaths ends every 404 for a path: it lists what Tollgate serves, and where.
var servedPaths = "Tollgate serves " + spellOperations(all.Operations) +
	". The base URL of an OpenAI client is this host followed by /openai/v1. /openai/v1/models lists the models."

// spellOperations lists operations that cost tokens, each with its first path.
func spellOperations(operations []*operation.Operation) string {
	var names []string
	for _, o := range operations {
		if !o.Free {
			names = append(names, o.Name+" at "+o.Routes[0].Path)
		}
	}
	return strings.Join(names, ", ")
}

// An otherAPI is an API that clients try and Tollgate doesn't serve. The advice says
// what to use instead.
type otherAPI struct{ name, advice string }

// otherAPIs are the APIs that aren't served, by the first segment of their paths
// after prefixes such as /openai/v1.
var otherAPIs = map[string]otherAPI{
	"messages":      {"this part of Anthropic's Messages API", "Send messages one by one."},
	"complete":      {"Anthropic's completions API", "Use an OpenAI-compatible client or provider."},
	"conversations": {"the Conversations API", "Send the whole conversation in the messages of a chat completion."},
	"extensions":    {"the extensions API", "Send data_sources with a chat completion."},
	"assistants":    {"the Assistants API", ""},
	"threads":       {"the Assistants API", ""},
	"audio":         {"the audio API", ""},
	"batches":       {"the batch API", ""},
	"containers":    {"the containers API", ""},
	"evals":         {"the evals API", ""},
	"files":         {"the files API", ""},
	"fine_tuning":   {"the fine-tuning API", ""},
	"images":        {"the images API", ""},
	"info":          {"the model information API", ""},
	"moderations":   {"the moderations API", ""},
	"realtime":      {"the Realtime API", ""},
	"rerank":        {"the rerank API", ""},
	"uploads":       {"the uploads API", ""},
	"vector_stores": {"the vector stores API", ""},
	"videos":        {"the videos API", ""},
}

// findOtherAPI returns the API that a path belongs to, if it is one of otherAPIs. The
// path is clean and below the base path.
func findOtherAPI(path string) (found otherAPI, ok bool) {
	for rest := strings.TrimPrefix(path, "/"); rest != ""; {
		var part string
		part, rest, _ = strings.Cut(rest, "/")
		switch part {
		case "openai", "v1", "models", "anthropic":
		case "deployments":
			_, rest, _ = strings.Cut(rest, "/") // the deployment's name
		default:
			found, ok = otherAPIs[part]
			return found, ok
		}
	}
	return otherAPI{}, false
}

// noRouteProblem answers a request whose path no route has. It quotes nothing of the
// path, which may contain a key.
func noRouteProblem(r *http.Request, base string) *problem {
	p := &problem{status: http.StatusNotFound, code: "route_not_found", kind: kindRequest}
	p.message = "There is nothing at this path. " + servedPaths
	if other, found := findOtherAPI(belowBase(r.URL.Path, base)); found {
		p.message = strings.TrimSpace("Tollgate doesn't serve "+other.name+". "+other.advice) + " " + servedPaths
	}
	return p
}

// belowBase returns a clean path without the base path.
func belowBase(path, base string) string {
	path = cleanPath(path)
	if rest, below := strings.CutPrefix(path, base); below && strings.HasPrefix(rest, "/") {
		return rest
	}
	return path
}

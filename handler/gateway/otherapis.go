package gateway

import (
	"net/http"
	"strings"
)

// served says what Tollgate serves and where, at the end of every 404 for a path.
const served = "Tollgate serves chat completions, at /openai/v1/chat/completions, /models/chat/completions and " +
	"/openai/deployments/{name}/chat/completions: the base URL of an OpenAI client is this host followed by /openai/v1. " +
	"/openai/v1/models lists the models."

// api is an API that clients look for and that isn't served: its name, and how
// to get on without it.
type api struct{ name, advice string }

// otherAPIs are known by the first part of a path behind what precedes any API's.
var otherAPIs = map[string]api{
	"responses": {"the Responses API", "Have the client use chat completions: " +
		"in the AI SDK choose the model with openai.chat(…) or azure.chat(…); in the Agents SDK call setOpenAIAPI('chat_completions'), " +
		"in Python set_default_openai_api(\"chat_completions\"); in LangChain set useResponsesApi: false; " +
		"with OpenAI's own clients call chat.completions.create."},
	"messages":      {"Anthropic's Messages API", "Use an OpenAI-compatible client or provider."},
	"complete":      {"Anthropic's completions API", "Use an OpenAI-compatible client or provider."},
	"embeddings":    {"embeddings", "Have the client ask the embedding model's own endpoint for them, and Tollgate for chat completions."},
	"completions":   {"the older completions API", "Send messages to chat completions in place of a prompt."},
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

// otherAPI returns the API of otherAPIs that a tidy path below the base path is of.
func otherAPI(path string) (found api, ok bool) {
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
	return api{}, false
}

// notServed is the answer where there is no route for a request's path. It quotes
// nothing of the path, in which there may be a key.
func notServed(r *http.Request, base string) *problem {
	path := tidy(r.URL.Path)
	if rest, below := strings.CutPrefix(path, base); below && strings.HasPrefix(rest, "/") {
		path = rest
	}
	p := &problem{status: http.StatusNotFound, code: "route_not_found", kind: kindRequest}
	p.message = "There is nothing at this path. " + served
	if other, found := otherAPI(path); found {
		p.message = strings.TrimSpace("Tollgate doesn't serve "+other.name+". "+other.advice) + " " + served
	}
	if r.Header.Get("Anthropic-Version") != "" || strings.HasPrefix(path, "/anthropic/") || strings.HasPrefix(path, "/v1/messages") || strings.HasPrefix(path, "/messages") {
		p.anthropic, p.kind = true, "not_found_error"
	}
	return p
}

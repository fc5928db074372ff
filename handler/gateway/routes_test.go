package gateway_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"tollgate/handler/gateway"
	"tollgate/handler/subscription/subscriptiontest"
)

func TestPathsMadeFromABaseURLAreServed(t *testing.T) {
	b := start(t, subscriptiontest.Limits{}, answering(1))
	for _, path := range []string{
		"/chat/completions", "/inference/chat/completions", "/openai/chat/completions", "/inference/openai/chat/completions", "/v1/chat/completions",
		"//openai/deployments/DeepSeek-R1/chat/completions?api-version=2024-10-21", "/openai//deployments/DeepSeek-R1//chat/completions",
		"/v1//chat/completions", "/inference//v1/chat/completions", "//inference///v1/chat/completions", "/v1/chat/completions/", "/chat/completions//",
		"/models/chat/completions/?api-version=x", "/inference//models//chat/completions/",
	} {
		if response, body := b.post(t, path, demo); response.StatusCode != 200 {
			t.Errorf("POST %s: got %d %s, want 200", path, response.StatusCode, body)
		}
	}
	for _, path := range []string{"/v1/models/", "//v1/models", "/inference/v1//models/", "/models/", "/openai/v1/models/", "/usage/", "//usage"} {
		if response, body := b.get(t, path); response.StatusCode != 200 {
			t.Errorf("GET %s: got %d %s, want 200", path, response.StatusCode, body)
		}
	}
	for _, path := range []string{"/v1/chat/completions/x", "/v1/./chat/completions", "/x/../v1/chat/completions", "/v1/Chat/completions", "/openai/deployments//chat/completions"} {
		if response, body := b.post(t, path, demo); response.StatusCode != 404 {
			t.Errorf("POST %s: got %d %s, want 404", path, response.StatusCode, body)
		}
	}
}

func TestOneModelIsDescribed(t *testing.T) {
	b := start(t, subscriptiontest.Limits{Models: []string{"DeepSeek-R1", "deepseek-ai/DeepSeek-V3"}}, answering(1), func(c *gateway.Config) {
		c.Models = []string{"DeepSeek-R1", "deepseek-ai/DeepSeek-V3", "gpt-4o"}
	})
	for _, at := range []string{"/models/", "/v1/models/", "/openai/v1/models/", "/openai/models/", "/inference/v1//models/"} {
		for name, id := range map[string]string{"DeepSeek-R1": "DeepSeek-R1", "DeepSeek-R1/": "DeepSeek-R1", "deepseek-ai/DeepSeek-V3": "deepseek-ai/DeepSeek-V3",
			"deepseek-ai%2FDeepSeek-V3": "deepseek-ai/DeepSeek-V3", "deepseek-ai%252FDeepSeek-V3": "deepseek-ai/DeepSeek-V3"} {
			response, body := b.get(t, at+name)
			var got struct {
				ID, Object string
				OwnedBy    string `json:"owned_by"`
				Created    *int64
			}
			if err := json.Unmarshal([]byte(body), &got); err != nil || response.StatusCode != 200 || got.ID != id || got.Object != "model" || got.OwnedBy == "" || got.Created == nil {
				t.Errorf("GET %s%s: got %d %s, want 200 with the model %s, its owner and its time", at, name, response.StatusCode, body, id)
			}
		}
		for _, name := range []string{"gpt-4o", "deepseek-r1"} { // a model that the tier may not use, and a name that no model has
			if response, body := b.get(t, at+name); response.StatusCode != 404 || !strings.Contains(body, "model_not_found") || !strings.Contains(body, "Name one of: DeepSeek-R1") {
				t.Errorf("GET %s%s: got %d %s, want 404 model_not_found that names DeepSeek-R1", at, name, response.StatusCode, body)
			}
		}
		if response, body := b.get(t, at+"DeepSeek-R1", "Api-Key", "wrong"); response.StatusCode != 401 {
			t.Errorf("GET %s without a key: got %d %s, want 401", at, response.StatusCode, body)
		}
	}
	if response, _ := b.post(t, "/v1/models/DeepSeek-R1", "{}"); response.StatusCode != 405 || response.Header.Get("Allow") != "GET" {
		t.Errorf("POST to a model: got %d, Allow %q, want 405 and GET", response.StatusCode, response.Header.Get("Allow"))
	}
}

func TestA404SaysWhatIsServedAndHowToGetThere(t *testing.T) {
	b := start(t, subscriptiontest.Limits{}, answering(1))
	for path, want := range map[string]string{
		"/openai/v1/responses/resp_1/nothing":     "nothing at this path",
		"/models/images/embeddings":               "images",
		"/anthropic/v1/messages/batches":          "Messages API",
		"/v1/files":                               "files",
		"/openai/v1/batches":                      "batch",
		"/v1/realtime":                            "Realtime",
		"/openai/deployments/gpt-4o/audio/speech": "audio",
		"/v1/threads/t1/messages":                 "Assistants",
		"/v1/conversations":                       "Conversations",
		"/nowhere":                                "nothing at this path",
		"/v1/chat/completions/chat/completions":   "base URL",
		"/openai/deployments/DeepSeek-R1/extensions/chat/completions": "data_sources",
	} {
		for _, method := range []string{http.MethodPost, http.MethodGet, http.MethodDelete} {
			response, body := fetch(t, b.newRequest(t.Context(), t, method, path, strings.NewReader("")))
			if response.StatusCode != 404 || !strings.Contains(body, want) || !strings.Contains(body, "/openai/v1/chat/completions") || !strings.Contains(body, "route_not_found") {
				t.Errorf("%s %s: got %d %s, want 404 route_not_found with %q and /openai/v1/chat/completions", method, path, response.StatusCode, body, want)
			}
		}
	}
	if response, body := b.get(t, "/"+b.key); response.StatusCode != 404 || strings.Contains(body, b.key) {
		t.Errorf("a key in the path: got %d %s, want a 404 without it", response.StatusCode, body)
	}
}

// Anthropic's clients read only errors that have a type at the top level.
func TestErrorsOnAnthropicsRoutesHaveAnthropicsForm(t *testing.T) {
	b := start(t, subscriptiontest.Limits{}, answering(1))
	for path, headers := range map[string][]string{
		"/anthropic/v1/messages/batches": nil, "/v1/messages/batches": nil, "/messages": nil, "/inference/anthropic/v1/complete": nil,
		"/v1/complete": {"Anthropic-Version", "2023-06-01"},
	} {
		response, body := b.post(t, path, `{}`, headers...)
		var got struct {
			Type  string
			Error struct{ Type, Message string }
		}
		err := json.Unmarshal([]byte(body), &got)
		if err != nil || response.StatusCode != 404 || !strings.HasPrefix(body, `{"type":"error"`) || got.Error.Type != "not_found_error" || !strings.Contains(got.Error.Message, "Tollgate serves") {
			t.Errorf("%s: got %d %s, want 404 not_found_error in Anthropic's form with what Tollgate serves", path, response.StatusCode, body)
		}
	}
	for _, path := range []string{"/v1/responses", "/v1/threads/t/messages"} {
		if _, body := b.post(t, path, `{}`); strings.HasPrefix(body, `{"type"`) {
			t.Errorf("%s: got %s, want an error in OpenAI's form", path, body)
		}
	}
}

package host_test

import (
	"io"
	"net/http"
	"strings"
	"testing"
)

// TestPathsAndKeysPassTheHost checks that the host forwards every form of a path, and a key
// in every place, that the gateway accepts.
func TestPathsAndKeysPassTheHost(t *testing.T) {
	h := start(t, options{})
	for _, c := range []struct {
		method, path string
		status       int
		part         string
	}{
		{"POST", "/chat/completions", 200, `"choices"`}, {"POST", "/inference/chat/completions", 200, `"choices"`},
		{"POST", "/openai/chat/completions", 200, `"choices"`}, {"POST", "/v1/chat/completions/", 200, `"choices"`},
		{"POST", "//openai/deployments/DeepSeek-R1/chat/completions?api-version=2024-10-21", 200, `"choices"`},
		{"POST", "/inference//v1/chat/completions", 200, `"choices"`}, {"POST", "//v1//chat//completions", 200, `"choices"`},
		{"GET", "/v1/models/", 200, `"object":"list"`}, {"GET", "/v1/models/DeepSeek-R1", 200, `"id":"DeepSeek-R1"`},
		{"GET", "/v1/models/deepseek%2FDeepSeek-R1", 404, "Name one of: DeepSeek-R1"},
		{"POST", "/openai/v1/responses", 400, `"param":"input"`}, {"POST", "/openai/v1/audio/speech", 404, "route_not_found"}, {"POST", "/anthropic/v1/messages", 404, `{"type":"error"`}, {"GET", "/v1/files", 404, "files API"},
	} {
		for place, headers := range map[string][]string{
			"api-key": {"Api-Key", h.key}, "beside a dummy": {"Authorization", "Bearer DUMMY", "Ocp-Apim-Subscription-Key", h.key}, "x-api-key": {"X-Api-Key", h.key}, "the query": nil,
		} {
			path := c.path
			if headers == nil {
				path += map[bool]string{true: "&", false: "?"}[strings.Contains(path, "?")] + "subscription-key=" + h.key
			}
			request := must(http.NewRequestWithContext(t.Context(), c.method, h.url+path, strings.NewReader(articleBody)))
			for i := 0; i < len(headers); i += 2 {
				request.Header.Set(headers[i], headers[i+1])
			}
			response, err := http.DefaultClient.Do(request)
			if err != nil {
				t.Fatal(err)
			}
			text, err := io.ReadAll(response.Body)
			response.Body.Close()
			if err != nil || response.StatusCode != c.status || !strings.Contains(string(text), c.part) || response.Header.Get("Cache-Control") != "no-store" {
				t.Errorf("%s %s with the key in %s: got %d %v %s and error %v, want %d with %s and Cache-Control no-store", c.method, c.path, place, response.StatusCode, response.Header, text, err, c.status, c.part)
			}
		}
	}
}

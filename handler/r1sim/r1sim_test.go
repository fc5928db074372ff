package r1sim_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"tollgate/handler/r1sim"
)

func ask(t *testing.T, e *r1sim.Endpoint, path, body string, headers ...string) (int, string) {
	t.Helper()
	r := httptest.NewRequest(http.MethodPost, path, strings.NewReader(body))
	r.Header.Set("Api-Key", r1sim.Key)
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	w := httptest.NewRecorder()
	e.ServeHTTP(w, r)
	answer, _ := io.ReadAll(w.Result().Body)
	return w.Code, string(answer)
}

const demo = `{"messages":[{"role":"system","content":"You are a sarcastic, unhelpful assistant."},{"role":"user","content":"Can you tell me the time, please?"}]}`

func TestTheArticlesUsage(t *testing.T) {
	var e r1sim.Endpoint
	for _, want := range []string{`"completion_tokens":233,"prompt_tokens":25`, `"completion_tokens":184,"prompt_tokens":25`} {
		if status, body := ask(t, &e, "/models/chat/completions", demo); status != 200 || !strings.Contains(body, want) || !strings.Contains(body, "u003cthink") {
			t.Errorf("%d %s, want %s", status, body, want)
		}
	}
}

func TestReasoningAndUsageByShape(t *testing.T) {
	var e r1sim.Endpoint
	const stream = `{"stream":true,"max_tokens":4,"messages":[{"role":"user","content":"x"}]}`
	for path, reasoning := range map[string]bool{"/openai/v1/chat/completions": true, "/openai/deployments/r1/chat/completions": true, "/models/chat/completions": false} {
		status, body := ask(t, &e, path, stream)
		if status != 200 || strings.Contains(body, "reasoning_content") != reasoning || !strings.HasSuffix(body, "data: [DONE]\n\n") ||
			!strings.Contains(body, `"finish_reason":"length"`) || !strings.Contains(body, `"completion_tokens":4`) {
			t.Errorf("%s: %d %s", path, status, body)
		}
	}
	withOptions := strings.Replace(stream, "{", `{"stream_options":{"include_usage":true},`, 1)
	if _, body := ask(t, &e, "/openai/v1/chat/completions", withOptions); !strings.Contains(body, `"choices":[],`) {
		t.Errorf("no usage chunk in %s", body)
	}
	if status, _ := ask(t, &e, "/models/chat/completions", withOptions); status != 422 {
		t.Errorf("the models shape takes stream_options: %d", status)
	}
}

func TestWhatItRefuses(t *testing.T) {
	var e r1sim.Endpoint
	for _, test := range []struct {
		path, body, key string
		status          int
	}{
		{"/models/chat/completions", demo, "wrong", 401}, {"/nowhere", demo, r1sim.Key, 404}, {"/models/chat/completions", "{", r1sim.Key, 400},
	} {
		if status, body := ask(t, &e, test.path, test.body, "Api-Key", test.key); status != test.status {
			t.Errorf("%s: %d %s, want %d", test.path, status, body, test.status)
		}
	}
}

package fakemodel_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"tollgate/handler/local/fakemodel"
	"tollgate/handler/tokens"
)

// ask makes a call by POST, and returns the status and the body of its answer.
func ask(t *testing.T, e *fakemodel.Endpoint, path, body string, headers ...string) (int, string) {
	t.Helper()
	got := call(t, e, http.MethodPost, path, body, headers...)
	return got.status, got.text
}

const demo = `{"messages":[{"role":"system","content":"You are a sarcastic, unhelpful assistant."},{"role":"user","content":"Can you tell me the time, please?"}]}`

func TestTheArticlesCallsHaveItsUsage(t *testing.T) {
	var e fakemodel.Endpoint
	for _, want := range []string{`"completion_tokens":233,"prompt_tokens":25`, `"completion_tokens":184,"prompt_tokens":25`} {
		if status, body := ask(t, &e, "/models/chat/completions", demo); status != 200 || !strings.Contains(body, want) || !strings.Contains(body, "u003cthink") {
			t.Errorf("got %d %s, want 200 with %s and the thinking before it", status, body, want)
		}
	}
}

func TestEachShapeReportsReasoningAndUsageInItsOwnWay(t *testing.T) {
	var e fakemodel.Endpoint
	const stream = `{"stream":true,"max_tokens":4,"messages":[{"role":"user","content":"x"}]}`
	for path, reasoning := range map[string]bool{"/openai/v1/chat/completions": true, "/openai/deployments/r1/chat/completions": true, "/models/chat/completions": false} {
		status, body := ask(t, &e, path, stream)
		if status != 200 || strings.Contains(body, "reasoning_content") != reasoning || !strings.HasSuffix(body, "data: [DONE]\n\n") ||
			!strings.Contains(body, `"finish_reason":"length"`) || !strings.Contains(body, `"completion_tokens":4`) {
			t.Errorf("%s: got %d %s, want reasoning_content %t, and an answer cut after 4 tokens with finish_reason length", path, status, body, reasoning)
		}
	}
	withOptions := strings.Replace(stream, "{", `{"stream_options":{"include_usage":true},`, 1)
	if _, body := ask(t, &e, "/openai/v1/chat/completions", withOptions); !strings.Contains(body, `"choices":[],`) {
		t.Errorf("got %s, want a usage chunk", body)
	}
	if status, _ := ask(t, &e, "/models/chat/completions", withOptions); status != 422 {
		t.Errorf("stream_options with the models shape: got %d, want 422", status)
	}
}

func TestBadRequestsAreRefused(t *testing.T) {
	var e fakemodel.Endpoint
	for _, test := range []struct {
		path, body, key string
		status          int
	}{
		{"/models/chat/completions", demo, "wrong", 401}, {"/nowhere", demo, fakemodel.Key, 404}, {"/models/chat/completions", "{", fakemodel.Key, 400},
	} {
		if status, body := ask(t, &e, test.path, test.body, "Authorization", "Bearer "+test.key); status != test.status {
			t.Errorf("%s: got %d %s, want %d", test.path, status, body, test.status)
		}
	}
}

// answered holds the text and usage of an answer, streamed or not.
type answered struct {
	Choices []struct {
		Message, Delta struct {
			Reasoning string `json:"reasoning_content"`
			Content   string
		}
	}
	Usage struct {
		Prompt     int `json:"prompt_tokens"`
		Completion int `json:"completion_tokens"`
	}
}

func TestUsageMatchesTheText(t *testing.T) {
	const messages = `[{"role":"user","content":"What is the time? \ud83d"}]`
	r1 := tokens.ForModel("DeepSeek-R1")
	prompt, err := r1.CountChat([]byte(messages), nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"/models/chat/completions", "/openai/v1/chat/completions"} {
		for fields, completion := range map[string]int{``: 60, `"max_tokens":1,`: 1, `"max_tokens":7,"stream":true,`: 7, `"stream":true,`: 60} {
			var e fakemodel.Endpoint
			_, body := ask(t, &e, path, `{`+fields+`"messages":`+messages+`}`)
			var text strings.Builder
			var last answered
			for line := range strings.Lines(body) {
				var got answered
				if json.Unmarshal([]byte(strings.TrimPrefix(line, "data: ")), &got) != nil {
					continue
				}
				for _, choice := range got.Choices {
					text.WriteString(choice.Message.Reasoning + choice.Message.Content + choice.Delta.Reasoning + choice.Delta.Content)
				}
				last = got
			}
			if u := last.Usage; u.Prompt != prompt || u.Completion != completion || r1.Count(text.String()) != completion {
				t.Errorf("%s %s: got usage %+v, want %d and %d, for %d tokens: %q", path, fields, u, prompt, completion, r1.Count(text.String()), text.String())
			}
		}
	}
}

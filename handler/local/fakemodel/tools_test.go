package fakemodel_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"tollgate/handler/local/fakemodel"
	"tollgate/handler/tokens"
)

// A part is an answer, or one of its events.
type part struct {
	ID      string
	Object  string
	Created int64
	Choices []struct {
		Message, Delta chatMessage
		FinishReason   *string `json:"finish_reason"`
	}
	Usage struct {
		Completion int `json:"completion_tokens"`
	}
}

type chatMessage struct {
	Role      string
	Content   *string
	Reasoning string     `json:"reasoning_content"`
	ToolCalls []toolCall `json:"tool_calls"`
}

type toolCall struct {
	Index    *int
	ID, Type string
	Function struct{ Name, Arguments string }
}

// parts returns the parts of an answer's body, streamed or not.
func parts(t *testing.T, body string) (all []part) {
	t.Helper()
	for line := range strings.Lines(body) {
		text := strings.TrimSpace(strings.TrimPrefix(line, "data: "))
		if text == "" || text == "[DONE]" {
			continue
		}
		var p part
		if err := json.Unmarshal([]byte(text), &p); err != nil {
			t.Fatalf("got error %v for %s, want JSON", err, text)
		}
		all = append(all, p)
	}
	return all
}

// OpenAI's stream() requires a role; LangGraph identifies messages by their ids.
func TestAnswersHaveTheFieldsThatLibrariesNeed(t *testing.T) {
	var e fakemodel.Endpoint
	ids := make(map[string]bool)
	for _, path := range []string{"/models/chat/completions", "/openai/v1/chat/completions"} {
		for _, fields := range []string{``, `"stream":true,`, `"stream":true,"max_tokens":1,`} {
			_, body := ask(t, &e, path, `{`+fields+`"messages":[{"role":"user","content":"x"}]}`)
			all := parts(t, body)
			first := all[0]
			if role := first.Choices[0].Message.Role + first.Choices[0].Delta.Role; role != "assistant" {
				t.Errorf("%s %s: got the role %q in the first part, want assistant: %s", path, fields, role, body)
			}
			for i, p := range all {
				if age := time.Since(time.Unix(p.Created, 0)); p.ID != first.ID || age < -time.Second || age > time.Minute || i > 0 && p.Choices[0].Delta.Role != "" {
					t.Errorf("%s %s: part %d: got id %q, created %d, want the first part's: %s", path, fields, i, p.ID, p.Created, body)
				}
			}
			if ids[first.ID] || first.ID == "" {
				t.Errorf("%s %s: got the id %q again, want a new one", path, fields, first.ID)
			}
			ids[first.ID] = true
		}
	}
}

const weather = `"tools":[{"type":"function","function":{"name":"other","parameters":{}}},{"type":"function","function":{"name":"weather","parameters":
	{"type":"object","properties":{"city":{"type":"string"},"unit":{"enum":["C","F"]},"days":{"type":"integer"},"hours":{"type":"array","minItems":2,"items":{"type":"number"}},"note":{"type":"string"}},"required":["city","unit","days","hours"]}}}],`

func TestOfferedToolsAreCalled(t *testing.T) {
	r1 := tokens.ForModel("DeepSeek-R1")
	const choose = `"tool_choice":{"type":"function","function":{"name":"weather"}},`
	for _, path := range []string{"/models/chat/completions", "/openai/v1/chat/completions"} {
		for fields, want := range map[string][2]string{
			weather: {"other", "{}"}, weather + choose: {"weather", `{"city":"so","days":1,"hours":[1,1],"unit":"C"}`},
			`"tool_choice":"auto",` + weather: {"other", "{}"}, `"tool_choice":"required",` + weather: {"other", "{}"},
		} {
			for _, stream := range []string{"", `"stream":true,`} {
				var e fakemodel.Endpoint
				_, body := ask(t, &e, path, `{`+stream+fields+`"messages":[{"role":"user","content":"x"}]}`)
				var call toolCall
				var text, finish string
				all := parts(t, body)
				for _, p := range all {
					for _, choice := range p.Choices {
						for _, s := range []chatMessage{choice.Message, choice.Delta} {
							text += s.Reasoning
							if s.Content != nil {
								text += *s.Content
							}
							for _, c := range s.ToolCalls {
								call.ID, call.Type = call.ID+c.ID, call.Type+c.Type
								call.Function.Name += c.Function.Name
								call.Function.Arguments += c.Function.Arguments
								if (c.Index != nil) != (stream != "") {
									t.Errorf("%s: got index %v, want 0 in %s", path, c.Index, body)
								}
							}
						}
						if choice.FinishReason != nil {
							finish += *choice.FinishReason
						}
					}
				}
				got := [2]string{call.Function.Name, call.Function.Arguments}
				if got != want || !strings.HasPrefix(call.ID, "call_") || call.Type != "function" || finish != "tool_calls" {
					t.Errorf("%s %s: got the call %+v and finish_reason %q; want %v in %s", path, stream, call, finish, want, body)
				}
				if used, n := all[len(all)-1].Usage.Completion, r1.Count(text)+r1.Count(got[0]+got[1]); used != n || text == "" {
					t.Errorf("%s %s: got usage %d, want %d for %q and %v", path, stream, used, n, text, got)
				}
			}
		}
	}
}

func TestNoToolIsCalledAfterAResultOrWithChoiceNone(t *testing.T) {
	for name, fields := range map[string]string{
		"no tools":  `"messages":[{"role":"user","content":"x"}]`,
		"empty":     `"tools":[],"messages":[{"role":"user","content":"x"}]`,
		"forbidden": weather + `"tool_choice":"none","messages":[{"role":"user","content":"x"}]`,
		"a result":  weather + `"messages":[{"role":"user","content":"x"},{"role":"assistant","tool_calls":[{"id":"1","type":"function","function":{"name":"other","arguments":"{}"}}]},{"role":"tool","tool_call_id":"1","content":"y"}]`,
		"no room":   weather + `"max_tokens":3,"messages":[{"role":"user","content":"x"}]`,
	} {
		var e fakemodel.Endpoint
		_, body := ask(t, &e, "/openai/v1/chat/completions", `{`+fields+`}`)
		if all := parts(t, body); len(all[0].Choices[0].Message.ToolCalls) != 0 || all[0].Choices[0].Message.Content == nil || *all[0].Choices[0].FinishReason == "tool_calls" {
			t.Errorf("%s: got %s, want an answer without a call", name, body)
		}
	}
}

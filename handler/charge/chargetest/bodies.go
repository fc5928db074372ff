// Package chargetest makes bodies of calls for tests of what calls are charged.
// [Carriers] hides a text in unusual fields; [Body] makes random bodies.
package chargetest

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"
)

// Carriers maps each place, other than the text of a message, where a body can
// carry a prompt to a body that does. The prompt goes in place of the $.
var Carriers = map[string]string{
	"functions":                     `{"functions":[{"name":"f","description":"$"}],"messages":[{"role":"user","content":"hi"}]}`,
	"response_format":               `{"response_format":{"type":"json_schema","json_schema":{"name":"a","schema":{"description":"$"}}},"messages":[{"role":"user","content":"hi"}]}`,
	"prediction":                    `{"prediction":{"type":"content","content":"$"},"messages":[{"role":"user","content":"hi"}]}`,
	"tool_choice":                   `{"tool_choice":{"type":"function","function":{"name":"$"}},"messages":[{"role":"user","content":"hi"}]}`,
	"tools":                         `{"tools":[{"type":"function","function":{"name":"f","description":"$"}}],"messages":[{"role":"user","content":"hi"}]}`,
	"documents":                     `{"documents":[{"text":"$"}],"messages":[{"role":"user","content":"hi"}]}`,
	"chat_template_kwargs":          `{"chat_template_kwargs":{"x":"$"},"messages":[{"role":"user","content":"hi"}]}`,
	"guided_json":                   `{"guided_json":{"d":"$"},"messages":[{"role":"user","content":"hi"}]}`,
	"reasoning_effort":              `{"reasoning_effort":"$","messages":[{"role":"user","content":"hi"}]}`,
	"a key":                         `{"$":1,"messages":[{"role":"user","content":"hi"}]}`,
	"a key of a message":            `{"messages":[{"role":"user","content":"hi","$":1}]}`,
	"a role":                        `{"messages":[{"role":"$","content":"hi"}]}`,
	"a name":                        `{"messages":[{"role":"user","name":"$","content":"hi"}]}`,
	"content that is an object":     `{"messages":[{"role":"user","content":{"a":"$"}}]}`,
	"the role function":             `{"messages":[{"role":"function","name":"f","content":"$"}]}`,
	"another role":                  `{"messages":[{"role":"latest_reminder","content":"$"}]}`,
	"reasoning_content":             `{"messages":[{"role":"assistant","content":"ok","reasoning_content":"$"}]}`,
	"tool calls beside content":     `{"messages":[{"role":"assistant","content":"ok","tool_calls":[{"id":"1","type":"function","function":{"name":"f","arguments":"$"}}]}]}`,
	"function_call":                 `{"messages":[{"role":"assistant","content":null,"function_call":{"name":"f","arguments":"$"}}]}`,
	"a refusal":                     `{"messages":[{"role":"assistant","content":null,"refusal":"$"}]}`,
	"a part that is a refusal":      `{"messages":[{"role":"assistant","content":[{"type":"refusal","refusal":"$"}]}]}`,
	"a part that is a thought":      `{"messages":[{"role":"assistant","content":[{"type":"thinking","thinking":[{"type":"text","text":"$"}]}]}]}`,
	"beside an image":               `{"messages":[{"role":"user","content":[{"type":"image_url","image_url":{"url":"https://x/y","x":"$"}}]}]}`,
	"an image's detail":             `{"messages":[{"role":"user","content":[{"type":"image_url","image_url":{"url":"https://x/y","detail":"$"}}]}]}`,
	"an image's address":            `{"messages":[{"role":"user","content":[{"type":"image_url","image_url":{"url":"https://$"}}]}]}`,
	"a part's text, an object":      `{"messages":[{"role":"user","content":[{"type":"text","text":{"a":"$"}}]}]}`,
	"a tool's answer":               `{"messages":[{"role":"tool","tool_call_id":"$","content":"hi"}]}`,
	"the text of a part":            `{"messages":[{"role":"user","content":[{"type":"text","text":"$"}]}]}`,
	"a text among parts":            `{"messages":[{"role":"user","content":["$"]}]}`,
	"before the end of a thought":   `{"messages":[{"role":"user","content":"hi"},{"role":"assistant","name":"a","content":"$</think>ok"}]}`,
	"an escaped name of a field":    `{"messages":[{"role":"user","content":"hi","\u006eame":"$"}]}`,
	"a text, after an escaped name": `{"messages":[{"role":"user","\u0063ontent":[{"type":"text","te\u0078t":"$"}]}]}`,
}

// anyJSON returns a random JSON value, nested at most depth levels.
func anyJSON(r *rand.Rand, depth int) string {
	switch kind := r.IntN(9); {
	case kind < 2 && depth > 0:
		var items []string
		for range r.IntN(4) {
			items = append(items, anyJSON(r, depth-1))
		}
		return "[" + strings.Join(items, ",") + "]"
	case kind < 5 && depth > 0:
		var members []string
		for i := range r.IntN(4) {
			members = append(members, fmt.Sprintf("%q : %s", fmt.Sprint(field(r), strings.Repeat("x", i)), anyJSON(r, depth-1)))
		}
		return "{" + strings.Join(members, ", ") + "}"
	case kind == 5:
		return []string{"null", "true", "false", "0", "-12.5e3"}[r.IntN(5)]
	}
	text := []string{"a", "\u00e9", "<", "\n", "    ", "\U0001F600", "word ", "https://x/y.png", "data:image/png;base64,"}[r.IntN(9)]
	quoted, _ := json.Marshal(strings.Repeat(text, r.IntN(200)))
	if r.IntN(4) == 0 {
		return `"` + strings.Repeat(`\u0061`, r.IntN(200)) + `"`
	}
	return string(quoted)
}

func field(r *rand.Rand) string {
	names := []string{"type", "text", "image_url", "url", "detail", "name", "content", "tool_calls", "function", "refusal", "arguments", "x"}
	return names[r.IntN(len(names))]
}

// Body returns a random body of a call, with any JSON in any field.
func Body(r *rand.Rand) string {
	var messages []string
	for range 1 + r.IntN(4) {
		role := []string{`"user"`, `"system"`, `"assistant"`, `"tool"`, anyJSON(r, 1)}[r.IntN(5)]
		message := `{"role":` + role + `,"content":` + anyJSON(r, 3)
		if r.IntN(2) == 0 {
			message += `,` + fmt.Sprintf("%q", []string{"name", "refusal", "tool_calls", "x"}[r.IntN(4)]) + `:` + anyJSON(r, 3)
		}
		messages = append(messages, message+"}")
	}
	body := `{"messages": [` + strings.Join(messages, ",") + `]`
	for _, name := range []string{"functions", "response_format", "prediction", "tool_choice", "stop", "user", "whatever", "temperature"} {
		if r.IntN(4) == 0 {
			body += fmt.Sprintf(",%q:%s", name, anyJSON(r, 3))
		}
	}
	return body + "}"
}

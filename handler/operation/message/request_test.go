package message

import (
	"bytes"
	"errors"
	"reflect"
	"strings"
	"testing"

	"tollgate/handler/operation"
	"tollgate/handler/tokens"
)

// with returns a call with fields beside its model and one message.
func with(fields string) string {
	if fields != "" {
		fields += ","
	}
	return `{` + fields + `"model":"m","messages":[{"role":"user","content":"Hi"}]}`
}

func parsed(t *testing.T, body string) operation.Request {
	t.Helper()
	r, err := parse([]byte(body))
	if err != nil {
		t.Fatalf("%s: got %v, want no error", body, err)
	}
	return r
}

func TestParseReadsModelStreamAndCap(t *testing.T) {
	for body, want := range map[string]struct {
		envelope operation.Envelope
		cap      int64
	}{
		with(``):                                {operation.Envelope{Model: "m", Completions: 1}, 0},
		with(`"stream":true,"max_tokens":1024`): {operation.Envelope{Model: "m", Stream: true, Completions: 1}, 1024},
		with(`"stream":null,"max_tokens":null`): {operation.Envelope{Model: "m", Completions: 1}, 0},
		with(`"max_tokens":0`):                  {operation.Envelope{Model: "m", Completions: 1}, 1},
		with(`"system":[{"type":"text","text":"x","cache_control":{"type":"ephemeral"}}],"tools":[{"name":"f","input_schema":{"type":"object","properties":{"Model":{},"model":{}}}}]`): {operation.Envelope{Model: "m", Completions: 1}, 0},
		with(`"fallbacks":[]`): {operation.Envelope{Model: "m", Completions: 1}, 0},
		with(`"service_tier":"auto","speed":"standard","inference_geo":"global"`): {operation.Envelope{Model: "m", Completions: 1}, 0},
		with(`"service_tier":null,"speed":null,"inference_geo":null`):             {operation.Envelope{Model: "m", Completions: 1}, 0},
		with(`"service_tier":"standard_only","sp\u0065ed":"fast"`):                {operation.Envelope{Model: "m", Completions: 1, Dearer: []operation.DearerField{{Name: "speed"}}}, 0},
		with(`"inference_geo":"canary","speed":"Standard"`):                       {operation.Envelope{Model: "m", Completions: 1, Dearer: []operation.DearerField{{Name: "inference_geo"}, {Name: "speed"}}}, 0},
		with(`"service_tier":"priority","inference_geo":"us"`):                    {operation.Envelope{Model: "m", Completions: 1, Dearer: []operation.DearerField{{Name: "service_tier", Priority: true}, {Name: "inference_geo"}}}, 0},
	} {
		r := parsed(t, body)
		if got := r.Envelope(); !reflect.DeepEqual(got, want.envelope) {
			t.Errorf("%s: got %+v, want %+v", body, got, want.envelope)
		}
		if got := r.Caps(operation.CapRules{}); got.Largest != want.cap || got.Obeyed != want.cap {
			t.Errorf("%s: got the caps %+v, want %d", body, got, want.cap)
		}
	}
}

func TestParseRefusesAmbiguousBodiesAndOtherModels(t *testing.T) {
	for body, field := range map[string]string{
		`{"model":"m"}`:                  "messages",
		`{"model":"m","messages":[]}`:    "messages",
		`{"model":"m","messages":"x"}`:   "messages",
		`{"model":"m","messages":["x"]}`: "messages[0]",
		``:                               "",
		`[]`:                             "",
		with(`"model":"n"`):              "model",
		with(`"Max_tokens":5`):           "max_tokens",
		with(`"MESSAGES":[{"role":"user","content":"a longer one"}]`):            "messages",
		`{"model":"m","messages":[{"role":"user","content":"a","Content":"b"}]}`: "messages[0].content",
		`{"model":7,"messages":[{}]}`:                                            "model",
		with(`"max_tokens":1e3`):                                                 "max_tokens",
		with(`"max_tokens":-1`):                                                  "max_tokens",
		with(`"max_tokens":"9"`):                                                 "max_tokens",
		with(`"stream":"yes"`):                                                   "stream",
		with(`"system":{}`):                                                      "system",
		with(`"tools":{}`):                                                       "tools",
		with(`"fallbacks":[{"model":"canary"}]`):                                 "fallbacks",
		with(`"speed":1`):                                                        "speed",
		with(`"inference_geo":["us"]`):                                           "inference_geo",
		with(`"service_tier":{}`):                                                "service_tier",
		with(`"Speed":"fast"`):                                                   "speed",
		with(`"speed":"standard","sp\u0065ed":"fast"`):                           "speed",
		with(`"inference_geo":null,"Inference_Geo":"us"`):                        "inference_geo",
		with(`"Fallbacks":[{"model":"canary"}]`):                                 "fallbacks",
		with(`"tools":[{"name":"f"},{"type":"advisor_20260301","name":"advisor","model":"canary"}]`): "tools[1].model",
	} {
		_, err := parse([]byte(body))
		wrong, ok := errors.AsType[*operation.FieldError](err)
		if !ok || wrong.Field != field || wrong.Fix == "" || strings.Contains(wrong.Error(), "canary") {
			t.Errorf("%s: got %v, want a FieldError for %q with a fix, quoting no text of the caller", body, err, field)
		}
	}
}

func TestRewriteChangesOnlyTheModelAndAMissingCap(t *testing.T) {
	for _, test := range []struct {
		body string
		edit operation.Edit
		want string
	}{
		{with(``), operation.Edit{}, with(``)},
		{with(``), operation.Edit{Model: "m"}, with(``)},
		{with(``), operation.Edit{Model: `o"x`}, strings.Replace(with(``), `"m"`, `"o\"x"`, 1)},
		{with(``), operation.Edit{Cap: 16}, with(`"max_tokens":16`)},
		{with(`"max_tokens": null`), operation.Edit{Cap: 16}, with(`"max_tokens": 16`)},
		{with(`"max_tokens":0`), operation.Edit{Cap: 16}, with(`"max_tokens":0`)},
		{with(`"max_tokens":99`), operation.Edit{Cap: 16, Enforce: true, AskUsage: true}, with(`"max_tokens":99`)},
		{`{"messages":[{}]}`, operation.Edit{Model: "o", Cap: 16}, `{"model":"o","max_tokens":16,"messages":[{}]}`},
	} {
		if got := bytes.Join(parsed(t, test.body).Rewrite(test.edit), nil); string(got) != test.want {
			t.Errorf("%s with %+v: got %s, want %s", test.body, test.edit, got, test.want)
		}
	}
}

func TestPromptNamesTheFirstFieldThatNothingBounds(t *testing.T) {
	for body, want := range map[string]string{
		with(``): "",
		with(`"tools":[{"name":"f","input_schema":{}}]`):                                                         "",
		with(`"tools":[{"type":"custom","name":"f"}]`):                                                           "",
		with(`"tools":[{"type":"bash_20250124"}]`):                                                               "",
		with(`"tools":[{"type":"web_search_20250305"}]`):                                                         "tools[0]",
		with(`"tools":[{"name":"f"},{"type":"code_execution_20260120"}]`):                                        "tools[1]",
		with(`"mcp_servers":[]`):                                                                                 "",
		with(`"mcp_servers":[{"url":"x"}]`):                                                                      "mcp_servers",
		with(`"container":"c"`):                                                                                  "container",
		with(`"context_management":{"edits":[{"type":"clear_thinking_20251015","keep":"all"}]}`):                 "",
		with(`"context_management":{"edits":[{"type":"clear_tool_uses_20250919"},{"type":"compact_20260112"}]}`): "context_management.edits[1]",
		with(`"compaction":{}`):                                                                                  "compaction",
		block(`{"type":"image","source":{"type":"base64","media_type":"image/png","data":"AAAA"}}`):              "",
		block(`{"type":"image","source":{"type":"url","url":"https://host.example/a.png"}}`):                     "",
		block(`{"type":"image","source":{"type":"file","file_id":"f"}}`):                                         "messages[0].content[0].source",
		block(`{"type":"document","source":{"type":"text","media_type":"text/plain","data":"a"}}`):               "",
		block(`{"type":"document","source":{"type":"base64","media_type":"application/pdf","data":"AAAA"}}`):     "messages[0].content[0].source",
		block(`{"type":"tool_result","content":[{"type":"image","source":{"type":"file","file_id":"f"}}]}`):      "messages[0].content[0].content[0].source",
		block(`{"type":"container_upload","file_id":"f"}`):                                                       "messages[0].content[0]",
	} {
		if p := parsed(t, body).Prompt(func([]byte, int) {}); p.Unbounded != want || p.Plain {
			t.Errorf("%s: got %q unbounded and plain %t, want %q and false", body, p.Unbounded, p.Plain, want)
		}
	}
}

// block returns a call whose message has one content block.
func block(one string) string {
	return `{"model":"m","messages":[{"role":"user","content":[` + one + `]}]}`
}

// Every byte of a body that a model might read is a text, or in Other, Frame or an image: a
// byte in none of them would be free.
func TestPromptMissesNoByteOfTheBody(t *testing.T) {
	for _, body := range []string{
		with(``), with(`"max_tokens":7,"stop_sequences":["one","three"],"metadata":{"user_id":"u"}`),
		with(`"system":"Be brief.","tools":[{"name":"f","description":"d","input_schema":{"type":"object"}}]`),
		with(`"system":[{"type":"text","text":"Be brief."},{"type":"text","text":"Be kind."}]`),
		block(`{"type":"text","text":"a\u00e9b"},{"type":"thinking","thinking":"hm","signature":"c2ln"},{"type":"tool_use","id":"t","name":"f","input":{"x":[1,2]}},"odd"`),
		block(`{"type":"tool_result","tool_use_id":"t","content":"all well"},{"type":"tool_result","tool_use_id":"t","content":[{"type":"text","text":"well"}]}`),
		`{"model":"m","messages":[{"role":"narrator","content":7,"other":{"a":"b"}},{"content":"x"}]}`,
	} {
		var texts int64
		p := parsed(t, body).Prompt(func(_ []byte, length int) { texts += int64(length) })
		if got := texts + p.Other + p.Frame; got < int64(len(body)) {
			t.Errorf("%s: got %d bytes in texts, Other and Frame, want %d or more", body, got, len(body))
		}
	}
	p := parsed(t, with(`"stop_sequences":["one","three"]`)).Prompt(func([]byte, int) {})
	if p.Stop < int64(len("three")) {
		t.Errorf("got the longest stop sequence %d, want 5 or more", p.Stop)
	}
	if p := parsed(t, block(`{"type":"image","source":{"type":"base64","media_type":"image/png","data":"`+strings.Repeat("A", 1000)+`"}}`)).Prompt(func([]byte, int) {}); len(p.Images) != 1 || p.Other > 100 || p.ImagePath != "messages[0].content[0].source" {
		t.Errorf("got %+v, want one image, and its data in nothing else", p)
	}
}

func TestNoCountIsAboveItsBound(t *testing.T) {
	encoding := tokens.ForModel("claude-sonnet-5")
	for _, body := range []string{with(``), with(`"system":"` + strings.Repeat("the time and the place ", 500) + `"`), block(`{"type":"image","source":{"type":"url","url":"u"}}`)} {
		r := parsed(t, body)
		count, err := r.Count(encoding)
		if bound := r.Bound(encoding); err != nil || count > bound || count <= 0 {
			t.Errorf("%.100s: got count %d, %v and bound %d, want a positive count within the bound", body, count, err, bound)
		}
	}
}

func TestWithoutBodyKeepsEnvelopeAndCaps(t *testing.T) {
	r := parsed(t, with(`"stream":true,"max_tokens":9,"speed":"fast"`))
	rest := r.WithoutBody()
	if !reflect.DeepEqual(rest.Envelope(), r.Envelope()) || rest.Caps(operation.CapRules{}) != r.Caps(operation.CapRules{}) || rest.(*request).body != nil {
		t.Errorf("got %+v, want the same without a body", rest)
	}
}

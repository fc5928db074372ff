package response_test

import (
	"bytes"
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"

	"tollgate/handler/operation"
	"tollgate/handler/operation/response"
	"tollgate/handler/tokens"
)

func parse(t *testing.T, body string) operation.Request {
	t.Helper()
	r, err := response.Operation.Parse([]byte(body))
	if err != nil {
		t.Fatalf("parse %s: got error %v, want none", body, err)
	}
	return r
}

func TestParseReadsTheEnvelopeAndTheCap(t *testing.T) {
	keeps := operation.Stored{ContinuesField: "previous_response_id", Keeps: true}
	for body, want := range map[string]operation.Envelope{
		`{"model":"m","input":"hi"}`:                                  {Model: "m", Completions: 1, Stored: keeps},
		`{"input":"hi","stream":true,"store":false}`:                  {Stream: true, Completions: 1, Stored: operation.Stored{ContinuesField: "previous_response_id"}},
		`{"input":"hi","stream":null,"store":null,"background":null}`: {Completions: 1, Stored: keeps},
		`{"input":"hi","conversation":null,"prompt":null,"previous_response_id":null,"tools":null,"instructions":null,"background":false}`: {Completions: 1, Stored: keeps},
		`{"input":"hi","service_tier":null}`:       {Completions: 1, Stored: keeps},
		`{"input":"hi","service_tier":"auto"}`:     {Completions: 1, Stored: keeps},
		`{"input":"hi","service_tier":"flex"}`:     {Completions: 1, Stored: keeps},
		`{"input":"hi","service_tier":"priority"}`: {Dearer: []operation.DearerField{{Name: "service_tier", Priority: true}}, Completions: 1, Stored: keeps},
		`{"input":"hi","service_tier":"canary"}`:   {Dearer: []operation.DearerField{{Name: "service_tier"}}, Completions: 1, Stored: keeps},
		`{"previous_response_id":"resp_1"}`:        {Completions: 1, Stored: operation.Stored{Continues: "resp_1", ContinuesField: "previous_response_id", Keeps: true}},
		`{"prompt":{"id":"pmpt_1"}}`:               {Completions: 1, Stored: operation.Stored{ContinuesField: "previous_response_id", Unowned: "prompt", Keeps: true}},
	} {
		if got := parse(t, body).Envelope(); !reflect.DeepEqual(got, want) {
			t.Errorf("%s: got %+v, want %+v", body, got, want)
		}
	}
	if got := parse(t, `{"input":"hi","max_output_tokens":700}`).Caps(operation.CapRules{NewerCap: true}); got != (operation.Caps{Largest: 700, Obeyed: 700}) {
		t.Errorf("got caps %+v, want 700 in both", got)
	}
}

func TestACompactionHasTheTierOfServiceThatItAsksFor(t *testing.T) {
	r, err := response.Compact.Parse([]byte(`{"input":"hi","service_tier":"priority"}`))
	want := []operation.DearerField{{Name: "service_tier", Priority: true}}
	if err != nil || !slices.Equal(r.Envelope().Dearer, want) {
		t.Errorf("got %+v and error %v, want the dearer fields %+v", r, err, want)
	}
}

func TestParseRefusesInvalidAndAmbiguousBodies(t *testing.T) {
	for body, want := range map[string]string{
		``:                                "the body is empty; send a JSON object with input",
		`[]`:                              "the body is not a JSON object",
		`{"model":"m"}`:                   "input is missing or empty",
		`{"input":[]}`:                    "input is missing or empty",
		`{"input":null}`:                  "input is missing or empty",
		`{"input":7}`:                     "input must be a string or an array",
		`{"input":["hi"]}`:                "input[0] must be an object",
		`{"input":"a","input":"b"}`:       "input",
		`{"input":"a","Input":"b"}`:       "input",
		`{"input":"a","Background":true}`: "background",
		`{"input":"a","STORE":false}`:     "store",
		`{"input":[{"role":"user","Content":"x","content":"y"}]}`:                      "input[0].content",
		`{"input":[{"id":"msg_1","ID":"msg_2","content":"y"}]}`:                        "input[0].id",
		`{"input":"a","max_output_tokens":0}`:                                          "max_output_tokens must be 1 or more",
		`{"input":"a","max_output_tokens":1e3}`:                                        "max_output_tokens must be a whole number",
		`{"input":"a","max_output_tokens":"9"}`:                                        "max_output_tokens must be a whole number",
		`{"input":"a","stream":"true"}`:                                                "stream must be true or false",
		`{"input":"a","store":0}`:                                                      "store must be true or false",
		`{"input":"a","background":1}`:                                                 "background must be true or false",
		`{"input":"a","service_tier":2}`:                                               `service_tier must be a string; leave it out, or send "default"`,
		`{"input":"a","SERVICE_TIER":"priority"}`:                                      "service_tier",
		`{"input":"a","tools":{}}`:                                                     "tools must be an array",
		`{"input":"a","instructions":["x"]}`:                                           "instructions must be a string",
		`{"input":"a","previous_response_id":7}`:                                       "previous_response_id must be a string",
		`{"input":"a"} x`:                                                              "goes on after its JSON object",
		"{\"input\":\"\xff\"}":                                                         "not valid UTF-8",
		`{"input":[` + strings.Repeat(`{"role":"user","content":"x"},`, 4096) + `{}]}`: "input has more than 4096 items",
	} {
		_, err := response.Operation.Parse([]byte(body))
		wrong, ok := errors.AsType[*operation.FieldError](err)
		if !ok || !strings.Contains(wrong.Error(), want) || wrong.Code != "" {
			t.Errorf("%.80s: got error %v, want %q in it and no code of its own", body, err, want)
		}
	}
}

func TestABackgroundResponseIsRefusedWithItsOwnError(t *testing.T) {
	_, err := response.Operation.Parse([]byte(`{"input":"hi","background":true,"stream":true}`))
	wrong, ok := errors.AsType[*operation.FieldError](err)
	if !ok || wrong.Code != "background_not_supported" || wrong.Field != "background" || !strings.Contains(wrong.Error(), "can't be charged") || !strings.Contains(wrong.Fix, "set stream to true") {
		t.Errorf("got error %+v, want code background_not_supported with the reason and the fix", err)
	}
}

func TestStoredContentIsFoundWhereverACallNamesIt(t *testing.T) {
	for body, want := range map[string]string{
		`{"conversation":"conv_1","input":"x"}`:                                                                              "conversation",
		`{"conversation":{"id":"conv_1"},"input":"x"}`:                                                                       "conversation",
		`{"prompt":{"id":"pmpt_1","variables":{}},"input":"x"}`:                                                              "prompt",
		`{"agent_reference":{"name":"a"},"input":"x"}`:                                                                       "agent_reference",
		`{"input":[{"type":"item_reference","id":"msg_1"}]}`:                                                                 "input[0].id",
		`{"input":[{"role":"user","content":"x"},{"id":"msg_1"}]}`:                                                           "input[1].id",
		`{"input":[{"id":"msg_1","type":null}]}`:                                                                             "input[0].id",
		`{"input":[{"type":"reasoning","id":"rs_1","summary":[]}]}`:                                                          "input[0].id",
		`{"input":[{"type":"reasoning","id":"rs_1","encrypted_content":""}]}`:                                                "input[0].id",
		`{"input":[{"type":"web_search_call","id":"ws_1","status":"completed"}]}`:                                            "input[0].id",
		`{"input":[{"type":"image_generation_call","id":"ig_1"}]}`:                                                           "input[0].id",
		`{"input":[{"type":"\u0069tem_reference","id":"msg_1"}]}`:                                                            "input[0].id",
		`{"input":[{"role":"user","content":[{"type":"input_file","file_id":"f"}]}]}`:                                        "input[0].content[0].file_id",
		`{"input":[{"role":"user","content":[{"type":"input_text","text":"x"},{"type":"input_image","\u0066ile_id":"f"}]}]}`: "input[0].content[1].file_id",
		`{"input":[{"type":"function_call_output","call_id":"c","output":[{"type":"input_file","file_id":"f"}]}]}`:           "input[0].output[0].file_id",
		`{"input":[{"type":"computer_call_output","call_id":"c","output":{"type":"computer_screenshot","file_id":"f"}}]}`:    "input[0].output.file_id",
		`{"input":"x","tools":[{"type":"file_search","vector_store_ids":["vs_1"]}]}`:                                         "tools[0].vector_store_ids",
		`{"input":"x","tools":[{"type":"function","name":"f"},{"type":"code_interpreter","container":"cntr_1"}]}`:            "tools[1].container",
		`{"input":"x","tools":[{"type":"code_interpreter","container":{"type":"auto","file_ids":["f"]}}]}`:                   "tools[0].container.file_ids",
		`{"input":"x","tools":[{"type":"shell","environment":{"type":"container_reference","container_id":"c"}}]}`:           "tools[0].environment.container_id",
		`{"input":"x","tools":[{"type":"image_generation","input_image_mask":{"FILE_ID":"f"}}]}`:                             "tools[0].input_image_mask.file_id",
		`{"input":"x","tools":[{"type":"secret name","secret name":{"file_id":"f"}}]}`:                                       "tools[0].file_id",
	} {
		if got := parse(t, body).Envelope().Stored.Unowned; got != want {
			t.Errorf("%s: got %q, want %q", body, got, want)
		}
	}
}

func TestNoStoredContentIsFoundInACallThatHoldsAllItsContent(t *testing.T) {
	for _, body := range []string{
		`{"input":[{"role":"user","content":"x"},{"id":"msg_1","type":"message","role":"assistant","status":"completed","content":[{"type":"output_text","text":"y","annotations":[]}]}]}`,
		`{"input":[{"type":"reasoning","id":"rs_1","summary":[],"encrypted_content":"gAAAA"},{"type":"function_call","id":"fc_1","call_id":"c","name":"f","arguments":"{\"file_id\":\"x\"}"},{"type":"function_call_output","call_id":"c","output":"42"}]}`,
		`{"input":[{"type":"reasoning","summary":[{"type":"summary_text","text":"so"}]}]}`,
		`{"input":[{"role":"user","content":[{"type":"input_file","file_data":"JVBERi0","filename":"a.pdf","file_id":null},{"type":"input_image","image_url":"data:image/png;base64,AA","file_id":""}]}]}`,
		`{"input":"x","tools":[{"type":"function","name":"f","parameters":{"type":"object","properties":{"file_id":{"type":"string"},"ID":{}},"default":{"file_id":"none"}}}]}`,
		`{"input":"x","tools":[{"type":"namespace","tools":[{"type":"function","parameters":{"properties":{"container":{"type":"string"}},"required":["file_id"]}}]},{"type":"code_interpreter","container":{"type":"auto","file_ids":[ ]}},{"type":"web_search"}]}`,
		`{"input":"x","metadata":{"file_id":"f","conversation":"c"}}`,
	} {
		if got := parse(t, body).Envelope().Stored.Unowned; got != "" {
			t.Errorf("%s: got %q, want nothing", body, got)
		}
	}
}

func TestRewriteChangesTheModelAndAddsACapAndNothingElse(t *testing.T) {
	for _, c := range []struct {
		body, want string
		edit       operation.Edit
	}{
		{`{"model":"m", "input" : "x"}`, `{"model":"own", "input" : "x"}`, operation.Edit{Model: "own", AskUsage: true, Enforce: true}},
		{`{"input":"x"}`, `{"model":"own","max_output_tokens":90,"input":"x"}`, operation.Edit{Model: "own", Cap: 90}},
		{`{"model":"m","input":"x","max_output_tokens":null}`, `{"model":"m","input":"x","max_output_tokens":90}`, operation.Edit{Model: "m", Cap: 90}},
		{`{"model":"m","input":"x","max_output_tokens":7}`, `{"model":"m","input":"x","max_output_tokens":7}`, operation.Edit{Model: "m", Cap: 90}},
		{`{"input":"x","stream":true}`, `{"input":"x","stream":true}`, operation.Edit{AskUsage: true}},
	} {
		if got := string(bytes.Join(parse(t, c.body).Rewrite(c.edit), nil)); got != c.want {
			t.Errorf("%s with %+v: got %s, want %s", c.body, c.edit, got, c.want)
		}
	}
}

func TestThePromptNamesTheFirstFieldThatNothingBounds(t *testing.T) {
	for body, want := range map[string]string{
		`{"input":"x","instructions":"y","tools":[{"type":"function"}],"text":{"format":{"type":"json_schema"}},"include":["x"],"reasoning":{"effort":"low"}}`:                                             "",
		`{"input":[{"role":"user","content":[{"type":"input_text","text":"x"},{"type":"input_image","image_url":"https://a/b.png","detail":"low"}]}]}`:                                                     "",
		`{"input":[{"type":"reasoning","encrypted_content":"gAAAA","summary":[{"type":"summary_text","text":"x"}]},{"type":"custom_tool_call","input":"x"},{"type":"function_call_output","output":"x"}]}`: "",
		`{"input":"x","previous_response_id":"resp_1"}`:                                                               "previous_response_id",
		`{"input":"x","conversation":"conv_1"}`:                                                                       "conversation",
		`{"input":"x","prompt":{"id":"p"}}`:                                                                           "prompt",
		`{"input":"x","tools":[{"type":"function"},{"type":"web_search"}]}`:                                           "tools[1]",
		`{"input":[{"role":"user","content":[{"type":"input_file","file_url":"https://a/b.pdf"}]}]}`:                  "input[0].content[0].type",
		`{"input":[{"role":"user","content":[{"type":"input_text","text":"x","file_data":"x"}]}]}`:                    "input[0].content[0]",
		`{"input":[{"role":"user","content":[{"type":"input_image","image_url":"data:application/pdf;base64,AA"}]}]}`: "input[0].content[0].image_url",
		`{"input":[{"type":"mystery","content":"x"}]}`:                                                                "input[0].type",
		`{"input":"x","context_management":[{"type":"compaction"}]}`:                                                  "context_management",
	} {
		if got := parse(t, body).Prompt(func([]byte, int) {}).Unbounded; got != want {
			t.Errorf("%s: got %q, want %q", body, got, want)
		}
	}
}

func TestEachTextIsEmittedOnceAndEveryOtherByteIsCounted(t *testing.T) {
	const body = `{"model":"m","instructions":"be\u0020brief","input":[{"role":"user","content":"one"},{"role":"user","content":[{"type":"input_text","text":"two"},{"type":"input_image","image_url":"https://a/b.png","detail":"low"}]},{"type":"function_call","call_id":"c","name":"f","arguments":"three"},{"type":"function_call_output","call_id":"c","output":"four"},{"type":"custom_tool_call_output","output":[{"type":"input_text","text":"five"}]},{"type":"reasoning","summary":[{"type":"summary_text","text":"six"}],"encrypted_content":"seven"}],"tools":[{"type":"function","name":"f"}]}`
	var texts []string
	length := 0
	p := parse(t, body).Prompt(func(text []byte, n int) { texts, length = append(texts, string(text)), length+n })
	if got, want := strings.Join(texts, "|"), "be brief|one|two|three|four|five|six"; got != want {
		t.Errorf("got texts %q, want %q", got, want)
	}
	if len(p.Images) != 1 || !p.Images[0].Low || p.Images[0].URL != int64(len(`"https://a/b.png"`)) || p.Plain {
		t.Errorf("got images %+v and plain %v, want one image in low detail at a URL, and a prompt that isn't plain", p.Images, p.Plain)
	}
	image := int(p.Images[0].URL)
	if sized := int(p.Other+p.Frame) + length + image; sized < len(body) {
		t.Errorf("got %d bytes in texts, frame, image and other, want the body's %d or more", sized, len(body))
	}
	for _, name := range []string{"gpt-4.1", "DeepSeek-R1", "unheard-of"} {
		encoding := tokens.ForModel(name)
		count, err := parse(t, body).Count(encoding)
		if bound := parse(t, body).Bound(encoding); err != nil || count < 20 || count > bound {
			t.Errorf("%s: got count %d, %v; want 20 or more, at most the bound %d", name, count, err, bound)
		}
	}
}

package charge_test

import (
	"bytes"
	"encoding/json"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"tollgate/handler/charge"
	"tollgate/handler/charge/chargetest"
	"tollgate/handler/operation/chat"
	"tollgate/handler/tokens"
)

func weigh(t *testing.T, body, model string) charge.Prompt {
	t.Helper()
	r, err := chat.Parse([]byte(body))
	if err != nil {
		t.Fatalf("Parse(%s): got %v, want no error", body, err)
	}
	return charge.PromptOf(r, charge.FamilyOf("", model, model))
}

func TestAPlainChatForR1IsCountedExactly(t *testing.T) {
	const messages = `[{"role":"system","content":"Be brief."},{"role":"user","content":"Hi \u00e9"},{"role":"assistant","content":"<think>x</think>y"},{"role":"user","content":""}]`
	want, err := tokens.ForModel("DeepSeek-R1").CountChat([]byte(messages), nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, fields := range []string{``, `"model":"x","temperature":0.7,"stop":["a"],"user":"u","stream":true,"stream_options":{"include_usage":true},"n":2,"max_tokens":9,`,
		`"tools":null,"functions":null,"response_format":null,`} {
		if got := weigh(t, `{`+fields+`"messages":`+messages+`}`, "DeepSeek-R1"); !got.Known || got.Tokens != int64(want) || got.Unbounded != "" {
			t.Errorf("%s: got %+v, want known and %d tokens", fields, got, want)
		}
	}
	for _, model := range []string{"DeepSeek-V3.2", "r1-ptu", "gpt-4o", "deepseek-r1-distill-llama-70b", "my-DeepSeek-R1"} {
		if got := weigh(t, `{"messages":`+messages+`}`, model); got.Known || got.Tokens < int64(want) {
			t.Errorf("%s: got %+v, want a bound of %d tokens or more", model, got, want)
		}
	}
}

// big is a long text to put into unusual fields.
var big = strings.Repeat("word ", 1000)

// Text counts as part of the prompt whatever field it is in: by the model's tokenizer if
// Tollgate has it, and else by its bytes.
func TestATextCountsInWhateverFieldItHides(t *testing.T) {
	text := int64(tokens.ForModel("gpt-4o").Count(big))
	for name, body := range chargetest.Carriers {
		body = strings.ReplaceAll(body, "$", big)
		for _, model := range []string{"DeepSeek-R1", "DeepSeek-V3.2", "gpt-4o", "chat-prod"} {
			got := weigh(t, body, model)
			least := text / 2
			if model == "chat-prod" {
				least = int64(len(big))
			}
			if name == "an image's address" {
				least = int64(len(big)) / 4
			}
			if got.Known || got.Tokens < least {
				t.Errorf("%s, %s: got %+v, want a bound of %d tokens or more", name, model, got, least)
			}
		}
	}
}

func TestTheFieldThatBytesDoNotBoundIsNamed(t *testing.T) {
	const user = `"messages":[{"role":"user","content":"hi"}]`
	part := func(part string) string { return `{"messages":[{"role":"user","content":["a",` + part + `]}]}` }
	for body, want := range map[string]string{
		`{"data_sources":[{"type":"azure_search"}],` + user + `}`:                                           "data_sources",
		`{"dataSources":[],` + user + `}`:                                                                   "dataSources",
		`{"web_search_options":{},` + user + `}`:                                                            "web_search_options",
		`{"enable_search":true,` + user + `}`:                                                               "enable_search",
		`{"enable_search":false,` + user + `}`:                                                              "",
		`{"tools":[{"type":"function","function":{"name":"f"}},{"type":"web_search"}],` + user + `}`:        "tools[1]",
		`{"tools":[{"type":"function","function":{"name":"f"}},{"type":"custom"}],` + user + `}`:            "",
		`{"messages":[{"role":"user","content":"a"},{"role":"assistant","audio":{"id":"audio_1"}}]}`:        "messages[1].audio",
		part(`{"type":"file","file":{"file_id":"f"}}`):                                                      "messages[0].content[1].type",
		part(`{"type":"input_audio","input_audio":{"data":"QUFB","format":"wav"}}`):                         "messages[0].content[1].type",
		part(`{"type":"text","text":"a","file":{"file_data":"x"}}`):                                         "messages[0].content[1].file",
		part(`{"video_url":{"url":"https://x/y.mp4"}}`):                                                     "messages[0].content[1].video_url",
		part(`{"type":"image_url","image_url":{"url":"data:application/pdf;base64,QUFB"}}`):                 "messages[0].content[1].image_url",
		part(`{"type":"image_url","image_url":{"url":"data:image/png;base64,not base64"}}`):                 "messages[0].content[1].image_url",
		part(`{"type":"image_url","image_url":{"file_id":"assistant-1"}}`):                                  "messages[0].content[1].image_url",
		part(`{"type":"image_url","image_url":{"url":"https:\/\/x\/y.png"}}`):                               "",
		part(`{"type":"image_url","image_url":"https://x/y.png"}`):                                          "",
		part(`{"type":"image_url","image_url":{"detail":"low","url":"data:image\/png;base64,QU\/FB+w=="}}`): "",
		part(`7`): "messages[0].content[1]",
	} {
		if got := weigh(t, body, "gpt-4o").Unbounded; got != want {
			t.Errorf("%s: got %q as the unbounded field, want %q", body, got, want)
		}
	}
	image := part(`{"type":"image_url","image_url":{"url":"https://x/y.png"}}`)
	for model, want := range map[string]string{"gpt-4o": "", "gpt-5-mini-2025-08-07": "", "gpt-5.2": "messages[0].content[1].image_url", "chat-prod": "messages[0].content[1].image_url", "DeepSeek-R1": "messages[0].content[1].image_url"} {
		if got := weigh(t, image, model).Unbounded; got != want {
			t.Errorf("an image for %s: got %q as the unbounded field, want %q", model, got, want)
		}
	}
}

// An image counts as the most its model charges, whatever its size in bytes.
func TestAnImageCountsWhatItsModelCharges(t *testing.T) {
	body := func(detail, data string) string {
		return `{"messages":[{"role":"user","content":[{"type":"image_url","image_url":{"url":"data:image/png;base64,` + data + `","detail":"` + detail + `"}}]}]}`
	}
	for model, want := range map[string][2]int64{"gpt-4o": {1445, 85}, "gpt-4o-2024-11-20": {1445, 85}, "gpt-4o-mini": {48169, 2833}, "o1": {1275, 75}, "gpt-4.1-nano": {3779, 3779}, "azure/gpt-5": {1190, 70}} {
		for i, detail := range []string{"high", "low"} {
			got, more := weigh(t, body(detail, ""), model).Tokens, weigh(t, body(detail, strings.Repeat("QUFB", 100_000)), model).Tokens
			if got != more || got < want[i] || got > want[i]+150 {
				t.Errorf("%s, %s: got %d tokens, and %d with 400 KB of data; want from %d to %d, the same for both", model, detail, got, more, want[i], want[i]+150)
			}
		}
	}
}

// The bound holds against an endpoint that bills R1 by its template, and any other
// model by the bytes of the body.
func TestNoBodyIsBilledMoreThanItsBound(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	for range 600 {
		body := chargetest.Body(r)
		request, err := chat.Parse([]byte(body))
		if err != nil {
			continue
		}
		var compact bytes.Buffer
		if err := json.Compact(&compact, []byte(body)); err != nil {
			t.Fatalf("%s: got %v, want valid JSON", body, err)
		}
		for _, model := range []string{"DeepSeek-R1", "DeepSeek-V3.2", "gpt-4o", "gpt-4o-mini", "chat-prod"} {
			billed := int64(compact.Len() / 4)
			if model == "DeepSeek-R1" {
				count, err := tokens.ForModel(model).CountChat(request.Messages, nil)
				if err != nil {
					t.Fatal(err)
				}
				billed = int64(count)
			}
			if got := charge.PromptOf(request, charge.FamilyOf("", model, model)); got.Tokens < billed {
				t.Fatalf("%s: got a bound of %+v, want %d tokens or more, which are billed: %s", model, got, billed, body)
			}
		}
	}
}

func TestTheFamilyComesFromTheModelThatAnswers(t *testing.T) {
	for _, test := range []struct {
		family, own, model         string
		template, tokenizer, newer bool
	}{
		{"", "DeepSeek-R1", "DeepSeek-R1", true, true, false},
		{"", "r1-ptu", "DeepSeek-R1", false, false, false},
		{"DeepSeek-R1", "r1-ptu", "chat", true, true, false},
		{"DeepSeek-V3.2", "DeepSeek-R1", "DeepSeek-R1", false, true, false},
		{"", "chat-prod", "gpt-5-mini", false, false, true},
		{"", "o3-mini", "smart", false, true, true},
		{"o4-mini", "chat-prod", "smart", false, true, true},
		{"gpt-4o", "chat-prod", "o3", false, true, false},
		{"", "chat-prod", "smart", false, false, false},
		{"", "codex-mini", "codex-mini", false, false, true},
		{"", "model-router", "model-router", false, false, true},
		{"", "gpt-4o", "o3", false, true, false},
		{"Llama-3.3-70B-Instruct", "DeepSeek-R1", "DeepSeek-R1", false, false, false},
	} {
		f := charge.FamilyOf(test.family, test.own, test.model)
		if f.Template != test.template || f.Tokenizer != test.tokenizer || f.NewerCap != test.newer {
			t.Errorf("%q, %q, %q: got %+v, want template %v, tokenizer %v, newer cap %v", test.family, test.own, test.model, f, test.template, test.tokenizer, test.newer)
		}
	}
}

func TestACompletionIsBoundedByItsCapOrItsTime(t *testing.T) {
	for _, test := range []struct {
		c    charge.Completion
		want int64
	}{
		{charge.Completion{Choices: 1, Elapsed: 2500 * time.Millisecond, Rate: 100}, 250},
		{charge.Completion{Choices: 3, Cap: 40, Elapsed: 2500 * time.Millisecond, Rate: 100}, 120},
		{charge.Completion{Choices: 3, Cap: 400, Elapsed: 2500 * time.Millisecond, Rate: 100, Prediction: 5}, 765},
		{charge.Completion{Choices: 2, Cap: 400, Reserved: true, Elapsed: time.Millisecond, Rate: 100, Prediction: 5}, 810},
		{charge.Completion{Choices: 1, Cap: 10, Elapsed: time.Second, Rate: 100, Seen: 30}, 30},
		{charge.Completion{Choices: 1 << 62, Cap: 1 << 62, Elapsed: time.Second, Rate: 100, Prediction: 1 << 62, Reserved: true}, 1 << 40},
	} {
		if got := test.c.Bound(); got != test.want {
			t.Errorf("%+v: got %d tokens, want %d", test.c, got, test.want)
		}
	}
}

// Some fields make a model write other tokens than its tokenizer makes from the text, or
// more text than is returned.
func TestACallWithUncountableTokensIsNotKnown(t *testing.T) {
	for fields, unbounded := range map[string]string{
		`"logit_bias":{"5":100}`: "", `"best_of":1`: "", `"best_of":20`: "best_of", `"bestOf":2`: "bestOf", `"use_beam_search":true`: "use_beam_search",
		`"use_beam_search":false`: "", `"num_return_sequences":3`: "num_return_sequences", `"images":["https://x/y.png"]`: "images", `"vector_store_ids":["v"]`: "vector_store_ids",
	} {
		got := weigh(t, `{`+fields+`,"messages":[{"role":"user","content":"hi"}]}`, "DeepSeek-R1")
		if got.Known && !strings.HasSuffix(fields, "false") || got.Unbounded != unbounded {
			t.Errorf("%s: got %+v, want %q unbounded", fields, got, unbounded)
		}
	}
	for content, unbounded := range map[string]string{
		`{"type":"image_url","image_url":{"url":"https://x/y.png"}}`: "",
		`{"type":"file","file":{"file_id":"f"}}`:                     "messages[0].content.type",
		`{"input_audio":{"data":"QUFB"}}`:                            "messages[0].content.input_audio",
		`[[{"type":"file"}]]`:                                        "messages[0].content[0]",
		`{"type":"text","text":"hi"}`:                                "",
	} {
		got := weigh(t, `{"messages":[{"role":"tool","content":`+content+`}]}`, "gpt-4o")
		if got.Known || got.Unbounded != unbounded || strings.Contains(content, "image_url") && got.Tokens < 1445 {
			t.Errorf("%s: got %+v, want it not known, %q unbounded, and 1445 tokens or more for an image", content, got, unbounded)
		}
	}
	if got := weigh(t, `{"messages":[{"role":"user","images":["QUFB"],"content":"hi"}]}`, "gpt-4o").Unbounded; got != "messages[0].images" {
		t.Errorf("a message's images: got %q as the unbounded field, want messages[0].images", got)
	}
	for stop, want := range map[string]int64{`null`: 0, `"abc"`: 3, `["a","abcd",7]`: 4, `[]`: 0} {
		if got := weigh(t, `{"stop":`+stop+`,"messages":[{"role":"user","content":"hi"}]}`, "DeepSeek-R1"); !got.Known || got.Withheld != want {
			t.Errorf("stop %s: got %+v, want it known with %d withheld", stop, got, want)
		}
	}
}

func TestAPromptCountedBeforeIsTheSameAsOneCountedNow(t *testing.T) {
	for _, body := range []string{`{"stop":"abc","messages":[{"role":"user","content":"hi"}]}`, `{"messages":[{"role":"user","content":["hi"]}]}`} {
		r, err := chat.Parse([]byte(body))
		if err != nil {
			t.Fatal(err)
		}
		for _, model := range []string{"DeepSeek-R1", "DeepSeek-V3.2"} {
			f := charge.FamilyOf("", model, model)
			count, err := f.Encoding.CountChat(r.Messages, r.Tools)
			if err != nil {
				t.Fatal(err)
			}
			want := charge.PromptOf(r, f)
			if got, known := charge.Counted(r, f, int64(count)); known != want.Known || known && got != want {
				t.Errorf("%s, %s: got %+v, known %t; want %+v", body, model, got, known, want)
			}
		}
	}
}

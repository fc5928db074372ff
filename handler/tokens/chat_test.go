package tokens_test

import (
	"encoding/json"
	"math/rand/v2"
	"strings"
	"testing"

	"tollgate/handler/tokens"
)

const (
	begin  = "<｜begin▁of▁sentence｜>"
	end    = "<｜end▁of▁sentence｜>"
	user   = "<｜User｜>"
	answer = "<｜Assistant｜>"
	think  = answer + "<think>\n"
)

func TestTheArticlesChatHas25Tokens(t *testing.T) {
	const chat = `[{"role":"system","content":"You are a sarcastic, unhelpful assistant."},{"role":"user","content":"Can you tell me the time, please?"}]`
	for _, model := range []string{"DeepSeek-R1", "deepseek-r1-0528", "azure_ai/DeepSeek-R1"} {
		e := tokens.ForModel(model)
		if got, err := e.CountChat([]byte(chat), nil); got != 25 || err != nil || !e.Exact() {
			t.Errorf("%s: got %d tokens, exact %v, %v; want 25, exact", model, got, e.Exact(), err)
		}
	}
}

// Tool calls as the template renders them. The first call of a chat begins a list, and only
// a second call ends it.
const (
	call1 = "<｜tool▁call▁begin｜>function<｜tool▁sep｜>f\n```json\n{\"a\":1}\n```<｜tool▁call▁end｜>"
	call2 = "<｜tool▁call▁begin｜>function<｜tool▁sep｜>g\n```json\n{}\n```<｜tool▁call▁end｜>"
	calls = `"tool_calls":[{"id":"1","type":"function","function":{"name":"f","arguments":"{\"a\":1}"}},{"type":"function","function":{"arguments":"{}","name":"g"}}]`
)

func TestChatsAreRenderedLikeTheTemplate(t *testing.T) {
	for chat, want := range map[string]string{
		`[]`:                              begin + think,
		`[{"role":"user","content":"a"}]`: begin + user + "a" + think,
		` [ { "content" : "a" , "role" : "user" } , {"role":"system","content":"s"} ] `:                         begin + "s" + user + "a" + think,
		`[{"role":"system","content":"s"},{"role":"user","content":"a"},{"role":"system","content":""}]`:        begin + "s\n\n" + user + "a" + think,
		`[{"role":"developer","content":"s"},{"role":"critic","content":"a"}]`:                                  begin + "s" + think,
		`[{"role":"assistant","content":"<think>x</think>y</think>z"}]`:                                         begin + answer + "z" + end + think,
		`[{"role":"assistant","content":"<think>x"}]`:                                                           begin + answer + "<think>x" + end + think,
		`[{"role":"user","content":null},{"role":"user"}]`:                                                      begin + user + user + think,
		`[{"role":"user","content":["a",{"type":"text","text":"b"},{"type":"x"},{"type":"text","text":"\n"}]}]`: begin + user + "ab\n" + think,
		`[{"role":"user","name":"n","content":"\"\\\/\b\f\n\r\t\u00e9\ud83d\ude00"}]`:                           begin + user + "\"\\/\b\f\n\r\té😀" + think,
		`[{"role":"user","content":"\ud83dx\ude00\ud83d\ud83d\ude00\ud83d"}]`:                                   begin + user + "\uFFFDx\uFFFD\uFFFD😀\uFFFD" + think,
		`[{"role":"assistant","content":null,` + calls + `}]`:                                                   begin + answer + "<｜tool▁calls▁begin｜>" + call1 + "\n" + call2 + "<｜tool▁calls▁end｜>" + end + think,
		`[{"role":"assistant",` + calls + `,"content":"a"}]`:                                                    begin + answer + "a" + end + think,
		`[{"ro\u006ce":"\u0075ser","\u0063ontent":"a","content\u0000":"b"}]`:                                    begin + user + "a" + think,
		`[{"role":"assistant","tool_calls":[{},{"type":"custom"}]}]`:                                            begin + think,
		`[{"role":"assistant","content":null}]`:                                                                 begin + think,
		`[{"role":"tool","content":"1"},{"role":"tool","content":"2"}]`:                                         begin + "<｜tool▁outputs▁begin｜><｜tool▁output▁begin｜>1<｜tool▁output▁end｜>\n<｜tool▁output▁begin｜>2<｜tool▁output▁end｜><｜tool▁outputs▁end｜>",
		`[{"role":"tool","content":"1"},{"role":"assistant","content":"<think>x</think>a"}]`:                    begin + "<｜tool▁outputs▁begin｜><｜tool▁output▁begin｜>1<｜tool▁output▁end｜><｜tool▁outputs▁end｜><think>x</think>a" + end + think,
	} {
		if got, err := tokens.ForModel("DeepSeek-R1").Rendered([]byte(chat)); got != want || err != nil {
			t.Errorf("%s: got\n%q, %v; want\n%q", chat, got, err, want)
		}
	}
	chat := []byte(`[{"role":"assistant","content":"<think>x</think>y"}]`)
	if got, _ := tokens.ForModel("DeepSeek-V3").Rendered(chat); got != begin+answer+"<think>x</think>y"+end+answer {
		t.Errorf("V3: got %q, want the thought kept and none begun", got)
	}
}

func TestImagesAndToolsCountInAdditionToTheText(t *testing.T) {
	e := tokens.ForModel("DeepSeek-R1")
	const image = `{"type":"image_url","image_url":{"url":"data:image/png;base64,AAAAAAAAAAAAAAAA"}}`
	chat := `[{"role":"user","content":[{"type":"text","text":"a"},` + image + `,` + image + `]}]`
	plain, _ := e.CountChat([]byte(`[{"role":"user","content":"a"}]`), nil)
	if got, err := e.CountChat([]byte(chat), nil); got != plain+2*tokens.ImageTokens || err != nil {
		t.Errorf("with two images: got %d, %v; want %d", got, err, plain+2*tokens.ImageTokens)
	}
	const tools = `[{"type":"function","function":{"name":"f"}}]`
	if got, _ := e.CountChat([]byte(`[{"role":"user","content":"a"}]`), []byte(tools)); got != plain+e.Count(tools) {
		t.Errorf("with tools: got %d, want %d", got, plain+e.Count(tools))
	}
}

func TestMalformedMessagesAreAnError(t *testing.T) {
	for _, chat := range []string{``, `{}`, `null`, `"a"`, `[1]`, `[[]]`, `[`, `[{`, `[{]`, `[{}`, `[{"role"`, `[{"role":`, `[{"role":"user`, `[{"role":"user\"`, `[{"role":{"a":[}]`, `[{role:1}]`, `[{"a":1 "b"]`} {
		for _, model := range []string{"DeepSeek-R1", "gpt-4"} {
			if got, err := tokens.ForModel(model).CountChat([]byte(chat), nil); err == nil || !strings.Contains(err.Error(), "messages") {
				t.Errorf("%s, %q: got %d, %v; want an error about messages", model, chat, got, err)
			}
		}
	}
}

func TestAnOpenAIChatCountsLikeTheCookbook(t *testing.T) {
	// The chat and its counts are from the OpenAI cookbook's page on tiktoken.
	const chat = `[
		{"role": "system", "content": "You are a helpful, pattern-following assistant that translates corporate jargon into plain English."},
		{"role": "system", "name": "example_user", "content": "New synergies will help drive top-line growth."},
		{"role": "system", "name": "example_assistant", "content": "Things working well together will increase revenue."},
		{"role": "system", "name": "example_user", "content": "Let's circle back when we have more bandwidth to touch base on opportunities for increased leverage."},
		{"role": "system", "name": "example_assistant", "content": "Let's talk later when we're less busy about how to do better."},
		{"role": "user", "content": "This late pivot means we don't have time to boil the ocean for the client deliverable."}]`
	for model, want := range map[string]int{"gpt-35-turbo": 129, "gpt-4-0613": 129, "gpt-4o": 124, "gpt-4o-mini-2024-07-18": 124} {
		if got, err := tokens.ForModel(model).CountChat([]byte(chat), nil); got != want || err != nil {
			t.Errorf("%s: got %d tokens, %v; want %d", model, got, err, want)
		}
	}
}

func TestNoChatHasMoreTokensThanItsBound(t *testing.T) {
	r := rand.New(rand.NewPCG(13, 14))
	pick := func(texts ...string) string { return texts[r.IntN(len(texts))] }
	text := func() string {
		quoted, err := json.Marshal(pick("", "\u0301\u0301", "�", "\n\n", "~", randomText(r, 1+r.IntN(40))))
		if err != nil {
			t.Fatal(err)
		}
		return string(quoted)
	}
	call := func() string {
		return pick(`{}`, `{"function":{}}`, `{"type":"function","function":{"name":`+text()+`,"arguments":`+text()+`}}`)
	}
	message := func() string {
		content := pick(text(), `null`, `[]`, `[`+text()+`,{"text":`+text()+`}]`, `[{"im\u0061ge_url":0},{"type":"image_url","image_url":{"url":"x"}}]`)
		role := pick(`"user"`, `"system"`, `"assistant"`, `"tool"`, `"developer"`, text())
		return pick(`{}`, `{"role":`+role+`}`, `{"role":`+role+`,"content":`+content+`}`, `{"role":`+role+`,"name":`+text()+`,"content":`+content+`}`,
			`{"role":"assistant","tool_calls":[`+call()+`,`+call()+`,`+call()+`]}`)
	}
	for range rounds(3000) {
		chat := `[` + message() + `,` + message() + `,` + message() + `]`
		for _, model := range []string{"DeepSeek-R1", "DeepSeek-V3", "gpt-4", "gpt-4o"} {
			e := tokens.ForModel(model)
			got, err := e.CountChat([]byte(chat), []byte(`[{}]`))
			if bound := e.Bound([]byte(chat), []byte(`[{}]`)); err != nil || got > bound {
				t.Fatalf("%s: got %d tokens, %v; want at most the bound of %d: %s", model, got, err, bound, chat)
			}
		}
	}
	for _, model := range []string{"DeepSeek-R1", "gpt-4"} {
		if e := tokens.ForModel(model); e.Bound([]byte(`[]`), nil) > 6 {
			t.Errorf("%s: got bound %d for an empty chat, want 6 at most", model, e.Bound([]byte(`[]`), nil))
		}
	}
}

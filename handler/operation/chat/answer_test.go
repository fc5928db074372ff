package chat

import (
	"strings"
	"testing"

	"tollgate/handler/limit"
	"tollgate/handler/operation"
)

// usageForms are answers with usage as servers send it, well or badly formed.
var usageForms = map[string]struct {
	body   string
	report operation.Report
	want   limit.Usage
}{
	"as upstream sends it": {
		`{"choices":[{"message":{"content":"hi"}}],"usage":{"prompt_tokens":25,"completion_tokens":233,"total_tokens":258}}`,
		operation.UsageGood, limit.Usage{PromptTokens: 25, CompletionTokens: 233}},
	"with details": {
		`{"usage":{"prompt_tokens":25,"completion_tokens":233,"total_tokens":258,"completion_tokens_details":{"audio_tokens":null,"reasoning_tokens":200},"prompt_tokens_details":{"cached_tokens":16}}}`,
		operation.UsageGood, limit.Usage{PromptTokens: 25, CompletionTokens: 233, CachedTokens: 16, ReasoningTokens: 200}},
	"with cached tokens and a cache write": {
		`{"usage":{"prompt_tokens":1100,"completion_tokens":20,"total_tokens":1120,"prompt_tokens_details":{"audio_tokens":0,"cached_tokens":1024,"cache_write_tokens":60}}}`,
		operation.UsageGood, limit.Usage{PromptTokens: 1100, CompletionTokens: 20, CachedTokens: 1024, CacheWriteTokens: 60}},
	"with DeepSeek's cache hits": {
		`{"usage":{"prompt_tokens":100,"completion_tokens":20,"total_tokens":120,"prompt_cache_hit_tokens":64,"prompt_cache_miss_tokens":36}}`,
		operation.UsageGood, limit.Usage{PromptTokens: 100, CompletionTokens: 20, CachedTokens: 64}},
	"with cached tokens at the top": {
		`{"usage":{"prompt_tokens":100,"completion_tokens":20,"total_tokens":120,"cached_tokens":64}}`,
		operation.UsageGood, limit.Usage{PromptTokens: 100, CompletionTokens: 20, CachedTokens: 64}},
	"with parts that can't be true": {
		`{"usage":{"prompt_tokens":10,"completion_tokens":20,"total_tokens":30,"prompt_tokens_details":{"cached_tokens":11,"cache_write_tokens":-1},"completion_tokens_details":{"reasoning_tokens":21}}}`,
		operation.UsageGood, limit.Usage{PromptTokens: 10, CompletionTokens: 20}},
	"with parts of the wrong type": {
		`{"usage":{"prompt_tokens":10,"completion_tokens":20,"total_tokens":30,"prompt_tokens_details":{"cached_tokens":"5","cache_write_tokens":1.5},"completion_tokens_details":[3]}}`,
		operation.UsageGood, limit.Usage{PromptTokens: 10, CompletionTokens: 20}},
	"with cached tokens and no prompt": {
		`{"usage":{"prompt_tokens":0,"completion_tokens":20,"prompt_tokens_details":{"cached_tokens":5}}}`,
		operation.UsageGood, limit.Usage{CompletionTokens: 20}},
	"with reasoning that the completion leaves out": {
		`{"usage":{"prompt_tokens":32,"completion_tokens":9,"total_tokens":135,"completion_tokens_details":{"reasoning_tokens":94}}}`,
		operation.UsageGood, limit.Usage{PromptTokens: 32, CompletionTokens: 103, ReasoningTokens: 94}},
	"with reasoning alone": {
		`{"choices":[{"message":{"reasoning_content":"hm"}}],"usage":{"prompt_tokens":32,"completion_tokens":0,"total_tokens":126,"completion_tokens_details":{"reasoning_tokens":94}}}`,
		operation.UsageGood, limit.Usage{PromptTokens: 32, CompletionTokens: 94, ReasoningTokens: 94}},
	"with a total of its own": {
		`{"usage":{"prompt_tokens":32,"completion_tokens":9,"total_tokens":999,"completion_tokens_details":{"reasoning_tokens":94}}}`,
		operation.UsageGood, limit.Usage{PromptTokens: 32, CompletionTokens: 967, ReasoningTokens: 94}},
	"with a total above the sum": {
		`{"usage":{"prompt_tokens":20,"completion_tokens":198,"total_tokens":623}}`,
		operation.UsageGood, limit.Usage{PromptTokens: 20, CompletionTokens: 603}},
	"with reasoning at the top": {
		`{"usage":{"prompt_tokens":12,"completion_tokens":1,"reasoning_tokens":97,"total_tokens":110}}`,
		operation.UsageGood, limit.Usage{PromptTokens: 12, CompletionTokens: 98, ReasoningTokens: 97}},
	"with reasoning that the completion can't include, and no total": {
		`{"usage":{"prompt_tokens":12,"completion_tokens":1,"completion_tokens_details":{"reasoning_tokens":97}}}`,
		operation.UsageGood, limit.Usage{PromptTokens: 12, CompletionTokens: 98, ReasoningTokens: 97}},
	"with a total below the sum": {
		`{"usage":{"prompt_tokens":12,"completion_tokens":10,"total_tokens":15}}`,
		operation.UsageGood, limit.Usage{PromptTokens: 12, CompletionTokens: 10}},
	"with a total of 0": {
		`{"usage":{"prompt_tokens":12,"completion_tokens":10,"total_tokens":0}}`,
		operation.UsageGood, limit.Usage{PromptTokens: 12, CompletionTokens: 10}},
	"with a total above the completion, and a prompt of 0": {
		`{"usage":{"prompt_tokens":0,"completion_tokens":75,"total_tokens":100}}`,
		operation.UsageGood, limit.Usage{PromptTokens: 25, CompletionTokens: 75}},
	"in whole floats": {
		`{"usage":{"prompt_tokens":300.0,"completion_tokens":7e2,"total_tokens":1.000E+3}}`,
		operation.UsageGood, limit.Usage{PromptTokens: 300, CompletionTokens: 700}},
	"in the first choice": {
		`{"choices":[{"index":0,"message":{"content":"hi"},"usage":{"prompt_tokens":25,"completion_tokens":3,"total_tokens":28}}]}`,
		operation.UsageGood, limit.Usage{PromptTokens: 25, CompletionTokens: 3}},
	"in the first choice, and null at the top": {
		`{"usage":null,"choices":[{"message":{"content":"hi"},"usage":{"prompt_tokens":25,"completion_tokens":3}}]}`,
		operation.UsageGood, limit.Usage{PromptTokens: 25, CompletionTokens: 3}},
	"in each choice": {
		`{"choices":[{"index":0,"usage":{"prompt_tokens":25,"completion_tokens":3}},{"index":1,"usage":{"prompt_tokens":25,"completion_tokens":4}}]}`,
		operation.UsageGood, limit.Usage{PromptTokens: 25, CompletionTokens: 7}},
	"in a choice and at the top": {
		`{"choices":[{"usage":{"prompt_tokens":25,"completion_tokens":3}}],"usage":{"prompt_tokens":25,"completion_tokens":9}}`,
		operation.UsageGood, limit.Usage{PromptTokens: 25, CompletionTokens: 9}},
	"in a choice, with no completion despite text": {
		`{"choices":[{"message":{"content":"hi"},"usage":{"prompt_tokens":25,"completion_tokens":0}}]}`,
		operation.UsageMissing, limit.Usage{}},
	"after a byte order mark": {
		"\xEF\xBB\xBF" + `{"usage":{"prompt_tokens":300,"completion_tokens":700}}`,
		operation.UsageGood, limit.Usage{PromptTokens: 300, CompletionTokens: 700}},
	"with NaN and infinities": {
		`{"choices":[{"logprobs":{"content":[{"logprob":NaN},{"logprob":-Infinity},{"logprob":inf}]}}],"usage":{"prompt_tokens":300,"completion_tokens":700}}`,
		operation.UsageGood, limit.Usage{PromptTokens: 300, CompletionTokens: 700}},
	"with a line break inside a string": {
		"{\"choices\":[{\"message\":{\"content\":\"a\nb\"}}],\"usage\":{\"prompt_tokens\":300,\"completion_tokens\":700}}",
		operation.UsageGood, limit.Usage{PromptTokens: 300, CompletionTokens: 700}},
	"before something that isn't JSON": {
		`{"usage":{"prompt_tokens":300,"completion_tokens":700}}` + "\x00<!-- -->",
		operation.UsageGood, limit.Usage{PromptTokens: 300, CompletionTokens: 700}},
	"in the second of two objects": {
		`{"choices":[{"message":{"content":"hi"}}]}` + "\n" + `{"usage":{"prompt_tokens":300,"completion_tokens":700}}`,
		operation.UsageGood, limit.Usage{PromptTokens: 300, CompletionTokens: 700}},
	"in an array": {
		`[{"choices":[],"usage":{"prompt_tokens":300,"completion_tokens":700}}]`,
		operation.UsageGood, limit.Usage{PromptTokens: 300, CompletionTokens: 700}},
	"with deeply nested data": {
		`{"x":` + strings.Repeat(`{"a":`, 100) + "1" + strings.Repeat("}", 100) + `,"usage":{"prompt_tokens":300,"completion_tokens":700}}`,
		operation.UsageGood, limit.Usage{PromptTokens: 300, CompletionTokens: 700}},
	"with details of null":       {`{"usage":{"prompt_tokens":1,"completion_tokens":2,"total_tokens":3,"completion_tokens_details":null}}`, operation.UsageGood, limit.Usage{PromptTokens: 1, CompletionTokens: 2}},
	"with negative details":      {`{"usage":{"prompt_tokens":1,"completion_tokens":2,"total_tokens":3,"completion_tokens_details":{"reasoning_tokens":-9}}}`, operation.UsageGood, limit.Usage{PromptTokens: 1, CompletionTokens: 2}},
	"without a total":            {`{"usage":{"prompt_tokens":1,"completion_tokens":2}}`, operation.UsageGood, limit.Usage{PromptTokens: 1, CompletionTokens: 2}},
	"without a completion":       {`{"usage":{"prompt_tokens":1,"total_tokens":3}}`, operation.UsageGood, limit.Usage{PromptTokens: 1, CompletionTokens: 2}},
	"without a prompt":           {`{"usage":{"completion_tokens":2,"total_tokens":3}}`, operation.UsageGood, limit.Usage{PromptTokens: 1, CompletionTokens: 2}},
	"no completion, and no text": {`{"choices":[{"message":{"content":""}}],"usage":{"prompt_tokens":7,"completion_tokens":0,"total_tokens":7}}`, operation.UsageGood, limit.Usage{PromptTokens: 7}},
	"none":                       {`{"choices":[]}`, operation.UsageMissing, limit.Usage{}},
	"null":                       {`{"usage":null}`, operation.UsageNull, limit.Usage{}},
	"a string":                   {`{"usage":"1"}`, operation.UsageBad, limit.Usage{}},
	"empty":                      {`{"usage":{}}`, operation.UsageBad, limit.Usage{}},
	"all zeros":                  {`{"usage":{"prompt_tokens":0,"completion_tokens":0,"total_tokens":0}}`, operation.UsageBad, limit.Usage{}},
	"negative":                   {`{"usage":{"prompt_tokens":5,"completion_tokens":-2,"total_tokens":3}}`, operation.UsageBad, limit.Usage{}},
	"with a fraction":            {`{"usage":{"prompt_tokens":5.5,"completion_tokens":2}}`, operation.UsageBad, limit.Usage{}},
	"too large":                  {`{"usage":{"prompt_tokens":5,"completion_tokens":2147483649}}`, operation.UsageBad, limit.Usage{}},
	"beyond 64 bits":             {`{"usage":{"prompt_tokens":5,"completion_tokens":99999999999999999999}}`, operation.UsageBad, limit.Usage{}},
	"counts that are strings":    {`{"usage":{"prompt_tokens":"5","completion_tokens":2,"total_tokens":7}}`, operation.UsageBad, limit.Usage{}},
	"a total below the prompt":   {`{"usage":{"prompt_tokens":5,"total_tokens":3}}`, operation.UsageBad, limit.Usage{}},
	"only a total":               {`{"usage":{"total_tokens":3}}`, operation.UsageBad, limit.Usage{}},
	"inside the answer's text":   {`{"choices":[{"message":{"content":"\"usage\":{\"prompt_tokens\":1,\"completion_tokens\":1}"}}]}`, operation.UsageMissing, limit.Usage{}},
	"inside another field":       {`{"x":{"usage":{"prompt_tokens":1,"completion_tokens":1}}}`, operation.UsageMissing, limit.Usage{}},
	"no completion despite text": {
		`{"usage":{"prompt_tokens":7,"completion_tokens":0},"choices":[{"message":{"content":"hi"}}]}`, operation.UsageBad, limit.Usage{PromptTokens: 7}},
}

func TestReadAnswerReadsUsageInEachServersForm(t *testing.T) {
	for name, c := range usageForms {
		t.Run(name, func(t *testing.T) {
			a := ReadAnswer([]byte(c.body), nil)
			if a.Report != c.report || a.Usage != c.want {
				t.Errorf("got %v %+v, want %v %+v", a.Report, a.Usage, c.report, c.want)
			}
		})
	}
}

// An answer may have no text: the prompt was filtered, or the model had nothing to
// say.
func TestABodyIsAnAnswerOnlyWithChoicesUsageOrAnError(t *testing.T) {
	const usage = `"usage":{"prompt_tokens":7,"completion_tokens":0,"total_tokens":7}`
	for body, want := range map[string]bool{
		`{"choices":[{"index":0,"message":{"role":"assistant","content":"hi"},"finish_reason":"stop"}]}`: true,
		`{"choices":[{"message":{"content":""},"finish_reason":"stop"}],` + usage + `}`:                  true,
		`{"choices":[{"message":{"content":null},"finish_reason":"content_filter"}]}`:                    true,
		`{"choices":[{"message":{"content":null,"tool_calls":[{"function":{"name":"f"}}]}}]}`:            true,
		`{"choices":[{"message":{"content":"hi"}}]} trailing`:                                            true,
		`{"choices":[{"message":{"content":"hi"}}]}{"choices":[]}`:                                       true,
		`[{"choices":[{"message":{"content":"hi"}}]}]`:                                                   true,
		`{"choices":[{"message":{"content":"hi`:                                                          true,
		`{"choices":[],` + usage + `}`:                                                                   true,
		`{"error":{"message":"overloaded"}}`:                                                             true,
		`[{"error":{"code":503}}]`:                                                                       true,
		`{"choices":[]}`:                                                                                 false,
		`{"choices":{},` + usage + `}`:                                                                   false,
		`{"choices":null}`:                                                                               false,
		`{"choices":[null,"hi",7]}`:                                                                      false,
		`{"choices":"hi"}`:                                                                               false,
		`{"x":{"choices":[{"message":{"content":"hi"}}]}}`:                                               false,
		`{` + usage + `}`:                                                                                false,
		`{"error":null}`:                                                                                 false,
		`{"detail":"Internal error"}`:                                                                    false,
		`{"code":"DataInspectionFailed","message":"x"}`:                                                  false,
		`{}`: false, `[]`: false, `["hi"]`: false, `null`: false, `"hi"`: false, `7`: false,
		"": false, "\n\n \n": false, "\xEF\xBB\xBF": false, "junk": false, "<html></html>": false, "\x1f\x8b\x08": false, "\x00": false,
		strings.Repeat(`{"a":`, 1<<20): false,
	} {
		if a := ReadAnswer([]byte(body), nil); a.IsAnswer != want {
			t.Errorf("%.80q: got IsAnswer %t, want %t", body, a.IsAnswer, want)
		}
	}
}

func TestReadAnswerReportsWhatItCouldNotRead(t *testing.T) {
	for body, want := range map[string]bool{
		`{"choices":[]}`: false, " \n": false, `{"a":NaN}`: false, `[{}]{}`: false,
		`{"choices":[`: true, `{"a":1}x`: true, `{"usage":{"prompt_tokens":}}`: true, "<html>": true, `{'choices':[]}`: true,
	} {
		if a := ReadAnswer([]byte(body), nil); a.Unread != want {
			t.Errorf("%q: got Unread %t, want %t", body, a.Unread, want)
		}
	}
}

func TestReadAnswerReportsAnError(t *testing.T) {
	for body, want := range map[string]bool{
		`{"error":{"message":"no"}}`:               true,
		`{"error":"no"}`:                           true,
		`{"error":null,"choices":[]}`:              false,
		`{"error":false,"choices":[]}`:             false,
		`{"error":"","choices":[]}`:                false,
		`{"error":"null","choices":[]}`:            false,
		`{"error":{},"choices":[]}`:                false,
		`{"error":[],"choices":[]}`:                false,
		`{"error":0,"choices":[]}`:                 false,
		`{"error":{"code":0,"message":" "}}`:       false,
		`{"error":{"code":null,"message":"None"}}`: false,
		`{"error":true}`:                           true,
		`{"error":503}`:                            true,
		`{"error":[{"code":503}]}`:                 true,
		`{"choices":[{"error":{"a":1}}]}`:          false,
		`{"error":{"code":"0k"},"choices":[{"message":{"content":"hi"}}]}`: false, // there is an answer
	} {
		if a := ReadAnswer([]byte(body), nil); a.Failed != want {
			t.Errorf("%s: got Failed %v, want %v", body, a.Failed, want)
		}
	}
}

func TestReadAnswerPassesOnAllTextOfTheModel(t *testing.T) {
	body := []byte(`{"choices":[
		{"message":{"role":"assistant","reasoning_content":"hm \ud83d\ude00","content":"a\nb","refusal":null},"index":1},
		{"index":0,"message":{"content":null,"tool_calls":[{"id":"x","function":{"name":"f","arguments":"{\"q\":1}"}},7]}},
		{"message":{"content":["no text"],"function_call":{"name":"g","arguments":""}}},
		"junk"],"x":{"content":"not text"}}`)
	got := make(map[int64]string)
	read := !ReadAnswer(body, func(choice int64, text []byte) { got[choice] += string(text) + "|" }).Unread
	if got[1] != "hm 😀|a\nb|" || got[0] != `f|{"q":1}|g|` || len(got) != 2 || !read {
		t.Errorf("got %v, read %t; want %q of choice 0 and %q of choice 1, all read", got, read, `f|{"q":1}|g|`, "hm 😀|a\nb|")
	}
}

func TestReadAnswerFindsTextOnceUnderAnyServersName(t *testing.T) {
	for body, want := range map[string]string{
		`{"choices":[{"delta":{"reasoning":"hm"}}]}`:                                                                                    "hm",
		`{"choices":[{"delta":{"content":"a","reasoning":null,"reasoning_content":"hm"}}]}`:                                             "ahm",
		`{"choices":[{"delta":{"reasoning":"hm","reasoning_content":"hm","reasoning_details":[{"text":"hm"}]}}]}`:                       "hm",
		`{"choices":[{"delta":{"reasoning":"","reasoning_content":"hm"}}]}`:                                                             "hm",
		`{"choices":[{"delta":{"content":"a"},"message":null}]}`:                                                                        "a",
		`{"choices":[{"delta":null,"message":{"content":"a"}}]}`:                                                                        "a",
		`{"choices":[{"delta":{"tool_calls":[{"type":"custom","custom":{"name":"f","input":"x y"}}]}}]}`:                                "fx y",
		`{"choices":[{"delta":{"content":[{"type":"thinking","thinking":[{"type":"text","text":"hm"}]},{"type":"text","text":"a"}]}}]}`: "hma",
	} {
		var got string
		ReadAnswer([]byte(body), func(_ int64, text []byte) { got += string(text) })
		if got != want {
			t.Errorf("%s: got %q, want %q", body, got, want)
		}
	}
}

func TestReadAnswerReadsAnAnswerUpToWhereItBreaksOff(t *testing.T) {
	const whole = `{"id":"1","choices":[{"index":0,"message":{"role":"assistant","reasoning_content":"hm\n\u00e9","content":"a \"b\" c"}}],"usage":{}}`
	const text = "hm\né" + `a "b" c`
	before := ""
	for end := range len(whole) + 1 {
		var got string
		read := !ReadAnswer([]byte(whole[:end]), func(_ int64, piece []byte) { got += string(piece) }).Unread
		if !strings.HasPrefix(text, got) || len(got) < len(before) || read != (end == 0 || end == len(whole)) {
			t.Errorf("%q: got %q, read %t; want a beginning of %q, no shorter than %q", whole[:end], got, read, text, before)
		}
		before = got
	}
	if before != text {
		t.Errorf("the whole answer: got %q, want %q", before, text)
	}
	if a := ReadAnswer([]byte("<html>"), func(int64, []byte) { t.Error("got text of HTML, want none") }); !a.Unread {
		t.Errorf("HTML: got %+v, want it unread", a)
	}
}

package chat

import (
	"errors"
	"strings"
	"testing"
)

func TestReadAnswerTellsUsage(t *testing.T) {
	for name, c := range map[string]struct {
		body   string
		report Report
		want   Usage
	}{
		"as upstream sends it": {
			`{"choices":[{"message":{"content":"hi"}}],"usage":{"prompt_tokens":25,"completion_tokens":233,"total_tokens":258}}`,
			UsageTold, Usage{25, 233, 258, 0, 0}},
		"with details": {
			`{"usage":{"prompt_tokens":25,"completion_tokens":233,"total_tokens":258,"completion_tokens_details":{"audio_tokens":null,"reasoning_tokens":200},"prompt_tokens_details":{"cached_tokens":16}}}`,
			UsageTold, Usage{25, 233, 258, 200, 16}},
		"with reasoning beside the completion": {
			`{"usage":{"prompt_tokens":32,"completion_tokens":9,"total_tokens":135,"completion_tokens_details":{"reasoning_tokens":94}}}`,
			UsageTold, Usage{32, 103, 135, 94, 0}},
		"with reasoning alone": {
			`{"choices":[{"message":{"reasoning_content":"hm"}}],"usage":{"prompt_tokens":32,"completion_tokens":0,"total_tokens":126,"completion_tokens_details":{"reasoning_tokens":94}}}`,
			UsageTold, Usage{32, 94, 126, 94, 0}},
		"with a total of its own": {
			`{"usage":{"prompt_tokens":32,"completion_tokens":9,"total_tokens":999,"completion_tokens_details":{"reasoning_tokens":94}}}`,
			UsageTold, Usage{32, 9, 999, 94, 0}},
		"with details of null":       {`{"usage":{"prompt_tokens":1,"completion_tokens":2,"total_tokens":3,"completion_tokens_details":null}}`, UsageTold, Usage{1, 2, 3, 0, 0}},
		"with details that can't be": {`{"usage":{"prompt_tokens":1,"completion_tokens":2,"total_tokens":3,"completion_tokens_details":{"reasoning_tokens":-9}}}`, UsageTold, Usage{1, 2, 3, 0, 0}},
		"without a total":            {`{"usage":{"prompt_tokens":1,"completion_tokens":2}}`, UsageTold, Usage{1, 2, 3, 0, 0}},
		"without a completion":       {`{"usage":{"prompt_tokens":1,"total_tokens":3}}`, UsageTold, Usage{1, 2, 3, 0, 0}},
		"without a prompt":           {`{"usage":{"completion_tokens":2,"total_tokens":3}}`, UsageTold, Usage{1, 2, 3, 0, 0}},
		"no completion, for no text": {`{"choices":[{"message":{"content":""}}],"usage":{"prompt_tokens":7,"completion_tokens":0,"total_tokens":7}}`, UsageTold, Usage{7, 0, 7, 0, 0}},
		"none":                       {`{"choices":[]}`, UsageMissing, Usage{}},
		"null":                       {`{"usage":null}`, UsageNull, Usage{}},
		"a string":                   {`{"usage":"1"}`, UsageBad, Usage{}},
		"empty":                      {`{"usage":{}}`, UsageBad, Usage{}},
		"all zeros":                  {`{"usage":{"prompt_tokens":0,"completion_tokens":0,"total_tokens":0}}`, UsageBad, Usage{}},
		"negative":                   {`{"usage":{"prompt_tokens":5,"completion_tokens":-2,"total_tokens":3}}`, UsageBad, Usage{}},
		"fractional":                 {`{"usage":{"prompt_tokens":5.5,"completion_tokens":2}}`, UsageBad, Usage{}},
		"absurd":                     {`{"usage":{"prompt_tokens":5,"completion_tokens":2147483649}}`, UsageBad, Usage{}},
		"beyond 64 bits":             {`{"usage":{"prompt_tokens":5,"completion_tokens":99999999999999999999}}`, UsageBad, Usage{}},
		"counts that are strings":    {`{"usage":{"prompt_tokens":"5","completion_tokens":2,"total_tokens":7}}`, UsageBad, Usage{}},
		"a total below the prompt":   {`{"usage":{"prompt_tokens":5,"total_tokens":3}}`, UsageBad, Usage{}},
		"only a total":               {`{"usage":{"total_tokens":3}}`, UsageBad, Usage{}},
		"inside the answer's text":   {`{"choices":[{"message":{"content":"\"usage\":{\"prompt_tokens\":1,\"completion_tokens\":1}"}}]}`, UsageMissing, Usage{}},
		"inside another field":       {`{"x":{"usage":{"prompt_tokens":1,"completion_tokens":1}}}`, UsageMissing, Usage{}},
		"no completion in spite of text": {
			`{"usage":{"prompt_tokens":7,"completion_tokens":0},"choices":[{"message":{"content":"hi"}}]}`, UsageBad, Usage{7, 0, 7, 0, 0}},
	} {
		t.Run(name, func(t *testing.T) {
			a, err := ReadAnswer([]byte(c.body))
			if err != nil {
				t.Fatal(err)
			}
			if a.Report != c.report || a.Usage != c.want {
				t.Errorf("got %v %+v, want %v %+v", a.Report, a.Usage, c.report, c.want)
			}
		})
	}
}

func TestReadAnswerRefusesWhatIsNoAnswer(t *testing.T) {
	for _, body := range []string{"", "junk", "[]", "null", `{"choices":[`, `{"a":1}x`, `{"usage":{"prompt_tokens":}}`, "<html></html>", strings.Repeat(`{"a":`, 1<<20)} {
		if a, err := ReadAnswer([]byte(body)); !errors.Is(err, ErrNotAnswer) {
			t.Errorf("ReadAnswer(%.20q) = %+v, %v", body, a, err)
		}
	}
}

func TestReadAnswerSeesAnError(t *testing.T) {
	for body, want := range map[string]bool{
		`{"error":{"message":"no"}}`:      true,
		`{"error":"no"}`:                  true,
		`{"error":null,"choices":[]}`:     false,
		`{"error":false,"choices":[]}`:    false,
		`{"error":"","choices":[]}`:       false,
		`{"error":{},"choices":[]}`:       false,
		`{"error":true}`:                  true,
		`{"choices":[{"error":{"a":1}}]}`: false,
	} {
		if a, err := ReadAnswer([]byte(body)); err != nil || a.Failed != want {
			t.Errorf("%s: got %+v, %v; want %v", body, a, err, want)
		}
	}
}

func TestEachTextGivesAllThatTheModelWrote(t *testing.T) {
	body := []byte(`{"choices":[
		{"message":{"role":"assistant","reasoning_content":"hm \ud83d\ude00","content":"a\nb","refusal":null},"index":1},
		{"index":0,"message":{"content":null,"tool_calls":[{"id":"x","function":{"name":"f","arguments":"{\"q\":1}"}},7]}},
		{"message":{"content":["no text"],"function_call":{"name":"g","arguments":""}}},
		"junk"],"x":{"content":"not text"}}`)
	got := make(map[int64]string)
	found := EachText(body, func(choice int64, text []byte) { got[choice] += string(text) + "|" })
	if got[1] != "hm 😀|a\nb|" || got[0] != `f|{"q":1}|g|` || len(got) != 2 || !found {
		t.Errorf("got %v", got)
	}
}

// What a model wrote is found under each of the names that servers have for it,
// and once.
func TestEachTextKnowsWhatServersCallIt(t *testing.T) {
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
		EachText([]byte(body), func(_ int64, text []byte) { got += string(text) })
		if got != want {
			t.Errorf("%s: %q, want %q", body, got, want)
		}
	}
}

// What an answer that broke off had said is counted, and nothing but that.
func TestEachTextReadsAnAnswerUpToWhereItBreaksOff(t *testing.T) {
	const whole = `{"id":"1","choices":[{"index":0,"message":{"role":"assistant","reasoning_content":"hm\n\u00e9","content":"a \"b\" c"}}],"usage":{}}`
	const text = "hm\né" + `a "b" c`
	before := ""
	for end := range len(whole) + 1 {
		var got string
		found := EachText([]byte(whole[:end]), func(_ int64, piece []byte) { got += string(piece) })
		if !strings.HasPrefix(text, got) || len(got) < len(before) || found != (got != "") {
			t.Errorf("of %q: %q, %t; before %q", whole[:end], got, found, before)
		}
		before = got
	}
	if before != text {
		t.Errorf("of the whole: %q", before)
	}
	if EachText([]byte("<html>"), func(int64, []byte) { t.Error("text of HTML") }) {
		t.Error("found text in HTML")
	}
}

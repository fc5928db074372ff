package chat_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"tollgate/handler/chat"
)

const hello = `"messages":[{"role":"user","content":"hi"}]`

func TestParseReadsTheEnvelope(t *testing.T) {
	r, err := chat.Parse([]byte(` {"model":"DeepSeek-R1","n":2,"max_tokens":10,"max_completion_tokens":30,"stream":true,` +
		`"stream_options":{"include_usage":true},"tools":[],` + hello + `} `))
	if err != nil {
		t.Fatal(err)
	}
	if r.Model != "DeepSeek-R1" || !r.Stream || !r.IncludeUsage || r.N != 2 || string(r.Tools) != "[]" {
		t.Errorf("read %+v", r)
	}
	if tokens, capped := r.CompletionCap(); tokens != 60 || !capped {
		t.Errorf("CompletionCap = %d, %t; want 60, true: the larger cap counts, n times", tokens, capped)
	}
	if string(r.Messages) != `[{"role":"user","content":"hi"}]` {
		t.Errorf("Messages = %s", r.Messages)
	}
}

func TestParseTakesNullForAbsent(t *testing.T) {
	r, err := chat.Parse([]byte(`{"max_tokens":null,"max_completion_tokens":null,"n":null,"stream":null,"stream_options":null,"tools":null,` + hello + `}`))
	if err != nil {
		t.Fatal(err)
	}
	if _, capped := r.CompletionCap(); capped || r.N != 1 || r.Stream || r.Tools != nil {
		t.Errorf("read %+v", r)
	}
}

func TestParseNamesTheFieldAtFault(t *testing.T) {
	deep := strings.Repeat("[", 65) + strings.Repeat("]", 65)
	for name, test := range map[string]struct{ body, field string }{
		"empty":                  {``, "body"},
		"blank":                  {" \n", "body"},
		"not JSON":               {`{"messages":`, "body"},
		"trailing data":          {`{` + hello + `} {}`, "body"},
		"an array":               {`[1]`, "body"},
		"a string":               {`"hi"`, "body"},
		"not UTF-8":              {"{\"messages\":[{\"role\":\"\xff\"}]}", "body"},
		"too deep":               {`{"tools":` + deep + `,` + hello + `}`, "body"},
		"too deep and broken":    {strings.Repeat("[", 100), "body"},
		"duplicate key":          {`{"model":"a","model":"b",` + hello + `}`, "model"},
		"case-colliding key":     {`{"max_tokens":1,"Max_Tokens":9000,` + hello + `}`, "Max_Tokens"},
		"Kelvin sign":            {"{\"max_tokens\":1,\"max_to\u212Aens\":9000," + hello + `}`, "max_to\u212Aens"},
		"escaped duplicate":      {`{"n":1,"\u006e":9,` + hello + `}`, "n"},
		"duplicate in message":   {`{"messages":[{"role":"user","content":"a","content":"b"}]}`, "messages[0].content"},
		"duplicate option":       {`{"stream":true,"stream_options":{"include_usage":false,"Include_usage":true},` + hello + `}`, "stream_options.Include_usage"},
		"negative max_tokens":    {`{"max_tokens":-1,` + hello + `}`, "max_tokens"},
		"fractional max_tokens":  {`{"max_tokens":1.5,` + hello + `}`, "max_tokens"},
		"exponent":               {`{"max_completion_tokens":1e3,` + hello + `}`, "max_completion_tokens"},
		"huge max_tokens":        {`{"max_tokens":99999999999999999999,` + hello + `}`, "max_tokens"},
		"max_tokens a string":    {`{"max_tokens":"5",` + hello + `}`, "max_tokens"},
		"n zero":                 {`{"n":0,` + hello + `}`, "n"},
		"n huge":                 {`{"n":1000000,` + hello + `}`, "n"},
		"n fractional":           {`{"n":1.5,` + hello + `}`, "n"},
		"stream a string":        {`{"stream":"true",` + hello + `}`, "stream"},
		"model a number":         {`{"model":1,` + hello + `}`, "model"},
		"no messages":            {`{"model":"a"}`, "messages"},
		"messages empty":         {`{"messages":[]}`, "messages"},
		"messages a string":      {`{"messages":"hi"}`, "messages"},
		"message a string":       {`{"messages":["hi"]}`, "messages[0]"},
		"message without role":   {`{"messages":[{"role":"user","content":"a"},{"content":"hi"}]}`, "messages[1].role"},
		"tools an object":        {`{"tools":{},` + hello + `}`, "tools"},
		"options without stream": {`{"stream_options":{},` + hello + `}`, "stream_options"},
		"options a list":         {`{"stream":true,"stream_options":[],` + hello + `}`, "stream_options"},
		"include_usage a string": {`{"stream":true,"stream_options":{"include_usage":"x"},` + hello + `}`, "stream_options.include_usage"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := chat.Parse([]byte(test.body))
			wrong, ok := errors.AsType[*chat.FieldError](err)
			if !ok || wrong.Field != test.field || wrong.Problem == "" || wrong.Fix == "" {
				t.Errorf("Parse gave %#v; want a FieldError of %s with problem and fix", err, test.field)
			}
		})
	}
}

func TestErrorsNeverQuoteTheCaller(t *testing.T) {
	canary := strings.Repeat("canary ", 10)
	for _, body := range []string{
		`{"messages":"` + canary + `"}`,
		`{"messages":["` + canary + `"]}`,
		`{"` + canary + `":1,"` + canary + `":2}`,
		`{"max_tokens":"` + canary + `",` + hello + `}`,
		`{"messages":[{"role":"user","content":"` + canary + `"}]`,
	} {
		if _, err := chat.Parse([]byte(body)); err == nil || strings.Contains(err.Error(), "canary") {
			t.Errorf("Parse(%s) gave %v", body, err)
		}
	}
}

func TestRewriteTouchesNothingElse(t *testing.T) {
	for name, test := range map[string]struct {
		body, want string
		edit       chat.Edit
	}{
		"nothing":      {`{ "x" : 1.50 , ` + hello + `}`, `{ "x" : 1.50 , ` + hello + `}`, chat.Edit{}},
		"model":        {`{"model" : "a",` + hello + `}`, `{"model" : "b\"c",` + hello + `}`, chat.Edit{Model: `b"c`}},
		"model added":  {` {` + hello + `}`, ` {"model":"b",` + hello + `}`, chat.Edit{Model: "b"}},
		"cap added":    {`{` + hello + `}`, `{"max_tokens":7,` + hello + `}`, chat.Edit{MaxTokens: 7}},
		"cap for null": {`{"max_tokens":null,` + hello + `}`, `{"max_tokens":7,` + hello + `}`, chat.Edit{MaxTokens: 7}},
		"usage added":  {`{"stream":true,` + hello + `}`, `{"stream_options":{"include_usage":true},"stream":true,` + hello + `}`, chat.Edit{IncludeUsage: true}},
		"usage for null options": {`{"stream":true,"stream_options":null,` + hello + `}`,
			`{"stream":true,"stream_options":{"include_usage":true},` + hello + `}`, chat.Edit{IncludeUsage: true}},
		"usage beside options": {`{"stream":true,"stream_options":{"include_obfuscation":false},` + hello + `}`,
			`{"stream":true,"stream_options":{"include_usage":true,"include_obfuscation":false},` + hello + `}`, chat.Edit{IncludeUsage: true}},
		"usage in empty options": {`{"stream":true,"stream_options":{ },` + hello + `}`,
			`{"stream":true,"stream_options":{"include_usage":true },` + hello + `}`, chat.Edit{IncludeUsage: true}},
		"usage switched on": {`{"stream":true,"stream_options":{"include_usage":false},` + hello + `}`,
			`{"stream":true,"stream_options":{"include_usage":true},` + hello + `}`, chat.Edit{IncludeUsage: true}},
		"usage not for a whole answer": {`{` + hello + `}`, `{` + hello + `}`, chat.Edit{IncludeUsage: true}},
		"all at once": {`{"model":"a","stream":true,` + hello + `}`,
			`{"max_tokens":7,"stream_options":{"include_usage":true},"model":"b","stream":true,` + hello + `}`,
			chat.Edit{Model: "b", MaxTokens: 7, IncludeUsage: true}},
	} {
		t.Run(name, func(t *testing.T) {
			r, err := chat.Parse([]byte(test.body))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, string(r.Rewrite(test.edit))); diff != "" {
				t.Errorf("Rewrite (-want +got):\n%s", diff)
			}
		})
	}
}

// FuzzParse: whatever is taken is JSON that encoding/json reads the same way,
// and stays so when it is rewritten.
func FuzzParse(f *testing.F) {
	for _, seed := range []string{
		`{` + hello + `}`,
		`{"model":"a","stream":true,"stream_options":{},"n":3,"max_tokens":null,` + hello + `}`,
		`{"tools":[{"a":{"b":[1,"]",true]}}],"messages":[{"role":"user","content":[{"type":"text","text":"\ud800\""}]}]}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		r, err := chat.Parse(body)
		if err != nil {
			if _, ok := errors.AsType[*chat.FieldError](err); !ok {
				t.Fatalf("not a FieldError: %v", err)
			}
			return
		}
		for _, text := range [][]byte{r.Messages, r.Rewrite(chat.Edit{Model: "other", MaxTokens: 9, IncludeUsage: true})} {
			if !json.Valid(text) {
				t.Fatalf("not JSON: %s", text)
			}
		}
		var std struct {
			Model  string
			Stream bool
			N      *int64
		}
		if err := json.Unmarshal(body, &std); err != nil {
			t.Fatalf("encoding/json refuses what Parse took: %v", err)
		}
		if std.Model != r.Model || std.Stream != r.Stream || std.N != nil && *std.N != r.N {
			t.Fatalf("encoding/json read %+v, Parse %+v", std, r)
		}
	})
}

func BenchmarkParse(b *testing.B) {
	body := []byte(`{"model":"DeepSeek-R1","messages":[{"role":"system","content":"You are terse."},{"role":"user","content":"` + strings.Repeat("word ", 200) + `"}],"max_tokens":100}`)
	b.SetBytes(int64(len(body)))
	for b.Loop() {
		if _, err := chat.Parse(body); err != nil {
			b.Fatal(err)
		}
	}
}

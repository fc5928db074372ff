package completion

import (
	"bytes"
	"errors"
	"math"
	"testing"

	"tollgate/handler/charge"
	"tollgate/handler/limit"
	"tollgate/handler/operation"
)

func parsed(t *testing.T, body string) operation.Request {
	t.Helper()
	r, err := Operation.Parse([]byte(body))
	if err != nil {
		t.Fatalf("%s: got %v, want no error", body, err)
	}
	return r
}

func TestEachPromptHasTheLargerOfNAndBestOfCompletions(t *testing.T) {
	for body, want := range map[string]int64{
		`{"prompt":"a"}`: 1, `{"prompt":"a","n":3}`: 3, `{"prompt":"a","n":2,"best_of":5}`: 5, `{"prompt":"a","n":5,"best_of":2}`: 5,
		`{"prompt":["a","b"],"n":3}`: 6, `{"prompt":[1,2,3]}`: 1, `{"prompt":[[1],[2,3]],"best_of":4}`: 8, `{"prompt":"a","n":null,"best_of":null}`: 1,
		`{"prompt":["a","b"],"n":9223372036854775807}`: math.MaxInt64,
	} {
		if got := parsed(t, body).Envelope().Completions; got != want {
			t.Errorf("%s: got %d completions, want %d", body, got, want)
		}
	}
}

func TestACompletionWithoutACapHasTheAPIsDefault(t *testing.T) {
	for body, want := range map[string]operation.Caps{
		`{"prompt":"a"}`:                   {Default: 16},
		`{"prompt":"a","max_tokens":null}`: {Default: 16},
		`{"prompt":"a","max_tokens":0}`:    {Largest: 1, Obeyed: 1},
		`{"prompt":"a","max_tokens":70}`:   {Largest: 70, Obeyed: 70},
	} {
		if got := parsed(t, body).Caps(operation.CapRules{NewerCap: true}); got != want {
			t.Errorf("%s: got %+v, want %+v", body, got, want)
		}
	}
}

func TestACompletionsPromptIsKnownAndItsAnswerIsNot(t *testing.T) {
	for _, test := range []struct {
		body, model string
		known       bool
		tokens      int64
	}{
		{`{"prompt":["hello world","hello"],"echo":true,"temperature":0}`, "gpt-3.5-turbo-instruct", true, 3},
		{`{"prompt":[15339,1917]}`, "davinci-002", true, 2},
		{`{"prompt":"hello world","suffix":"the end"}`, "gpt-3.5-turbo-instruct", false, 9},
		{`{"prompt":"hello world"}`, "DeepSeek-R1", false, 2},
	} {
		got := charge.PromptOf(parsed(t, test.body), charge.FamilyOf("", test.model, test.model))
		if got.Known != test.known || got.Tokens < test.tokens || got.Known && (got.AnswerKnown || got.Tokens != test.tokens) {
			t.Errorf("%s for %s: got %+v, want known %t, not shown, and %d tokens, or more if bounded", test.body, test.model, got, test.known, test.tokens)
		}
	}
}

func TestACompletionsBodyIsReadStrictly(t *testing.T) {
	for body, field := range map[string]string{
		``: "", `{"prompt":"a"} {}`: "", `{}`: "prompt", `{"prompt":null}`: "prompt", `{"prompt":[]}`: "prompt", `{"Prompt":"a"}`: "prompt",
		`{"prompt":"a","prompt":"b"}`: "prompt", `{"prompt":"a","n":0}`: "n", `{"prompt":"a","best_of":"2"}`: "best_of", `{"prompt":"a","Best_Of":2}`: "best_of",
		`{"prompt":"a","max_tokens":-1}`: "max_tokens", `{"prompt":"a","max_tokens":1.5}`: "max_tokens", `{"prompt":"a","stream":"yes"}`: "stream",
		`{"prompt":"a","stream_options":{"include_usage":1}}`: "stream_options.include_usage",
	} {
		_, err := Operation.Parse([]byte(body))
		wrong, ok := errors.AsType[*operation.FieldError](err)
		if !ok || wrong.Field != field {
			t.Errorf("%q: got %v, want a fault of %q", body, err, field)
		}
	}
}

func TestRewriteSetsTheModelAMissingCapAndTheUsageOption(t *testing.T) {
	edit := operation.Edit{Model: "b", Cap: 16, Enforce: true, AskUsage: true}
	for body, want := range map[string]string{
		`{"prompt":"x"}`: `{"model":"b","max_tokens":16,"prompt":"x"}`,
		`{"prompt":"x","model":"a","max_tokens":null}`:            `{"prompt":"x","model":"b","max_tokens":16}`,
		`{"prompt":"x","model":"b","max_tokens":0}`:               `{"prompt":"x","model":"b","max_tokens":0}`,
		`{"model":"b","prompt":"x","max_tokens":9}`:               `{"model":"b","prompt":"x","max_tokens":9}`,
		`{"model":"b","stream":true,"max_tokens":9,"prompt":"x"}`: `{"stream_options":{"include_usage":true},"model":"b","stream":true,"max_tokens":9,"prompt":"x"}`,
	} {
		r := parsed(t, body)
		if got := string(bytes.Join(r.Rewrite(edit), nil)); got != want {
			t.Errorf("%s: got %s, want %s", body, got, want)
		}
		if got := string(bytes.Join(r.Rewrite(operation.Edit{}), nil)); got != body {
			t.Errorf("%s: got %s after an empty edit, want it unchanged", body, got)
		}
	}
}

func TestAnAnswerIsReadWhetherItIsStreamedOrNot(t *testing.T) {
	var text string
	note := func(_ int64, piece []byte) { text += string(piece) }
	whole := `{"object":"text_completion","choices":[{"text":" a","index":0,"finish_reason":"length"},{"text":" b","index":1,"logprobs":null}],"usage":{"prompt_tokens":5,"completion_tokens":7,"total_tokens":12}}`
	a := Operation.Read([]byte(whole), note)
	if want := (limit.Usage{PromptTokens: 5, CompletionTokens: 7}); a.Usage != want || !a.IsAnswer || !a.Written || text != " a b" {
		t.Errorf("got %+v and text %q, want an answer with usage %+v and text %q", a, text, want, " a b")
	}
	text = ""
	s := Operation.Follow(note)
	stream := `data: {"choices":[{"text":" a","index":0,"finish_reason":null}],"usage":null}` + "\n\n" +
		`data: {"choices":[{"text":"","index":0,"finish_reason":"stop"}]}` + "\n\n" +
		`data: {"choices":[],"usage":{"prompt_tokens":5,"completion_tokens":1,"total_tokens":6}}` + "\n\ndata: [DONE]\n\n"
	s.Split([]byte(stream), func(event []byte) { s.Inspect(event) })
	state := s.State()
	if want := (limit.Usage{PromptTokens: 5, CompletionTokens: 1}); state.Usage != want || !state.UsageCurrent() || !state.Done || !state.Finished || text != " a" {
		t.Errorf("got %+v and text %q, want usage %+v, done, finished and text %q", state, text, want, " a")
	}
}

package embedding

import (
	"bytes"
	"errors"
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

func TestAnEmbeddingsPromptIsKnownForOpenAIsModels(t *testing.T) {
	for _, test := range []struct {
		body, model string
		known       bool
		tokens      int64
	}{
		{`{"input":"hello world"}`, "text-embedding-3-small", true, 2},
		{`{"input":["hello world","hello"],"encoding_format":"base64","dimensions":8}`, "text-embedding-ada-002", true, 3},
		{`{"input":[[15339,1917],[7]]}`, "text-embedding-3-large", true, 3},
		{`{"input":"hello world","instruction":"x"}`, "text-embedding-3-small", false, 2},
		{`{"input":"hello world"}`, "Cohere-embed-v3-english", false, 11},
		{`{"input":[15339,1917]}`, "Cohere-embed-v3-english", false, 2},
	} {
		got := charge.PromptOf(parsed(t, test.body), charge.FamilyOf("", test.model, test.model))
		if got.Known != test.known || got.Tokens < test.tokens || test.known && (got.Tokens != test.tokens || !got.AnswerKnown) {
			t.Errorf("%s for %s: got %+v, want known %t and %d tokens, or more if bounded", test.body, test.model, got, test.known, test.tokens)
		}
	}
}

func TestAnEmbeddingsBodyIsReadStrictly(t *testing.T) {
	for body, field := range map[string]string{
		``: "", `[]`: "", `{"input":"a"}x`: "", "{\"input\":\"\xff\"}": "",
		`{}`: "input", `{"input":null}`: "input", `{"input":[]}`: "input", `{"input":"a","input":"b"}`: "input", `{"INPUT":"a"}`: "input",
		`{"input":"a","model":7}`: "model", `{"input":"a","Model":"m"}`: "model", `{"input":"a","x":{"a":1,"a":2}}`: "",
	} {
		_, err := Operation.Parse([]byte(body))
		wrong, ok := errors.AsType[*operation.FieldError](err)
		if !ok || wrong.Field != field {
			t.Errorf("%q: got %v, want a fault of %q", body, err, field)
		}
	}
}

func TestOnlyTheModelOfAnEmbeddingIsRewritten(t *testing.T) {
	edit := operation.Edit{Model: "b", Cap: 16, Enforce: true, AskUsage: true}
	for body, want := range map[string]string{
		`{ "input":"x", "model" : "a" }`: `{ "input":"x", "model" : "b" }`,
		`{ "input":"x" }`:                `{"model":"b", "input":"x" }`,
		`{"model":"b","input":["x"]}`:    `{"model":"b","input":["x"]}`,
	} {
		if got := string(bytes.Join(parsed(t, body).Rewrite(edit), nil)); got != want {
			t.Errorf("%s: got %s, want %s", body, got, want)
		}
	}
}

func TestAllTokensOfAnEmbeddingArePromptTokens(t *testing.T) {
	for body, want := range map[string]operation.Answer{
		`{"object":"list","data":[{"embedding":[0.1]}],"usage":{"prompt_tokens":8,"total_tokens":8}}`: {Usage: limit.Usage{PromptTokens: 8}, Report: operation.UsageGood, IsAnswer: true, Written: true},
		`{"data":[{"embedding":"AAAA"}],"usage":{"prompt_tokens":8}}`:                                 {Usage: limit.Usage{PromptTokens: 8}, Report: operation.UsageGood, IsAnswer: true, Written: true},
		`{"data":[{}],"usage":{"prompt_tokens":8,"total_tokens":11}}`:                                 {Usage: limit.Usage{PromptTokens: 11}, Report: operation.UsageGood, IsAnswer: true, Written: true},
		`{"data":[{}],"usage":{"prompt_tokens":8,"completion_tokens":0,"total_tokens":8}}`:            {Usage: limit.Usage{PromptTokens: 8}, Report: operation.UsageGood, IsAnswer: true, Written: true},
		`{"data":[{}],"usage":{"total_tokens":8}}`:                                                    {Usage: limit.Usage{PromptTokens: 8}, Report: operation.UsageGood, IsAnswer: true, Written: true},
		`{"data":[{}],"usage":{"prompt_tokens":0,"total_tokens":0}}`:                                  {Report: operation.UsageBad, IsAnswer: true, Written: true},
		`{"data":[{}],"usage":{"prompt_tokens":-8,"total_tokens":8}}`:                                 {Report: operation.UsageBad, IsAnswer: true, Written: true},
		`{"data":[{}]}`:               {IsAnswer: true, Written: true},
		`{"data":[{"embedding":[0.1,`: {IsAnswer: true, Written: true, Unread: true},
		`{"error":{"message":"no"}}`:  {IsAnswer: true, Failed: true},
		`{"data":[],"error":null}`:    {},
		`{"choices":[]}`:              {},
		`<html>`:                      {Unread: true},
	} {
		if got := Operation.Read([]byte(body), nil); got != want {
			t.Errorf("%s: got %+v, want %+v", body, got, want)
		}
	}
}

package fakemodel_test

import (
	"fmt"
	"strings"
	"testing"

	"tollgate/handler/local/fakemodel"
)

func TestEmbeddingsHaveAVectorForEachInput(t *testing.T) {
	var e fakemodel.Endpoint
	for input, want := range map[string]struct{ vectors, tokens int }{
		`"hello world"`: {1, 2}, `["hello world","hello"]`: {2, 3}, `[15339,1917]`: {1, 2}, `[[15339,1917],[15339]]`: {2, 3},
	} {
		for _, path := range []string{"/openai/v1/embeddings", "/openai/deployments/e/embeddings?api-version=2024-10-21", "/models/embeddings"} {
			var got reply
			cost := billed(&e, func() {
				got = call(t, &e, "POST", path, `{"model":"text-embedding-3-small","dimensions":4,"input":`+input+`}`)
			})
			data, _ := got.fields["data"].([]any)
			vector, _ := at(got.fields, "data", 0, "embedding").([]any)
			if len(data) != want.vectors || len(vector) != 4 || cost != int64(want.tokens) || number(got.fields, "usage", "prompt_tokens") != cost || number(got.fields, "usage", "completion_tokens") != -1 {
				t.Errorf("%s %s: got %s for %d tokens, want %d vectors of 4 numbers and %d tokens", path, input, got.text, cost, want.vectors, want.tokens)
			}
		}
	}
	if got := call(t, &e, "POST", "/openai/v1/embeddings", `{"model":"m","input":"x","encoding_format":"base64"}`); len(at(got.fields, "data", 0, "embedding").(string)) != 1536*4*4/3 {
		t.Errorf("got %s, want 1,536 numbers in base64", got.text)
	}
	if got := call(t, &e, "POST", "/openai/v1/embeddings", `{"model":"m","input":{}}`); got.status != 400 || at(got.fields, "error", "param") != "input" {
		t.Errorf("got %d %s, want 400 for the input", got.status, got.text)
	}
}

func TestCompletionsAreChargedForEveryChoiceAndEveryCandidate(t *testing.T) {
	for fields, want := range map[string]struct{ choices, tokens int64 }{
		``: {1, 16}, `"max_tokens":5,`: {1, 5}, `"max_tokens":5,"n":2,`: {2, 10}, `"max_tokens":5,"n":2,"best_of":3,`: {2, 15}, `"max_tokens":100,`: {1, 60},
	} {
		for _, stream := range []string{"", `"stream":true,"stream_options":{"include_usage":true},`} {
			if strings.Contains(fields, "best_of") && stream != "" {
				continue
			}
			var e fakemodel.Endpoint
			var got reply
			cost := billed(&e, func() {
				got = call(t, &e, "POST", "/openai/v1/completions", `{`+stream+fields+`"model":"gpt-3.5-turbo-instruct","prompt":["hello world","hello"]}`)
			})
			end, choices := got.fields, int64(0)
			if stream != "" {
				all := events(t, got.text)
				end = all[len(all)-2].fields
				for _, e := range all {
					if at(e.fields, "choices", 0, "finish_reason") != nil {
						choices++
					}
				}
			} else {
				choices = int64(len(end["choices"].([]any)))
			}
			if choices != 2*want.choices || number(end, "usage", "completion_tokens") != 2*want.tokens || number(end, "usage", "prompt_tokens") != 3 || cost != 3+2*want.tokens {
				t.Errorf("%s %s: got %d choices and %v for %d tokens, want %d choices and %d tokens", stream, fields, choices, end, cost, 2*want.choices, 2*want.tokens)
			}
		}
	}
}

func TestACompletionsStreamHasUsageOnlyOnRequest(t *testing.T) {
	var e fakemodel.Endpoint
	got := call(t, &e, "POST", "/openai/deployments/d/completions", `{"stream":true,"prompt":"x","max_tokens":2}`)
	if strings.Contains(got.text, "usage") || !strings.HasSuffix(got.text, "data: [DONE]\n\n") {
		t.Errorf("got %s, want a stream without usage that ends with [DONE]", got.text)
	}
}

// Tests compare the gateway's charges with this bill.
func TestTheBillIncludesEveryTokenThatWasWrittenOrHidden(t *testing.T) {
	for path, body := range map[string]string{
		"/openai/v1/chat/completions": `{"stream":true,"messages":[{"role":"user","content":"x"}]}`,
		responses:                     `{"stream":true,"model":"m","input":"x"}`,
		messages:                      `{"stream":true,"model":"m","max_tokens":99,"messages":[{"role":"user","content":"x"}]}`,
		"/openai/v1/completions":      `{"stream":true,"model":"m","max_tokens":99,"prompt":"x"}`,
	} {
		bill := func(behaviour string) (cost int64) {
			var e fakemodel.Endpoint
			return billed(&e, func() { call(t, &e, "POST", path, body, fakemodel.Header, "bill,"+behaviour) })
		}
		whole, without := bill(""), bill("completion=1")
		if written := whole - without; written != 59 {
			t.Errorf("%s: got %d tokens more for an answer of 60 than for 1, want 59", path, written)
		}
		if failed := bill("fail-after=20"); failed >= whole || failed <= without {
			t.Errorf("%s: got %d tokens for a stream that failed, want between %d and %d", path, failed, without, whole)
		}
		if hidden := bill("hidden=30"); hidden != whole+30 {
			t.Errorf("%s: got %d tokens with 30 hidden ones, want %d", path, hidden, whole+30)
		}
	}
}

func TestFaultsReachEveryOperation(t *testing.T) {
	for path, body := range map[string]string{
		"/openai/v1/chat/completions": `{"messages":[{"role":"user","content":"x"}]}`, responses: `{"model":"m","input":"x"}`,
		messages: `{"model":"m","max_tokens":99,"messages":[{"role":"user","content":"x"}]}`, "/openai/v1/completions": `{"model":"m","prompt":"x"}`,
		"/openai/v1/embeddings": `{"model":"m","input":"x"}`,
	} {
		var e fakemodel.Endpoint
		if got := call(t, &e, "POST", path, body, fakemodel.Header, "status=503"); got.status != 503 || at(got.fields, "error", "message") == nil {
			t.Errorf("%s: got %d %s, want 503 with an error", path, got.status, got.text)
		}
		if got := call(t, &e, "POST", path, body, fakemodel.Header, "no-usage"); got.status != 200 || got.fields["usage"] != nil {
			t.Errorf("%s: got %d %s, want no usage", path, got.status, got.text)
		}
		if got := call(t, &e, "POST", path, body, fakemodel.Header, "odd-usage"); !strings.Contains(fmt.Sprint(got.fields["usage"]), "-1") {
			t.Errorf("%s: got %s, want negative usage", path, got.text)
		}
		if got := call(t, &e, "POST", path, body, fakemodel.Header, "fail-after=1"); got.status != 200 || got.fields["error"] == nil {
			t.Errorf("%s: got %d %s, want an error with 200", path, got.status, got.text)
		}
	}
}

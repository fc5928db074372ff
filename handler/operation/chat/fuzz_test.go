package chat

import (
	"bytes"
	"encoding/json"
	"testing"

	"tollgate/handler/operation"
	"tollgate/handler/operation/lax"
)

// FuzzRequest checks that Parse reads the same as encoding/json, and that Rewrite
// changes only what it should.
func FuzzRequest(f *testing.F) {
	f.Add([]byte(with(`"model":"m","stream":true,"max_tokens":5,"n":2`)))
	f.Add([]byte(with(`"stream":true,"stream_options":{"include_usage":false,"x":"\u00e9"},"tools":[{}]`)))
	f.Add([]byte(`{"messages":[{"content":"\ud83d\ude00\ud800"}],"max_toKens":1}`))
	f.Add([]byte(`{"max_tokens":null,"messages":[{"content":[{"type":"text"}]}],"max_completion_tokens":9e1}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		r, err := Parse(body)
		if err != nil {
			return
		}
		var std struct {
			Model               string          `json:"model"`
			Stream              bool            `json:"stream"`
			N                   *int64          `json:"n"`
			MaxTokens           *int64          `json:"max_tokens"`
			MaxCompletionTokens *int64          `json:"max_completion_tokens"`
			Messages            json.RawMessage `json:"messages"`
			StreamOptions       struct {
				IncludeUsage bool `json:"include_usage"`
			} `json:"stream_options"`
		}
		if err := json.Unmarshal(body, &std); err != nil {
			t.Fatalf("encoding/json: got %v for a body that Parse accepts, want no error", err)
		}
		n := int64(1)
		if std.N != nil {
			n = *std.N
		}
		if r.Model != std.Model || r.Stream != std.Stream || r.N != n || r.Usage.Include != std.StreamOptions.IncludeUsage ||
			!same(r.MaxTokens, std.MaxTokens) || !same(r.MaxCompletionTokens, std.MaxCompletionTokens) || !bytes.Equal(r.Messages, std.Messages) {
			t.Fatalf("got %+v, want %+v as encoding/json reads it", r, std)
		}
		rewritten(t, r)
	})
}

// same compares the cap that was read with the one that was sent; 0 means none.
func same(read, sent *int64) bool {
	if sent == nil || *sent == 0 {
		return read == nil
	}
	return read != nil && *read == *sent
}

func rewritten(t *testing.T, r *Request) {
	again, err := Parse(joined(r.Rewrite(operation.Edit{Model: "other", Cap: 77, Enforce: true, AskUsage: true})))
	if err != nil {
		t.Fatalf("Parse of the rewritten body: got %v, want no error", err)
	}
	most := int64(77)
	if r.MaxTokens != nil {
		most = *r.MaxTokens
	} else if r.MaxCompletionTokens != nil {
		most = *r.MaxCompletionTokens
	}
	if again.Model != "other" || *again.MaxTokens != most || again.at.maxCompletion.Present() || again.Usage.Include != (r.Stream && !r.DataSources || r.Usage.Include) ||
		again.Stream != r.Stream || again.N != r.N || !bytes.Equal(again.Messages, r.Messages) || !bytes.Equal(again.Tools, r.Tools) {
		t.Fatalf("got %+v after rewriting %+v, want only model, cap and usage changed", again, r)
	}
	if unchanged := joined(r.Rewrite(operation.Edit{})); !bytes.Equal(unchanged, r.body) {
		t.Fatalf("got %s after an empty edit, want the body unchanged", unchanged)
	}
}

// FuzzAnswer checks that ReadAnswer reads all that encoding/json reads, except for
// deep nesting.
func FuzzAnswer(f *testing.F) {
	f.Add([]byte(`{"choices":[{"message":{"content":"hi"}}],"usage":{"prompt_tokens":1,"completion_tokens":2}}`))
	f.Add([]byte(`{"usage":{"prompt_tokens":-1e-1,"completion_tokens_details":{"reasoning_tokens":null}},"error":"\ud800x"}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		if a := ReadAnswer(body, func(int64, []byte) {}); a.Unread && json.Valid(body) && !deep(body) {
			t.Fatalf("got %+v for valid JSON, want all of it read", a)
		}
		ReadAnswer(body[:len(body)/2], func(int64, []byte) {})
	})
}

func deep(body []byte) bool {
	return bytes.Count(body, []byte("["))+bytes.Count(body, []byte("{")) > lax.Options.MaxDepth
}

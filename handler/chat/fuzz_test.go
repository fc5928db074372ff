package chat

import (
	"bytes"
	"encoding/json"
	"testing"
)

// FuzzRequest holds Parse to what encoding/json reads of the same body, and
// Rewrite to changing that alone which it should.
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
			t.Fatalf("accepted what encoding/json refuses: %v", err)
		}
		n := int64(1)
		if std.N != nil {
			n = *std.N
		}
		if r.Model != std.Model || r.Stream != std.Stream || r.N != n || r.IncludeUsage != std.StreamOptions.IncludeUsage ||
			!same(r.MaxTokens, std.MaxTokens) || !same(r.MaxCompletionTokens, std.MaxCompletionTokens) || !bytes.Equal(r.Messages, std.Messages) {
			t.Fatalf("read %+v, encoding/json %+v", r, std)
		}
		rewritten(t, r)
	})
}

// same compares a cap that was read with the one that was sent, of which 0 is none.
func same(read, sent *int64) bool {
	if sent == nil || *sent == 0 {
		return read == nil
	}
	return read != nil && *read == *sent
}

func rewritten(t *testing.T, r *Request) {
	again, err := Parse(joined(r.Rewrite(Edit{Model: ptr("other"), MaxTokens: ptr(int64(77)), IncludeUsage: true})))
	if err != nil {
		t.Fatalf("the rewritten body is refused: %v", err)
	}
	if again.Model != "other" || *again.MaxTokens != 77 || again.at.maxCompletion.present() || again.IncludeUsage != (r.Stream || r.IncludeUsage) ||
		again.Stream != r.Stream || again.N != r.N || !bytes.Equal(again.Messages, r.Messages) || !bytes.Equal(again.Tools, r.Tools) {
		t.Fatalf("rewritten %+v to %+v", r, again)
	}
	if unchanged := joined(r.Rewrite(Edit{})); !bytes.Equal(unchanged, r.body) {
		t.Fatal("an empty edit changed the body")
	}
}

// FuzzAnswer has all be read that encoding/json reads, but for the depth.
func FuzzAnswer(f *testing.F) {
	f.Add([]byte(`{"choices":[{"message":{"content":"hi"}}],"usage":{"prompt_tokens":1,"completion_tokens":2}}`))
	f.Add([]byte(`{"usage":{"prompt_tokens":-1e-1,"completion_tokens_details":{"reasoning_tokens":null}},"error":"\ud800x"}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		if a := ReadAnswer(body); a.Unread && json.Valid(body) && !deep(body) {
			t.Fatalf("ReadAnswer: %+v, of valid JSON", a)
		}
		EachText(body, func(int64, []byte) {})
		EachText(body[:len(body)/2], func(int64, []byte) {})
	})
}

func deep(body []byte) bool {
	return bytes.Count(body, []byte("["))+bytes.Count(body, []byte("{")) > lax.MaxDepth
}

package chat

import (
	"bytes"
	"encoding/json"
	"runtime"
	"strings"
	"testing"
)

func ptr[T any](v T) *T { return &v }

func TestRewriteSplicesAndLeavesEveryOtherByte(t *testing.T) {
	const messages = `"messages" : [ {"content":"\u0041"} ]`
	for name, c := range map[string]struct {
		body, want string
		edit       Edit
	}{
		"nothing": {`{ ` + messages + ` }`, `{ ` + messages + ` }`, Edit{}},
		"a model replaced": {
			`{ "model" :  "a" , ` + messages + `}`, `{ "model" :  "b\"" , ` + messages + `}`, Edit{Model: ptr(`b"`)}},
		"a model added": {
			`{ ` + messages + `}`, `{"model":"b", ` + messages + `}`, Edit{Model: ptr("b")}},
		"a model of null": {
			`{"model":null,` + messages + `}`, `{"model":"b",` + messages + `}`, Edit{Model: ptr("b")}},
		"the same model, with an escape": {
			`{"model":"\u0062",` + messages + `}`, `{"model":"\u0062",` + messages + `}`, Edit{Model: ptr("b")}},
		"a cap added": {
			`{` + messages + `}`, `{"max_tokens":16,` + messages + `}`, Edit{MaxTokens: ptr(int64(16))}},
		"a cap of null": {
			`{` + messages + `,"max_tokens":null}`, `{` + messages + `,"max_tokens":16}`, Edit{MaxTokens: ptr(int64(16))}},
		"the caller's cap replaced": {
			`{` + messages + `,"max_tokens":99}`, `{` + messages + `,"max_tokens":16}`, Edit{MaxTokens: ptr(int64(16))}},
		"a cap in place of the other, which is last": {
			`{` + messages + ` , "max_completion_tokens" : 99 }`, `{"max_tokens":16,` + messages + `  }`, Edit{MaxTokens: ptr(int64(16))}},
		"a cap in place of the other, which is first": {
			`{"max_\u0074okens":99, ` + messages + `,"stream":true}`, `{"max_completion_tokens":16,"stream_options":{"include_usage":true}, ` + messages + `,"stream":true}`,
			Edit{MaxCompletionTokens: ptr(int64(16)), IncludeUsage: true}},
		"a cap where both are set": {
			`{"model":"a","max_tokens":99,"max_completion_tokens":98,` + messages + `}`, `{"model":"b","max_tokens":16,` + messages + `}`, Edit{Model: ptr("b"), MaxTokens: ptr(int64(16))}},
		"a cap where both are set, the last": {
			`{` + messages + `,"max_tokens":99,"max_completion_tokens":98}`, `{` + messages + `,"max_completion_tokens":16}`, Edit{MaxCompletionTokens: ptr(int64(16))}},
		"the other cap added": {
			`{` + messages + `}`, `{"max_completion_tokens":16,` + messages + `}`, Edit{MaxCompletionTokens: ptr(int64(16))}},
		"usage of a stream": {
			`{` + messages + `,"stream":true}`, `{"stream_options":{"include_usage":true},` + messages + `,"stream":true}`, Edit{IncludeUsage: true}},
		"usage, but no stream": {
			`{` + messages + `}`, `{` + messages + `}`, Edit{IncludeUsage: true}},
		"usage, stream_options null": {
			`{"stream":true,"stream_options": null,` + messages + `}`,
			`{"stream":true,"stream_options": {"include_usage":true},` + messages + `}`, Edit{IncludeUsage: true}},
		"usage, stream_options empty": {
			`{"stream":true,"stream_options":{ },` + messages + `}`,
			`{"stream":true,"stream_options":{"include_usage":true },` + messages + `}`, Edit{IncludeUsage: true}},
		"usage, stream_options kept": {
			`{"stream":true,"stream_options":{ "x":1},` + messages + `}`,
			`{"stream":true,"stream_options":{"include_usage":true, "x":1},` + messages + `}`, Edit{IncludeUsage: true}},
		"usage declined by the caller": {
			`{"stream":true,"stream_options":{"x":1,"include_usage": false},` + messages + `}`,
			`{"stream":true,"stream_options":{"x":1,"include_usage": true},` + messages + `}`, Edit{IncludeUsage: true}},
		"usage asked for by the caller": {
			`{"stream":true,"stream_options":{"include_usage":true},` + messages + `}`,
			`{"stream":true,"stream_options":{"include_usage":true},` + messages + `}`, Edit{IncludeUsage: true}},
		"all at once": {
			`{"stream":true,` + messages + `,"model":"a"}`,
			`{"max_tokens":7,"stream_options":{"include_usage":true},"stream":true,` + messages + `,"model":"b"}`,
			Edit{Model: ptr("b"), MaxTokens: ptr(int64(7)), IncludeUsage: true}},
	} {
		t.Run(name, func(t *testing.T) {
			got := joined(parse(t, c.body).Rewrite(c.edit))
			if string(got) != c.want {
				t.Errorf("got  %s\nwant %s", got, c.want)
			}
			if !json.Valid(got) {
				t.Errorf("got %s, want valid JSON", got)
			}
		})
	}
}

func TestRewriteDoesNotChangeTheBodyItself(t *testing.T) {
	body := []byte(with(`"model":"a"`))
	before := string(body)
	r, err := Parse(body)
	if err != nil {
		t.Fatal(err)
	}
	r.Rewrite(Edit{Model: ptr("b"), MaxTokens: ptr(int64(1))})
	if string(body) != before {
		t.Errorf("got body %s, want it unchanged: %s", body, before)
	}
	if string(joined(r.Rewrite(Edit{}))) != before {
		t.Errorf("a second Rewrite: got %s, want the original body %s", joined(r.Rewrite(Edit{})), before)
	}
}

// joined returns a body in one piece.
func joined(pieces [][]byte) []byte { return bytes.Join(pieces, nil) }

// A stream that kept its prompt in memory twice would soon fill an instance.
func TestRewriteDoesNotCopyTheBody(t *testing.T) {
	body := with(`"model":"a","x":"` + strings.Repeat("x", 1<<20) + `","stream":true,"max_tokens":null`)
	r := parse(t, body)
	edit := Edit{Model: ptr("b"), MaxTokens: ptr(int64(7)), IncludeUsage: true}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	pieces := r.Rewrite(edit)
	runtime.ReadMemStats(&after)
	if bytes := after.TotalAlloc - before.TotalAlloc; bytes > 64<<10 {
		t.Errorf("got %d bytes allocated to rewrite a body of %d, want %d at most", bytes, len(body), 64<<10)
	}
	if !json.Valid(joined(pieces)) {
		t.Errorf("got %.300s, want valid JSON", joined(pieces))
	}
}

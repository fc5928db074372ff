package chat

import (
	"bytes"
	"encoding/json"
	"runtime"
	"strings"
	"testing"

	"tollgate/handler/operation"
)

var newer = operation.CapRules{NewerCap: true}

func TestRewriteSplicesAndLeavesEveryOtherByte(t *testing.T) {
	const messages = `"messages" : [ {"content":"\u0041"} ]`
	for name, c := range map[string]struct {
		body, want string
		edit       operation.Edit
	}{
		"nothing": {`{ ` + messages + ` }`, `{ ` + messages + ` }`, operation.Edit{}},
		"a model replaced": {
			`{ "model" :  "a" , ` + messages + `}`, `{ "model" :  "b\"" , ` + messages + `}`, operation.Edit{Model: `b"`}},
		"a model added": {
			`{ ` + messages + `}`, `{"model":"b", ` + messages + `}`, operation.Edit{Model: "b"}},
		"a model of null": {
			`{"model":null,` + messages + `}`, `{"model":"b",` + messages + `}`, operation.Edit{Model: "b"}},
		"the same model, with an escape": {
			`{"model":"\u0062",` + messages + `}`, `{"model":"\u0062",` + messages + `}`, operation.Edit{Model: "b"}},
		"a cap added": {
			`{` + messages + `}`, `{"max_tokens":16,` + messages + `}`, operation.Edit{Cap: 16}},
		"a cap of null": {
			`{` + messages + `,"max_tokens":null}`, `{` + messages + `,"max_tokens":16}`, operation.Edit{Cap: 16}},
		"a caller's cap, which stays": {
			`{` + messages + `,"max_tokens":99}`, `{` + messages + `,"max_tokens":99}`, operation.Edit{Cap: 16}},
		"a caller's cap, enforced": {
			`{` + messages + `,"max_tokens":99}`, `{` + messages + `,"max_tokens":99}`, operation.Edit{Cap: 16, Enforce: true}},
		"a caller's cap that the endpoint drops": {
			`{` + messages + `,"max_completion_tokens":99}`, `{"max_tokens":16,` + messages + `}`, operation.Edit{Cap: 16, Enforce: true, Rules: operation.CapRules{NewerCap: true, DropsExtra: true}}},
		"a cap in place of the other, which is last": {
			`{` + messages + ` , "max_completion_tokens" : 99 }`, `{"max_tokens":99,` + messages + `  }`, operation.Edit{Cap: 16, Enforce: true}},
		"a cap in place of the other, which is first": {
			`{"max_\u0074okens":99, ` + messages + `,"stream":true}`, `{"max_completion_tokens":99,"stream_options":{"include_usage":true}, ` + messages + `,"stream":true}`,
			operation.Edit{Enforce: true, Rules: newer, AskUsage: true}},
		"a cap where both are set": {
			`{"model":"a","max_tokens":99,"max_completion_tokens":98,` + messages + `}`, `{"model":"b","max_tokens":99,` + messages + `}`, operation.Edit{Model: "b", Enforce: true}},
		"a cap where both are set, the last": {
			`{` + messages + `,"max_tokens":99,"max_completion_tokens":98}`, `{` + messages + `,"max_completion_tokens":98}`, operation.Edit{Enforce: true, Rules: newer}},
		"a cap where both are set, of a model that takes either": {
			`{` + messages + `,"max_tokens":99,"max_completion_tokens":98}`, `{` + messages + `,"max_completion_tokens":98}`, operation.Edit{Enforce: true, Rules: operation.CapRules{EitherCap: true}}},
		"the other cap added": {
			`{` + messages + `}`, `{"max_completion_tokens":16,` + messages + `}`, operation.Edit{Cap: 16, Rules: newer}},
		"usage of a stream": {
			`{` + messages + `,"stream":true}`, `{"stream_options":{"include_usage":true},` + messages + `,"stream":true}`, operation.Edit{AskUsage: true}},
		"usage, but no stream": {
			`{` + messages + `}`, `{` + messages + `}`, operation.Edit{AskUsage: true}},
		"usage, stream_options null": {
			`{"stream":true,"stream_options": null,` + messages + `}`,
			`{"stream":true,"stream_options": {"include_usage":true},` + messages + `}`, operation.Edit{AskUsage: true}},
		"usage, stream_options empty": {
			`{"stream":true,"stream_options":{ },` + messages + `}`,
			`{"stream":true,"stream_options":{"include_usage":true },` + messages + `}`, operation.Edit{AskUsage: true}},
		"usage, stream_options kept": {
			`{"stream":true,"stream_options":{ "x":1},` + messages + `}`,
			`{"stream":true,"stream_options":{"include_usage":true, "x":1},` + messages + `}`, operation.Edit{AskUsage: true}},
		"usage declined by the caller": {
			`{"stream":true,"stream_options":{"x":1,"include_usage": false},` + messages + `}`,
			`{"stream":true,"stream_options":{"x":1,"include_usage": true},` + messages + `}`, operation.Edit{AskUsage: true}},
		"usage asked for by the caller": {
			`{"stream":true,"stream_options":{"include_usage":true},` + messages + `}`,
			`{"stream":true,"stream_options":{"include_usage":true},` + messages + `}`, operation.Edit{AskUsage: true}},
		"all at once": {
			`{"stream":true,` + messages + `,"model":"a"}`,
			`{"max_tokens":7,"stream_options":{"include_usage":true},"stream":true,` + messages + `,"model":"b"}`,
			operation.Edit{Model: "b", Cap: 7, AskUsage: true}},
	} {
		t.Run(name, func(t *testing.T) {
			got := joined(mustParse(t, c.body).Rewrite(c.edit))
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
	r.Rewrite(operation.Edit{Model: "b", Cap: 1})
	if string(body) != before {
		t.Errorf("got body %s, want it unchanged: %s", body, before)
	}
	if string(joined(r.Rewrite(operation.Edit{}))) != before {
		t.Errorf("a second Rewrite: got %s, want the original body %s", joined(r.Rewrite(operation.Edit{})), before)
	}
}

// joined returns a body in one piece.
func joined(pieces [][]byte) []byte { return bytes.Join(pieces, nil) }

// A stream that kept its prompt in memory twice would soon fill an instance.
func TestRewriteDoesNotCopyTheBody(t *testing.T) {
	body := with(`"model":"a","x":"` + strings.Repeat("x", 1<<20) + `","stream":true,"max_tokens":null`)
	r := mustParse(t, body)
	edit := operation.Edit{Model: "b", Cap: 7, AskUsage: true}
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

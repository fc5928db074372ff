package response_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"testing"

	"tollgate/handler/operation"
	"tollgate/handler/operation/response"
	"tollgate/handler/tokens"
)

func FuzzRequest(f *testing.F) {
	for _, seed := range []string{
		`{"model":"m","input":"hi","stream":true,"max_output_tokens":5}`,
		`{"input":[{"role":"user","content":[{"type":"input_image","image_url":"data:image/png;base64,AA","detail":"low"}]},{"type":"item_reference","id":"x"}],"tools":[{"type":"file_search","vector_store_ids":["v"]}]}`,
		`{"input":[{"type":"reasoning","id":"r","encrypted_content":"x","summary":[{"type":"summary_text","text":"\ud83d"}]}],"previous_response_id":"resp_1","store":false}`,
		`{"input":"x","instructions":null,"prompt":{"id":"p"},"background":true}`,
	} {
		f.Add([]byte(seed))
	}
	encoding := tokens.ForModel("gpt-4.1")
	f.Fuzz(func(t *testing.T, body []byte) {
		r, err := response.Operation.Parse(body)
		if err != nil {
			if _, ok := errors.AsType[*operation.FieldError](err); !ok {
				t.Fatalf("got error %T, want a *FieldError", err)
			}
			return
		}
		var plain map[string]json.RawMessage
		if err := json.Unmarshal(body, &plain); err != nil {
			t.Fatalf("encoding/json: got %v for a body that Parse accepts, want no error", err)
		}
		envelope := r.Envelope()
		if string(plain["background"]) == "true" || envelope.Stored.Keeps != (string(plain["store"]) != "false") {
			t.Fatalf("got %+v of %s, want store as it says and no background", envelope, body)
		}
		for _, name := range []string{"conversation", "prompt"} {
			if value := string(plain[name]); value != "" && value != "null" && envelope.Stored.Unowned == "" {
				t.Fatalf("%s: got no stored content, want %s", body, name)
			}
		}
		count, err := r.Count(encoding)
		if err != nil || count < 0 || count > r.Bound(encoding) {
			t.Fatalf("got count %d, %v; want one up to the bound %d", count, err, r.Bound(encoding))
		}
		sent := bytes.Join(r.Rewrite(operation.Edit{Model: "own", Cap: 77}), nil)
		again, err := response.Operation.Parse(sent)
		if err != nil || again.Envelope().Model != "own" || again.Caps(operation.CapRules{}).Largest == 0 || again.Envelope().Stored != envelope.Stored {
			t.Fatalf("%s rewritten: got %s, %v; want the same call with another model and a cap", body, sent, err)
		}
	})
}

func FuzzStream(f *testing.F) {
	f.Add([]byte(created+delta+final("completed", `,"usage":`+usage)), uint8(3))
	f.Add([]byte(created+event("response.failed", `,"response":{"usage":null}`)), uint8(200))
	f.Add([]byte(event("error", `,"message":"x"`)), uint8(1))
	f.Fuzz(func(t *testing.T, stream []byte, size uint8) {
		s := response.Operation.Follow(nil)
		var relayed []byte
		take := func(event []byte) {
			s.Inspect(event)
			relayed = append(relayed, event...)
		}
		for rest := stream; len(rest) > 0; {
			n := min(int(size)+1, len(rest))
			s.Split(rest[:n], take)
			rest = rest[n:]
		}
		s.End(take)
		if !bytes.Equal(relayed, stream) {
			t.Fatalf("got %q relayed, want every byte of %q", relayed, stream)
		}
		got := s.State()
		if got.UsageCurrent() && (!got.Done || got.Usage.Total() <= 0) {
			t.Fatalf("got %+v, want usage only from the event that ends the stream", got)
		}
		if want, _, _ := follow(string(stream), len(stream)+1); got != want {
			t.Fatalf("in pieces of %d: got %+v, want %+v as in one", int(size)+1, got, want)
		}
	})
}

package fakemodel_test

import (
	"testing"

	"tollgate/handler/local/fakemodel"
)

const messages = "/anthropic/v1/messages"

func TestAMessagesStreamHasCumulativeUsage(t *testing.T) {
	for name, test := range map[string]struct{ fields, behaviour, order, reason string }{
		"text":     {``, "", "message_start content_block_start ping content_block_delta content_block_stop message_delta message_stop", "end_turn"},
		"cut":      {`"max_tokens":3,`, "", "message_start content_block_start ping content_block_delta content_block_stop message_delta message_stop", "max_tokens"},
		"nothing":  {`"max_tokens":0,"system":[{"type":"text","text":"x","cache_control":{"type":"ephemeral"}}],`, "", "message_start message_delta message_stop", "max_tokens"},
		"thinking": {`"thinking":{"type":"enabled","budget_tokens":1024},`, "", "message_start content_block_start ping content_block_delta content_block_stop message_delta content_block_start content_block_delta content_block_stop message_delta message_stop", "end_turn"},
		"tool":     {`"tools":[{"name":"f","input_schema":{}}],`, "", "message_start content_block_start ping content_block_delta content_block_stop message_delta message_stop", "tool_use"},
		"novelty":  {``, "novelty", "message_start novelty content_block_start ping content_block_delta content_block_stop message_delta message_stop", "end_turn"},
		"caches":   {``, "cached=4,cache-write=3", "message_start content_block_start ping content_block_delta content_block_stop message_delta message_stop", "end_turn"},
	} {
		t.Run(name, func(t *testing.T) {
			var e fakemodel.Endpoint
			var got reply
			body := `{` + test.fields + `"max_tokens":2048,"model":"m","stream":true,"messages":[{"role":"user","content":"What time is it?"}]}`
			if test.reason == "max_tokens" {
				body = `{` + test.fields + `"model":"m","stream":true,"messages":[{"role":"user","content":"What time is it?"}]}`
			}
			cost := billed(&e, func() { got = call(t, &e, "POST", messages, body, fakemodel.Header, test.behaviour) })
			all := events(t, got.text)
			if got := order(all); got != test.order {
				t.Fatalf("got the events %s, want %s", got, test.order)
			}
			begun, end := at(all[0].fields, "message", "usage"), last(all, "message_delta").fields
			if at(end, "delta", "stop_reason") != test.reason || total(end["usage"]) != cost {
				t.Errorf("got the end %v, want %s and a total of %d, as billed", end, test.reason, cost)
			}
			if number(begun, "input_tokens") != number(end, "usage", "input_tokens") || number(begun, "output_tokens") != 1 {
				t.Errorf("got the usage %v at the start, want the whole prompt and one token", begun)
			}
		})
	}
}

// total returns all tokens of a message's usage.
func total(usage any) int64 {
	return number(usage, "input_tokens") + number(usage, "cache_creation_input_tokens") + number(usage, "cache_read_input_tokens") + number(usage, "output_tokens")
}

func TestCachedTokensAreNotAmongAMessagesInputTokens(t *testing.T) {
	var e fakemodel.Endpoint
	const body = `{"model":"m","max_tokens":9,"messages":[{"role":"user","content":"What time is it now, and what time was it?"}]}`
	whole := number(call(t, &e, "POST", messages, body).fields, "usage", "input_tokens")
	got := call(t, &e, "POST", messages, body, fakemodel.Header, "cached=5,cache-write=2")
	for field, want := range map[string]int64{"input_tokens": whole - 7, "cache_read_input_tokens": 5, "cache_creation_input_tokens": 2, "output_tokens": 9} {
		if n := number(got.fields, "usage", field); n != want {
			t.Errorf("%s: got %d, want %d: %s", field, n, want, got.text)
		}
	}
	if got := call(t, &e, "POST", messages+"/count_tokens", body); number(got.fields, "input_tokens") != whole {
		t.Errorf("got the count %s, want %d", got.text, whole)
	}
}

func TestACompactionIsBilledButOnlyAmongTheIterations(t *testing.T) {
	var e fakemodel.Endpoint
	const body = `{"model":"m","max_tokens":9,"messages":[{"role":"user","content":"x"}]}`
	for beta, want := range map[string]int64{"": 0, "compact-2026-01-12": 500} {
		var got reply
		cost := billed(&e, func() {
			got = call(t, &e, "POST", messages, body, fakemodel.Header, "compaction=400", "Anthropic-Beta", beta)
		})
		compaction := max(0, number(got.fields, "usage", "iterations", 0, "input_tokens")+number(got.fields, "usage", "iterations", 0, "output_tokens"))
		if compaction != want || cost != total(got.fields["usage"])+want {
			t.Errorf("beta %q: got %s for %d tokens, want %d tokens in addition to the usage", beta, got.text, cost, want)
		}
	}
}

func TestMessageErrorsHaveAnthropicsForm(t *testing.T) {
	var e fakemodel.Endpoint
	const good = `{"model":"m","max_tokens":9,"messages":[{"role":"user","content":"x"}]}`
	for name, test := range map[string]struct {
		body, header, value, kind string
		status                    int
	}{
		"without a cap":     {`{"model":"m","messages":[{"role":"user","content":"x"}]}`, "", "", "invalid_request_error", 400},
		"a cap of 0":        {`{"model":"m","max_tokens":0,"messages":[{"role":"user","content":"x"}]}`, "", "", "invalid_request_error", 400},
		"without a version": {good, "Anthropic-Version", "", "invalid_request_error", 400},
		"wrong key":         {good, "X-Api-Key", "wrong", "authentication_error", 401},
		"rate limit":        {good, fakemodel.Header, "status=429,retry-after=7s", "rate_limit_error", 429},
		"overloaded":        {good, fakemodel.Header, "status=529", "overloaded_error", 529},
		"thinks too much":   {`{"model":"m","max_tokens":1024,"thinking":{"type":"enabled","budget_tokens":1024},"messages":[{"role":"user","content":"x"}]}`, "", "", "invalid_request_error", 400},
	} {
		got := call(t, &e, "POST", messages, test.body, append([]string{}, test.header, test.value)...)
		if got.status != test.status || got.fields["type"] != "error" || at(got.fields, "error", "type") != test.kind || got.fields["request_id"] != got.header.Get("Request-Id") {
			t.Errorf("%s: got %d %s, want %d %s", name, got.status, got.text, test.status, test.kind)
		}
	}
	all := events(t, call(t, &e, "POST", messages, `{"stream":true,`+good[1:], fakemodel.Header, "fail-after=4").text)
	if end := all[len(all)-1]; len(all) != 5 || end.name != "error" || at(end.fields, "error", "type") != "overloaded_error" {
		t.Errorf("got %d events and the end %s, want 5 and an error", len(all), end.data)
	}
}

func TestModelsAreListedInTheFormOfTheAPI(t *testing.T) {
	var e fakemodel.Endpoint
	if got := call(t, &e, "GET", "/openai/v1/models", ""); got.fields["object"] != "list" || at(got.fields, "data", 0, "object") != "model" {
		t.Errorf("got %s, want OpenAI's list", got.text)
	}
	for path, field := range map[string]string{"/openai/v1/models/gpt-5-mini": "object", "/anthropic/v1/models/claude-sonnet-5": "type"} {
		if got := call(t, &e, "GET", path, ""); got.fields[field] != "model" {
			t.Errorf("%s: got %s, want the model", path, got.text)
		}
		if got := call(t, &e, "GET", path+"x", ""); got.status != 404 {
			t.Errorf("%sx: got %d %s, want 404", path, got.status, got.text)
		}
	}
	if got := call(t, &e, "GET", "/anthropic/v1/models", ""); got.fields["has_more"] != false || at(got.fields, "data", 0, "type") != "model" || at(got.fields, "data", 0, "id") != got.fields["first_id"] {
		t.Errorf("got %s, want Anthropic's list", got.text)
	}
}

package response_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"tollgate/handler/limit"
	"tollgate/handler/operation"
	"tollgate/handler/operation/response"
)

const (
	usage   = `{"input_tokens":40,"input_tokens_details":{"cached_tokens":30,"cache_write_tokens":5},"output_tokens":60,"output_tokens_details":{"reasoning_tokens":50},"total_tokens":100}`
	message = `{"type":"message","role":"assistant","content":[{"type":"output_text","text":"hello"}]}`
)

var used = limit.Usage{PromptTokens: 40, CompletionTokens: 60, CachedTokens: 30, CacheWriteTokens: 5, ReasoningTokens: 50}

func TestReadReturnsUsageIDAndKindOfABody(t *testing.T) {
	for body, want := range map[string]operation.Answer{
		`{"id":"resp_1","status":"completed","error":null,"output":[` + message + `],"usage":` + usage + `}`:       {Usage: used, Report: operation.UsageGood, ID: "resp_1", IsAnswer: true, Written: true},
		`{"usage":` + usage + `,"output":[],"status":"incomplete","id":"resp_1"}`:                                  {Usage: used, Report: operation.UsageGood, ID: "resp_1", IsAnswer: true},
		`{"id":"resp_1","status":"failed","error":{"code":"server_error","message":"x"},"output":[],"usage":null}`: {Report: operation.UsageNull, ID: "resp_1", IsAnswer: true, Failed: true},
		`{"status":"completed","output":[` + message + `]}`:                                                        {IsAnswer: true, Written: true},
		`{"status":"completed","output":[` + message + `],"usage":{"input_tokens":4,"output_tokens":0}}`:           {Usage: limit.Usage{PromptTokens: 4}, Report: operation.UsageBad, IsAnswer: true, Written: true},
		`{"status":"completed","output":[],"usage":{"input_tokens":-4,"output_tokens":1}}`:                         {Report: operation.UsageBad, IsAnswer: true},
		`{"status":"completed","output":[],"usage":{"prompt_tokens":4,"completion_tokens":1}}`:                     {Report: operation.UsageBad, IsAnswer: true},
		`{"error":{"message":"no"}}`: {IsAnswer: true, Failed: true},
		`{"id":"resp_1","status":"completed","output":[{"type":"function_call","arguments":"{}"},{"content":[{"te`: {ID: "resp_1", IsAnswer: true, Written: true, Unread: true},
		``:               {Unread: true},
		`<html>`:         {Unread: true},
		`{}`:             {},
		`[1]`:            {},
		`{"output":"x"}`: {},
	} {
		if diff := cmp.Diff(want, response.Operation.Read([]byte(body), nil)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", body, diff)
		}
	}
}

func TestReadPassesOnTheModelsTextButNoSummary(t *testing.T) {
	var text []string
	response.Operation.Read([]byte(`{"output":[{"type":"reasoning","summary":[{"text":"sum"}],"content":[{"type":"reasoning_text","text":"why"}]},
		{"type":"message","content":[{"type":"output_text","text":"a\u0062"},{"type":"refusal","refusal":"no"}]},
		{"type":"function_call","name":"f","arguments":"{}"},{"type":"custom_tool_call","input":"in"},{"type":"code_interpreter_call","code":"1+1"}],"usage":{}}`),
		func(_ int64, t []byte) { text = append(text, string(t)) })
	if got, want := strings.Join(text, "|"), "why|ab|no|{}|in|1+1"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// event returns a server-sent event.
func event(kind, rest string) string {
	return fmt.Sprintf("event: %s\ndata: {\"type\":%q,\"sequence_number\":1%s}\n\n", kind, kind, rest)
}

// follow follows a stream in pieces of size bytes, and returns the state at its end, its
// text and the kinds of its events.
func follow(stream string, size int) (state operation.Progress, text string, kinds []operation.Kind) {
	s := response.Operation.Follow(func(_ int64, t []byte) { text += string(t) })
	inspect := func(event []byte) { kinds = append(kinds, s.Inspect(event)) }
	for piece := []byte(stream); len(piece) > 0; {
		n := min(size, len(piece))
		s.Split(piece[:n], inspect)
		piece = piece[n:]
	}
	s.End(inspect)
	return s.State(), text, kinds
}

var (
	created = event("response.created", `,"response":{"id":"resp_1","status":"in_progress","output":[],"usage":null}`)
	delta   = event("response.output_text.delta", `,"delta":"hel\u006co","obfuscation":"xyz"`)
)

func final(kind, more string) string {
	return event("response."+kind, `,"response":{"id":"resp_1","status":"`+kind+`","output":[`+message+`]`+more+`}`)
}

func TestAStreamEndsWithTheFinalResponseAndItsUsage(t *testing.T) {
	whole := operation.Progress{ID: "resp_1", Begun: true, Usage: used, Report: operation.UsageGood, IsAnswer: true, Finished: true, Done: true}
	failed := operation.Progress{ID: "resp_1", Begun: true, IsAnswer: true, Finished: true, Done: true, Failed: true, Report: operation.UsageNull}
	for stream, want := range map[string]operation.Progress{
		"": {},
		event("response.queued", `,"response":{"id":"resp_1","status":"queued"}`): {ID: "resp_1", IsAnswer: true},
		created: {ID: "resp_1", Begun: true, IsAnswer: true},
		created + delta + final("completed", `,"usage":`+usage):                                             whole,
		created + delta + final("incomplete", `,"usage":`+usage) + "data: [DONE]\n\n":                       whole,
		strings.TrimRight(created+final("completed", `,"usage":`+usage), "\n"):                              whole,
		created + event("response.novelty", `,"delta":"x"`):                                                 {ID: "resp_1", Begun: true, IsAnswer: true},
		created + delta + "data: [DONE]\n\n":                                                                {ID: "resp_1", Begun: true, IsAnswer: true},
		created + event("response.failed", `,"response":{"id":"resp_1","error":{"code":"x"},"usage":null}`): failed,
		created + delta + final("completed", ""):                                                            {ID: "resp_1", Begun: true, IsAnswer: true, Finished: true, Done: true},
		created + delta + final("completed", `,"usage":{"input_tokens":4,"output_tokens":0}`):               {ID: "resp_1", Begun: true, IsAnswer: true, Finished: true, Done: true, Usage: limit.Usage{PromptTokens: 4}, Report: operation.UsageBad},
		event("error", `,"code":"server_error","message":"x"`):                                              {IsAnswer: true, Failed: true},
		"data: {\"error\":{\"message\":\"x\"}}\n\n":                                                         {IsAnswer: true, Failed: true},
		"event: keepalive\ndata: {\"type\":\"keepalive\"}\n\n: comment\n\ndata: x\n\n":                      {Unread: 1},
		created + "data: {\"type\":\"response.output_text.delta\",\"delta\":\"hel":                          {ID: "resp_1", Begun: true, IsAnswer: true, Unread: 1},
	} {
		for _, size := range []int{1, 7, len(stream) + 1} {
			got, _, _ := follow(stream, size)
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("in pieces of %d: %s (-want +got):\n%s", size, stream, diff)
			}
		}
	}
}

func TestTheTextOfAStreamIsItsBilledDeltas(t *testing.T) {
	stream := created + event("response.reasoning_summary_text.delta", `,"delta":"sum"`) + event("response.reasoning_text.delta", `,"delta":"why "`) + delta +
		event("response.output_text.done", `,"text":"hello"`) + event("response.function_call_arguments.delta", `,"delta":"{}"`) + event("response.output_text.delta", `,"delta":{"x":1}`) + final("completed", `,"usage":`+usage)
	_, text, kinds := follow(stream, 11)
	if text != "why hello{}" {
		t.Errorf("got text %q, want the deltas that are billed: %q", text, "why hello{}")
	}
	if got := kinds[len(kinds)-1]; got != operation.Done {
		t.Errorf("got kind %v for the last event, want Done", got)
	}
}

// A final response repeats the whole output, the instructions and the tools.
func TestTheUsageOfAFinalResponseOfManyMegabytesIsRead(t *testing.T) {
	big := strings.Repeat("0123456789abcdef", 200_000)
	stream := created + event("response.completed", `,"response":{"id":"resp_1","instructions":"`+big+`","output":[{"type":"image_generation_call","result":"`+big+`"}],"usage":`+usage+`}`)
	got, _, _ := follow(stream, 32<<10)
	if !got.UsageCurrent() || got.Usage != used || !got.Done || got.Unread != 0 {
		t.Errorf("got %+v, want usage %+v and nothing unread", got, used)
	}
}

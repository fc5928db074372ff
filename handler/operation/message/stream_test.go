package message

import (
	"slices"
	"strings"
	"testing"

	"tollgate/handler/limit"
	"tollgate/handler/operation"
)

// event returns one event of a stream.
func event(kind, fields string) string {
	if fields != "" {
		fields = "," + fields
	}
	return "event: " + kind + "\ndata: {\"type\":\"" + kind + "\"" + fields + "}\n\n"
}

var (
	begin     = event("message_start", `"message":{"id":"msg_1","type":"message","role":"assistant","content":[],"stop_reason":null,"usage":{"input_tokens":20,"cache_creation_input_tokens":3,"cache_read_input_tokens":100,"output_tokens":1}}`)
	ping      = event("ping", "")
	thinks    = event("content_block_start", `"index":0,"content_block":{"type":"thinking","thinking":"","signature":""}`) + event("content_block_delta", `"index":0,"delta":{"type":"thinking_delta","thinking":"hm"}`) + event("content_block_delta", `"index":0,"delta":{"type":"signature_delta","signature":"c2ln"}`) + event("content_block_stop", `"index":0`)
	says      = event("content_block_start", `"index":1,"content_block":{"type":"text","text":""}`) + event("content_block_delta", `"index":1,"delta":{"type":"text_delta","text":"Hi"}`)
	saysEnd   = event("content_block_stop", `"index":1`)
	uses      = event("content_block_start", `"index":2,"content_block":{"type":"tool_use","id":"t","name":"f","input":{}}`) + event("content_block_delta", `"index":2,"delta":{"type":"input_json_delta","partial_json":"{\"a\":1}"}`) + event("content_block_stop", `"index":2`)
	soFar     = event("message_delta", `"delta":{"stop_reason":null,"stop_sequence":null},"usage":{"output_tokens":9}`)
	stops     = event("message_delta", `"delta":{"stop_reason":"end_turn","stop_sequence":null},"usage":{"input_tokens":21,"cache_creation_input_tokens":3,"cache_read_input_tokens":100,"output_tokens":40,"output_tokens_details":{"thinking_tokens":30}}`)
	stopsOld  = event("message_delta", `"delta":{"stop_reason":"end_turn","stop_sequence":null},"usage":{"output_tokens":40}`)
	compacted = event("message_delta", `"delta":{"stop_reason":"end_turn"},"usage":{"input_tokens":21,"cache_creation_input_tokens":3,"cache_read_input_tokens":100,"output_tokens":40,"iterations":[{"type":"compaction","input_tokens":1000,"cache_read_input_tokens":200,"output_tokens":70},{"type":"message","input_tokens":21,"output_tokens":40}]}`)
	end       = event("message_stop", "")
	overload  = event("error", `"error":{"type":"overloaded_error","message":"Overloaded"}`)
)

// followed follows a stream in chunks of n bytes, and returns the kinds of its events, the
// text and the state at the end.
func followed(stream string, n int) (kinds []operation.Kind, text string, state operation.Progress) {
	s := follow(func(_ int64, t []byte) { text += string(t) })
	inspect := func(event []byte) { kinds = append(kinds, s.Inspect(event)) }
	for chunk := range slices.Chunk([]byte(stream), n) {
		s.Split(chunk, inspect)
	}
	s.End(inspect)
	return kinds, text, s.State()
}

func TestTheLastCumulativeUsageCounts(t *testing.T) {
	for name, test := range map[string]struct {
		stream, text string
		usage        limit.Usage
	}{
		"text":                {begin + ping + says + saysEnd + stops + end, "Hi", limit.Usage{PromptTokens: 124, CompletionTokens: 40, CachedTokens: 100, CacheWriteTokens: 3, ReasoningTokens: 30}},
		"thinking and a tool": {begin + thinks + soFar + says + saysEnd + uses + stops + end, `hmHif{"a":1}`, limit.Usage{PromptTokens: 124, CompletionTokens: 40, CachedTokens: 100, CacheWriteTokens: 3, ReasoningTokens: 30}},
		"output at the end":   {begin + says + saysEnd + stopsOld + end, "Hi", limit.Usage{PromptTokens: 123, CompletionTokens: 40, CachedTokens: 100, CacheWriteTokens: 3}},
		"short cache writes":  {strings.Replace(begin, `"output_tokens"`, `"cache_creation":{"ephemeral_5m_input_tokens":2,"ephemeral_1h_input_tokens":1},"output_tokens"`, 1) + says + saysEnd + stops + end, "Hi", limit.Usage{PromptTokens: 124, CompletionTokens: 40, CachedTokens: 100, CacheWriteTokens: 3, ShortCacheWriteTokens: 2, ReasoningTokens: 30}},
		"compaction":          {begin + says + saysEnd + compacted + end, "Hi", limit.Usage{PromptTokens: 124 + 1200, CompletionTokens: 110, CachedTokens: 300, CacheWriteTokens: 3}},
		"no stop_reason":      {begin + says + saysEnd + soFar + end, "Hi", limit.Usage{PromptTokens: 123, CompletionTokens: 9, CachedTokens: 100, CacheWriteTokens: 3}},
		"an unknown type":     {begin + event("novelty", `"delta":{"text":"x"}`) + says + saysEnd + stops + end, "xHi", limit.Usage{PromptTokens: 124, CompletionTokens: 40, CachedTokens: 100, CacheWriteTokens: 3, ReasoningTokens: 30}},
	} {
		for _, n := range []int{1, 7, 4096} {
			_, text, got := followed(test.stream, n)
			if got.Usage != test.usage || !got.UsageCurrent() || !got.Done || !got.IsAnswer || got.Failed || text != test.text {
				t.Errorf("%s in chunks of %d: got the text %q and %+v, want %q and current usage %+v", name, n, text, got, test.text, test.usage)
			}
		}
	}
}

// A model may go on thinking without showing it: usage is complete only in a message_delta
// with a stop_reason, or at the stream's end.
func TestUsageIsNotCurrentBeforeTheModelHasStopped(t *testing.T) {
	for name, stream := range map[string]string{
		"the start":           begin,
		"a ping":              begin + ping,
		"text":                begin + says,
		"after thinking":      begin + thinks + soFar,
		"text after usage":    begin + thinks + soFar + says,
		"bad usage at last":   begin + says + saysEnd + strings.Replace(stops, `"output_tokens":40`, `"output_tokens":-1`, 1) + end,
		"no usage":            strings.ReplaceAll(begin+says+saysEnd+stops+end, `"usage"`, `"other"`),
		"an output of 0":      begin + says + saysEnd + strings.Replace(stops, `"output_tokens":40`, `"output_tokens":0`, 1) + end,
		"a prompt of 0":       strings.Replace(begin, `{"input_tokens":20,"cache_creation_input_tokens":3,"cache_read_input_tokens":100,`, `{"input_tokens":0,`, 1) + says + saysEnd + stopsOld + end,
		"too large an output": begin + says + saysEnd + strings.Replace(stops, `"output_tokens":40`, `"output_tokens":99999999999`, 1) + end,
		"text after the end":  begin + says + saysEnd + stops + says,
	} {
		if _, _, got := followed(stream, 4096); got.UsageCurrent() || !got.IsAnswer {
			t.Errorf("%s: got %+v, want an answer whose usage isn't current", name, got)
		}
	}
}

func TestMessageStartReportsThePrompt(t *testing.T) {
	reported := limit.Usage{PromptTokens: 123, CachedTokens: 100, CacheWriteTokens: 3}
	const counts = `"input_tokens":20,"cache_creation_input_tokens":3,"cache_read_input_tokens":100,`
	start := func(other string) string { return strings.Replace(begin, counts, other, 1) }
	for name, test := range map[string]struct {
		stream string
		begun  bool
		want   limit.Usage
	}{
		"the start":          {begin, true, reported},
		"text":               {begin + says, true, reported},
		"thinking":           {begin + thinks + soFar, true, reported},
		"a raised count":     {begin + says + saysEnd + stops, true, limit.Usage{PromptTokens: 124, CachedTokens: 100, CacheWriteTokens: 3}},
		"bad usage at last":  {begin + says + saysEnd + strings.Replace(stops, `"input_tokens":21`, `"input_tokens":-1`, 1) + end, true, reported},
		"no caches":          {start(`"input_tokens":20,"cache_read_input_tokens":null,`), true, limit.Usage{PromptTokens: 20}},
		"an unknown input":   {start(`"cache_read_input_tokens":100,`), true, limit.Usage{}},
		"a prompt of 0":      {start(`"input_tokens":0,`), true, limit.Usage{}},
		"a negative count":   {start(`"input_tokens":20,"cache_read_input_tokens":-1,`), true, limit.Usage{}},
		"too large an input": {start(`"input_tokens":99999999999,`), true, limit.Usage{}},
		"no usage":           {strings.Replace(begin, `"usage"`, `"other"`, 1), true, limit.Usage{}},
		"text alone":         {says, true, limit.Usage{}},
		"a ping":             {ping, false, limit.Usage{}},
		"an unknown type":    {event("novelty", `"usage":{"input_tokens":9}`), false, limit.Usage{}},
		"an error":           {overload, false, limit.Usage{}},
	} {
		if _, _, got := followed(test.stream, 64); got.Prompt != test.want || got.Begun != test.begun {
			t.Errorf("%s: got %+v, want the prompt %+v and begun %t", name, got, test.want, test.begun)
		}
	}
}

func TestInspectReturnsTheKindOfEachEvent(t *testing.T) {
	kinds, _, got := followed(begin+ping+": comment\n\n"+says+event("novelty", "")+overload, 4096)
	want := []operation.Kind{operation.Chunk, operation.Other, operation.Other, operation.Chunk, operation.Chunk, operation.Other, operation.Failure}
	if !slices.Equal(kinds, want) || !got.Failed || got.Done || got.UsageCurrent() || !got.Complete() {
		t.Errorf("got the kinds %v and %+v, want %v and a failure", kinds, got, want)
	}
	if _, _, got := followed(overload, 4096); !got.Failed || !got.IsAnswer {
		t.Errorf("an error alone: got %+v, want a failure", got)
	}
	if _, _, got := followed(ping+": x\n\ndata: hello\n\n", 4096); got.IsAnswer {
		t.Errorf("got %+v, want no answer in pings and other data", got)
	}
	if kinds, _, got := followed(end, 4096); kinds[0] != operation.Done || !got.Done || got.UsageCurrent() {
		t.Errorf("an end alone: got %v and %+v, want Done without usage", kinds, got)
	}
}

func TestALongEventIsRelayedUnread(t *testing.T) {
	long := event("content_block_start", `"index":0,"content_block":{"type":"web_fetch_tool_result","content":"`+strings.Repeat("x", 2<<20)+`"}`)
	if _, _, got := followed(begin+long+says+saysEnd+event("content_block_stop", `"index":0`)+stops+end, 32<<10); got.Unread != 1 || !got.UsageCurrent() {
		t.Errorf("got %+v, want one event unread, and the usage after it", got)
	}
}

func TestAnAnswerIsReadWithItsUsageAndText(t *testing.T) {
	const usage = `"usage":{"input_tokens":20,"cache_creation_input_tokens":null,"cache_read_input_tokens":5,"output_tokens":7,"service_tier":"standard"}`
	for name, test := range map[string]struct {
		body, text string
		want       operation.Answer
	}{
		"text":   {`{"type":"message","content":[{"type":"text","text":"Hi"}],` + usage + `}`, "Hi", operation.Answer{Usage: limit.Usage{PromptTokens: 25, CompletionTokens: 7, CachedTokens: 5}, Report: operation.UsageGood, IsAnswer: true, Written: true}},
		"a tool": {`{"type":"message","content":[{"type":"tool_use","id":"t","name":"f","input":{"a":1}},{"type":"web_search_tool_result","content":[{"text":"found"}]}],` + usage + `}`, `f{"a":1}`, operation.Answer{Usage: limit.Usage{PromptTokens: 25, CompletionTokens: 7, CachedTokens: 5}, Report: operation.UsageGood, IsAnswer: true, Written: true}},
		"short cache writes": {`{"type":"message","content":[],"usage":{"input_tokens":2,"cache_creation_input_tokens":9,"cache_creation":{"ephemeral_5m_input_tokens":4,"ephemeral_1h_input_tokens":5},"output_tokens":7}}`, "",
			operation.Answer{Usage: limit.Usage{PromptTokens: 11, CompletionTokens: 7, CacheWriteTokens: 9, ShortCacheWriteTokens: 4}, Report: operation.UsageGood, IsAnswer: true}},
		"impossible cache writes": {`{"type":"message","content":[],"usage":{"input_tokens":2,"cache_creation_input_tokens":9,"cache_creation":{"ephemeral_5m_input_tokens":10},"output_tokens":7}}`, "",
			operation.Answer{Usage: limit.Usage{PromptTokens: 11, CompletionTokens: 7, CacheWriteTokens: 9}, Report: operation.UsageGood, IsAnswer: true}},
		"no usage": {`{"type":"message","content":[{"type":"text","text":"Hi"}]}`, "Hi", operation.Answer{Report: operation.UsageMissing, IsAnswer: true, Written: true}},
		"null":     {`{"type":"message","content":[],"usage":null}`, "", operation.Answer{Report: operation.UsageNull, IsAnswer: true}},
		"an error": {`{"type":"error","error":{"type":"api_error","message":"m"}}`, "", operation.Answer{IsAnswer: true, Failed: true}},
		"HTML":     {`<html>`, "", operation.Answer{Unread: true}},
		"blank":    {" \n", "", operation.Answer{Unread: true}},
		"cut off":  {`{"type":"message","content":[{"type":"text","text":"Hi th`, "Hi th", operation.Answer{IsAnswer: true, Written: true, Unread: true}},
	} {
		var text string
		got := read([]byte(test.body), func(_ int64, t []byte) { text += string(t) })
		if test.want.Report != operation.UsageGood {
			got.Usage = limit.Usage{} // it isn't valid
		}
		if got != test.want || text != test.text {
			t.Errorf("%s: got %+v and the text %q, want %+v and %q", name, got, text, test.want, test.text)
		}
	}
}

// FuzzStream checks that a stream means the same whatever its chunks are.
func FuzzStream(f *testing.F) {
	f.Add([]byte(begin+thinks+soFar+says+saysEnd+uses+compacted+end), 7)
	f.Add([]byte(begin+says+overload), 3)
	f.Fuzz(func(t *testing.T, stream []byte, n int) {
		if n < 1 || n > len(stream) {
			return
		}
		_, text, whole := followed(string(stream), len(stream))
		if _, other, got := followed(string(stream), n); got != whole || other != text {
			t.Errorf("in chunks of %d: got %+v and %q, want %+v and %q", n, got, other, whole, text)
		}
	})
}

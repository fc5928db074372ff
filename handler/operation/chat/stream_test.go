package chat

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"tollgate/handler/limit"
	"tollgate/handler/operation"
)

// readStream inspects a stream in chunks of n bytes, and returns the kinds of its events
// and the text of each choice.
func readStream(s *Stream, stream string, n int) (kinds []operation.Kind, written map[int64]string) {
	written = make(map[int64]string)
	s.Text = func(choice int64, text []byte) { written[choice] += string(text) }
	inspect := func(event []byte) { kinds = append(kinds, s.Inspect(event)) }
	for chunk := range slices.Chunk([]byte(stream), n) {
		s.Split(chunk, inspect)
	}
	s.End(inspect)
	return kinds, written
}

const (
	thinking = `data: {"id":"1","object":"chat.completion.chunk","choices":[{"index":0,"delta":{"role":"assistant","reasoning_content":"hm"},"finish_reason":null}],"usage":null}` + "\n\n"
	saying   = `data: {"id":"1","object":"chat.completion.chunk","choices":[{"delta":{"content":"Hi \"you\""},"index":0,"finish_reason":null}]}` + "\n\n"
	stopping = `data: {"id":"1","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}` + "\n\n"
	usage    = `data: {"id":"1","choices":[],"usage":{"prompt_tokens":25,"completion_tokens":3,"total_tokens":28}}` + "\n\n"
	both     = `data: {"id":"1","choices":[{"index":0,"delta":{"content":""},"finish_reason":"stop"}],"usage":{"prompt_tokens":25,"completion_tokens":3,"total_tokens":28}}` + "\n\n"
	done     = "data: [DONE]\n\n"
)

// reported is the usage in the event usage.
var reported = limit.Usage{PromptTokens: 25, CompletionTokens: 3}

// shapes are streams as endpoints send them, with the expected kinds and state.
var shapes = map[string]struct {
	stream string
	kinds  []operation.Kind
	want   operation.Progress
}{
	"usage in a chunk of its own": {
		thinking + saying + stopping + usage + done,
		[]operation.Kind{operation.Chunk, operation.Chunk, operation.Chunk, operation.UsageOnly, operation.Done},
		operation.Progress{Usage: reported, Report: operation.UsageGood, Finished: true, Done: true}},
	"usage with the finish_reason": {
		thinking + saying + both + done,
		[]operation.Kind{operation.Chunk, operation.Chunk, operation.Chunk, operation.Done},
		operation.Progress{Usage: reported, Report: operation.UsageGood, Finished: true, Done: true}},
	"usage null to the end": {
		thinking + saying + stopping + done,
		[]operation.Kind{operation.Chunk, operation.Chunk, operation.Chunk, operation.Done},
		operation.Progress{Report: operation.UsageNull, Finished: true, Done: true}},
	"no usage": {
		saying + stopping + done,
		[]operation.Kind{operation.Chunk, operation.Chunk, operation.Done},
		operation.Progress{Finished: true, Done: true}},
	"cut after some text": {
		thinking + saying,
		[]operation.Kind{operation.Chunk, operation.Chunk},
		operation.Progress{Report: operation.UsageNull}},
	"usage in every chunk, cut": {
		saying + both + saying,
		[]operation.Kind{operation.Chunk, operation.Chunk, operation.Chunk},
		operation.Progress{Usage: reported, Report: operation.UsageGood, Stale: true}},
	"usage of zeros, though there was text": {
		saying + strings.ReplaceAll(strings.ReplaceAll(usage, `"completion_tokens":3`, `"completion_tokens":0`), "28", "25") + done,
		[]operation.Kind{operation.Chunk, operation.UsageOnly, operation.Done},
		operation.Progress{Report: operation.UsageBad, Done: true}},
	"bad usage after good": {
		saying + usage + strings.ReplaceAll(usage, "25", "-25") + done,
		[]operation.Kind{operation.Chunk, operation.UsageOnly, operation.UsageOnly, operation.Done},
		operation.Progress{Usage: reported, Report: operation.UsageGood, Done: true}},
	"usage without choices": {
		strings.ReplaceAll(usage, `"choices":[],`, ``),
		[]operation.Kind{operation.UsageOnly},
		operation.Progress{Usage: reported, Report: operation.UsageGood}},
	"no choices, but no usage either": {
		`data: {"choices":[],"prompt_filter_results":[{"prompt_index":0}]}` + "\n\n" + saying,
		[]operation.Kind{operation.Chunk, operation.Chunk},
		operation.Progress{}},
	"an error in place of a chunk": {
		saying + `data: {"error":{"message":"overloaded","code":503}}` + "\n\n",
		[]operation.Kind{operation.Chunk, operation.Failure},
		operation.Progress{Failed: true}},
	"an event named error": {
		saying + "event: error\ndata: {\"message\":\"overloaded\"}\n\n",
		[]operation.Kind{operation.Chunk, operation.Failure},
		operation.Progress{Failed: true}},
	"comments, pings and unknown fields": {
		": hi\n\n" + "\n" + "retry: 3\nid: 7\n\n" + "data\n\n" + "data:\n\n" + saying,
		[]operation.Kind{operation.Other, operation.Other, operation.Other, operation.Other, operation.Other, operation.Chunk},
		operation.Progress{}},
	"junk": {
		"data: {\"choices\":[\n\n" + "data: hello\n\n" + "data: [1]\n\n" + "data: {}{}\n\n" + saying,
		[]operation.Kind{operation.Chunk, operation.Other, operation.Other, operation.Other, operation.Chunk},
		operation.Progress{Unread: 2}},
	"data over several lines": {
		"data: {\"choices\":[],\ndata: \"usage\":{\"prompt_tokens\":25,\r\ndata:\"completion_tokens\":3}}\n\n" + "data: [DONE]\r\n\r\n",
		[]operation.Kind{operation.UsageOnly, operation.Done},
		operation.Progress{Usage: reported, Report: operation.UsageGood, Done: true}},
	"no space after data, a byte order mark, lines ended by CR": {
		"\xEF\xBB\xBF" + strings.ReplaceAll(strings.ReplaceAll(usage+done, "\n", "\r"), "data: ", "data:"),
		[]operation.Kind{operation.UsageOnly, operation.Done},
		operation.Progress{Usage: reported, Report: operation.UsageGood, Done: true}},
	"no blank line at the end": {
		saying + strings.TrimSpace(usage),
		[]operation.Kind{operation.Chunk, operation.UsageOnly},
		operation.Progress{Usage: reported, Report: operation.UsageGood}},
	"usage after [DONE]": {
		saying + stopping + done + usage,
		[]operation.Kind{operation.Chunk, operation.Chunk, operation.Done, operation.UsageOnly},
		operation.Progress{Usage: reported, Report: operation.UsageGood, Finished: true, Done: true}},
	"usage in the choice": {
		saying + strings.Replace(stopping, `"stop"`, `"stop","usage":{"prompt_tokens":25,"completion_tokens":3,"total_tokens":28}`, 1) + done,
		[]operation.Kind{operation.Chunk, operation.Chunk, operation.Done},
		operation.Progress{Usage: reported, Report: operation.UsageGood, Finished: true, Done: true}},
	"usage in one of two choices, the other unfinished": {
		ofSecond(saying) + saying + strings.Replace(stopping, `"stop"`, `"stop","usage":{"prompt_tokens":25,"completion_tokens":3,"total_tokens":28}`, 1),
		[]operation.Kind{operation.Chunk, operation.Chunk, operation.Chunk},
		operation.Progress{}},
	"usage in each of two choices": {
		saying + strings.Replace(stopping, `"stop"`, `"stop","usage":{"prompt_tokens":25,"completion_tokens":2}`, 1) +
			ofSecond(saying) + ofSecond(strings.Replace(stopping, `"stop"`, `"stop","usage":{"prompt_tokens":25,"completion_tokens":1}`, 1)),
		[]operation.Kind{operation.Chunk, operation.Chunk, operation.Chunk, operation.Chunk},
		operation.Progress{Usage: reported, Report: operation.UsageGood, Finished: true}},
	"usage in a choice that continues": {
		strings.Replace(stopping, `"stop"`, `null,"usage":{"prompt_tokens":25,"completion_tokens":3,"total_tokens":28}`, 1) + saying,
		[]operation.Kind{operation.Chunk, operation.Chunk},
		operation.Progress{Usage: reported, Report: operation.UsageGood, Stale: true}},
	"usage before something that isn't JSON": {
		saying + strings.Replace(usage, "}}\n", "}}x\n", 1) + done,
		[]operation.Kind{operation.Chunk, operation.UsageOnly, operation.Done},
		operation.Progress{Usage: reported, Report: operation.UsageGood, Done: true, Unread: 1}},
	"usage with NaN and infinities": {
		strings.Replace(both, `"finish_reason"`, `"logprobs":{"content":[{"logprob":-Infinity,"top":NaN}]},"finish_reason"`, 1),
		[]operation.Kind{operation.Chunk},
		operation.Progress{Usage: reported, Report: operation.UsageGood, Finished: true}},
	"a byte order mark in the data": {
		strings.Replace(usage, "data: ", "data: \xEF\xBB\xBF", 1),
		[]operation.Kind{operation.UsageOnly},
		operation.Progress{Usage: reported, Report: operation.UsageGood}},
	"text after the finish_reason": {
		saying + stopping + saying,
		[]operation.Kind{operation.Chunk, operation.Chunk, operation.Chunk},
		operation.Progress{}},
	"no text after the finish_reason": {
		saying + stopping + strings.Replace(stopping, `"stop"`, `null`, 1),
		[]operation.Kind{operation.Chunk, operation.Chunk, operation.Chunk},
		operation.Progress{Finished: true}},
	"a choice that never ends": {
		saying + ofSecond(saying) + stopping,
		[]operation.Kind{operation.Chunk, operation.Chunk, operation.Chunk},
		operation.Progress{}},
	"two choices that end": {
		saying + ofSecond(saying) + stopping + ofSecond(stopping),
		[]operation.Kind{operation.Chunk, operation.Chunk, operation.Chunk, operation.Chunk},
		operation.Progress{Finished: true}},
	"two choices that end together": {
		saying + ofSecond(saying) + `data: {"choices":[{"index":1,"delta":{},"finish_reason":"length"},{"index":0,"delta":{},"finish_reason":"stop"}]}` + "\n\n",
		[]operation.Kind{operation.Chunk, operation.Chunk, operation.Chunk},
		operation.Progress{Finished: true}},
	"a filtered prompt": {
		`data: {"choices":[{"index":0,"delta":{},"finish_reason":"content_filter"}]}` + "\n\n",
		[]operation.Kind{operation.Chunk},
		operation.Progress{Finished: true}},
	"a tool call alone": {
		`data: {"choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"function":{"name":"f","arguments":"{}"}}]},"finish_reason":"tool_calls"}]}` + "\n\n",
		[]operation.Kind{operation.Chunk},
		operation.Progress{Finished: true}},
	"an error of 0 and blank": {
		strings.Replace(saying, "{", `{"error":{"code":0,"message":""},`, 1) + stopping,
		[]operation.Kind{operation.Chunk, operation.Chunk},
		operation.Progress{Finished: true}},
	"an error beside an empty choice": {
		saying + `data: {"error":{"code":502},"choices":[{"index":0,"delta":{"content":""},"finish_reason":"error"}]}` + "\n\n",
		[]operation.Kind{operation.Chunk, operation.Failure},
		operation.Progress{Finished: true, Failed: true}},
	"the word usage in the text": {
		`data: {"choices":[{"index":0,"delta":{"content":"\"usage\":{\"prompt_tokens\":1,\"completion_tokens\":1}"}}]}` + "\n\n",
		[]operation.Kind{operation.Chunk},
		operation.Progress{}},
}

// ofSecond returns an event with the second choice in place of the first.
func ofSecond(event string) string { return strings.Replace(event, `"index":0`, `"index":1`, 1) }

// Some servers send a finish_reason with every chunk.
func TestOnlyARealFinishReasonEndsAChoice(t *testing.T) {
	for reason, want := range map[string]bool{
		`"stop"`: true, `"length"`: true, `"content_filter"`: true, `"eos_token"`: true, `"st\u006fp"`: true,
		`""`: false, `" "`: false, `"null"`: false, `"NULL"`: false, `"None"`: false, `"undefined"`: false, `"n\u0075ll"`: false,
		`null`: false, `false`: false, `true`: false, `0`: false, `1`: false, `{}`: false, `{"type":"stop"}`: false, `[]`: false, `["stop"]`: false,
	} {
		var s Stream
		readStream(&s, `data: {"choices":[{"index":0,"delta":{"content":"hi"},"finish_reason":`+reason+`}]}`+"\n\n", 16)
		if s.Finished != want || s.Unread > 0 {
			t.Errorf("%s: got finished %t, want %t; unread %d, want 0", reason, s.Finished, want, s.Unread)
		}
	}
}

func TestAStreamIsAnAnswerOnlyWithChoicesUsageOrAnError(t *testing.T) {
	for stream, want := range map[string]bool{
		saying: true, stopping: true, usage: true, `data: {"error":"overloaded"}` + "\n\n": true, "event: error\ndata: x\n\n": true,
		`data: {"choices":[{"delta":{"role":"assistant"}}]}` + "\n\n": true,
		"": false, done: false, ": hi\n\n: hi\n\n" + done: false, "\n\n\n": false, "data\n\ndata:\n\n" + done: false,
		"data: hello\n\n" + done: false, "data: <html>\n\n": false, "data: {}\n\n": false, "data: []\n\n" + done: false, `data: {"type":"ping"}` + "\n\n": false,
		`data: {"choices":[]}` + "\n\n" + done: false, `data: {"choices":{}}` + "\n\n" + done: false, `data: {"choices":[7]}` + "\n\n" + done: false,
		`data: {"usage":null}` + "\n\n" + done: false, "event: error\n\n" + done: false, "data: null\n\n" + done: false,
	} {
		var s Stream
		readStream(&s, stream, 16)
		if s.IsAnswer != want {
			t.Errorf("%q: got IsAnswer %t, want %t", stream, s.IsAnswer, want)
		}
	}
}

// If an answer has more choices than are tracked, it never counts as finished.
func TestTheNumberOfTrackedChoicesIsBounded(t *testing.T) {
	var s Stream
	var stream strings.Builder
	for i := range 10 * maxChoices {
		fmt.Fprintf(&stream, "data: {\"choices\":[{\"index\":%d,\"finish_reason\":\"stop\"}]}\n\n", i)
	}
	readStream(&s, stream.String(), 4096)
	if s.Finished || len(s.choices.each) > maxChoices {
		t.Errorf("got finished %t with %d choices tracked, want false and at most %d", s.Finished, len(s.choices.each), maxChoices)
	}
}

func TestStreamReadsEveryServersForm(t *testing.T) {
	for name, c := range shapes {
		t.Run(name, func(t *testing.T) {
			for _, n := range []int{1, 7, len(c.stream)} {
				var s Stream
				kinds, _ := readStream(&s, c.stream, n)
				if !slices.Equal(kinds, c.kinds) {
					t.Errorf("in chunks of %d: got kinds %v, want %v", n, kinds, c.kinds)
				}
				if got, want := outcome(s.State()), outcome(c.want); got != want {
					t.Errorf("in chunks of %d: got %s, want %s", n, got, want)
				}
			}
		})
	}
}

func outcome(s operation.Progress) string {
	return fmt.Sprintf("%v %v stale %v finished %v done %v failed %v unread %d",
		s.Report, s.Usage, s.Stale, s.Finished, s.Done, s.Failed, s.Unread)
}

func TestStreamPassesOnTextAsItArrives(t *testing.T) {
	var s Stream
	_, written := readStream(&s, thinking+saying+
		`data: {"choices":[{"delta":{"tool_calls":[{"index":0,"function":{"name":"f","arguments":"{\"a\""}}]},"index":2}]}`+"\n\n"+
		`data: {"choices":[{"index":2,"delta":{"tool_calls":[{"index":0,"function":{"arguments":":1}"}}]}}]}`+"\n\n", 5)
	if written[0] != `hmHi "you"` || written[2] != `f{"a":1}` || len(written) != 2 {
		t.Errorf("got %v, want %q of choice 0 and %q of choice 2", written, `hmHi "you"`, `f{"a":1}`)
	}
}

func FuzzStream(f *testing.F) {
	f.Add([]byte(thinking+saying+stopping+usage+done), uint8(9))
	f.Add([]byte(strings.ReplaceAll(saying+both+done, "\n", "\r\n")), uint8(1))
	f.Add([]byte("event: error\ndata: {\"a\":\ndata: 1}\n\n: x\n\ndata: \xff"), uint8(2))
	f.Fuzz(func(t *testing.T, stream []byte, n uint8) {
		var one, other Stream
		kinds, written := readStream(&one, string(stream), len(stream)+1)
		again, rewritten := readStream(&other, string(stream), int(n)+1)
		if !slices.Equal(kinds, again) || outcome(one.State()) != outcome(other.State()) || fmt.Sprint(written) != fmt.Sprint(rewritten) {
			t.Fatalf("in chunks of %d: got %s %v %v, want %s %v %v as in one",
				int(n)+1, outcome(other.State()), again, rewritten, outcome(one.State()), kinds, written)
		}
	})
}

func BenchmarkStream(b *testing.B) {
	event := []byte(`data: {"id":"chatcmpl-0123456789abcdef","object":"chat.completion.chunk","created":1738000000,"model":"DeepSeek-R1","choices":[{"index":0,"delta":{"content":" token"},"logprobs":null,"finish_reason":null}],"usage":null}` + "\n\n")
	s := Stream{Text: func(int64, []byte) {}}
	inspect := func(event []byte) { s.Inspect(event) }
	b.SetBytes(int64(len(event)))
	b.ReportAllocs()
	for b.Loop() {
		s.Split(event, inspect)
	}
	if s.Unread > 0 {
		b.Errorf("got %d events unread, want 0", s.Unread)
	}
}

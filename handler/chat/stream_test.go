package chat

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

// follow inspects a whole stream and gives the kinds of its events and the text
// of each choice.
func follow(s *Stream, stream string, n int) (kinds []Kind, written map[int64]string) {
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

// told is what usage tells.
var told = Usage{25, 3, 28, 0, 0}

// shapes are streams as endpoints send them, with what is to be made of them.
var shapes = map[string]struct {
	stream string
	kinds  []Kind
	want   Stream
}{
	"usage in a chunk of its own": {
		thinking + saying + stopping + usage + done,
		[]Kind{Chunk, Chunk, Chunk, UsageOnly, Done},
		Stream{Usage: told, Report: UsageTold, Finished: true, Done: true}},
	"usage with the finish_reason": {
		thinking + saying + both + done,
		[]Kind{Chunk, Chunk, Chunk, Done},
		Stream{Usage: told, Report: UsageTold, Finished: true, Done: true}},
	"usage null to the end": {
		thinking + saying + stopping + done,
		[]Kind{Chunk, Chunk, Chunk, Done},
		Stream{Report: UsageNull, Finished: true, Done: true}},
	"no usage": {
		saying + stopping + done,
		[]Kind{Chunk, Chunk, Done},
		Stream{Finished: true, Done: true}},
	"cut after some text": {
		thinking + saying,
		[]Kind{Chunk, Chunk},
		Stream{Report: UsageNull}},
	"usage in every chunk, cut": {
		saying + both + saying,
		[]Kind{Chunk, Chunk, Chunk},
		Stream{Usage: told, Report: UsageTold, Stale: true}},
	"usage of zeros, though there was text": {
		saying + strings.ReplaceAll(usage, `"completion_tokens":3`, `"completion_tokens":0`) + done,
		[]Kind{Chunk, UsageOnly, Done},
		Stream{Report: UsageBad, Done: true}},
	"bad usage after good": {
		saying + usage + strings.ReplaceAll(usage, "25", "-25") + done,
		[]Kind{Chunk, UsageOnly, UsageOnly, Done},
		Stream{Usage: told, Report: UsageTold, Done: true}},
	"usage without choices": {
		strings.ReplaceAll(usage, `"choices":[],`, ``),
		[]Kind{UsageOnly},
		Stream{Usage: told, Report: UsageTold}},
	"no choices, but no usage either": {
		`data: {"choices":[],"prompt_filter_results":[{"prompt_index":0}]}` + "\n\n" + saying,
		[]Kind{Chunk, Chunk},
		Stream{}},
	"an error in place of a chunk": {
		saying + `data: {"error":{"message":"overloaded","code":503}}` + "\n\n",
		[]Kind{Chunk, Failure},
		Stream{Failed: true}},
	"an event named error": {
		saying + "event: error\ndata: {\"message\":\"overloaded\"}\n\n",
		[]Kind{Chunk, Failure},
		Stream{Failed: true}},
	"comments, pings and unknown fields": {
		": hi\n\n" + "\n" + "retry: 3\nid: 7\n\n" + "data\n\n" + "data:\n\n" + saying,
		[]Kind{Other, Other, Other, Other, Other, Chunk},
		Stream{}},
	"junk": {
		"data: {\"choices\":[\n\n" + "data: hello\n\n" + "data: [1]\n\n" + "data: {}{}\n\n" + saying,
		[]Kind{Other, Other, Other, Other, Chunk},
		Stream{Unread: 4}},
	"data over several lines": {
		"data: {\"choices\":[],\ndata: \"usage\":{\"prompt_tokens\":25,\r\ndata:\"completion_tokens\":3}}\n\n" + "data: [DONE]\r\n\r\n",
		[]Kind{UsageOnly, Done},
		Stream{Usage: told, Report: UsageTold, Done: true}},
	"no space after data, a byte order mark, lines ended by CR": {
		"\xEF\xBB\xBF" + strings.ReplaceAll(strings.ReplaceAll(usage+done, "\n", "\r"), "data: ", "data:"),
		[]Kind{UsageOnly, Done},
		Stream{Usage: told, Report: UsageTold, Done: true}},
	"no blank line at the end": {
		saying + strings.TrimSpace(usage),
		[]Kind{Chunk, UsageOnly},
		Stream{Usage: told, Report: UsageTold}},
	"the word usage in the text": {
		`data: {"choices":[{"index":0,"delta":{"content":"\"usage\":{\"prompt_tokens\":1,\"completion_tokens\":1}"}}]}` + "\n\n",
		[]Kind{Chunk},
		Stream{}},
}

func TestStreamMetersEveryShape(t *testing.T) {
	for name, c := range shapes {
		t.Run(name, func(t *testing.T) {
			for _, n := range []int{1, 7, len(c.stream)} {
				var s Stream
				kinds, _ := follow(&s, c.stream, n)
				if !slices.Equal(kinds, c.kinds) {
					t.Errorf("kinds %v, want %v", kinds, c.kinds)
				}
				got, want := outcome(&s), outcome(&c.want)
				if got != want {
					t.Errorf("got %s, want %s", got, want)
				}
			}
		})
	}
}

func outcome(s *Stream) string {
	return fmt.Sprintf("%v %v stale %v finished %v done %v failed %v unread %d",
		s.Report, s.Usage, s.Stale, s.Finished, s.Done, s.Failed, s.Unread)
}

func TestStreamGivesWhatTheModelWroteAsItComes(t *testing.T) {
	var s Stream
	_, written := follow(&s, thinking+saying+
		`data: {"choices":[{"delta":{"tool_calls":[{"index":0,"function":{"name":"f","arguments":"{\"a\""}}]},"index":2}]}`+"\n\n"+
		`data: {"choices":[{"index":2,"delta":{"tool_calls":[{"index":0,"function":{"arguments":":1}"}}]}}]}`+"\n\n", 5)
	if written[0] != `hmHi "you"` || written[2] != `f{"a":1}` || len(written) != 2 {
		t.Errorf("got %v", written)
	}
}

func TestStreamReadsNothingFromPiecesOfALongEvent(t *testing.T) {
	var s Stream
	pieces := strings.Repeat("x", 2*maxEvent) + "\ndata: " + usage
	kinds, _ := follow(&s, "data: "+pieces+saying+done, 4096)
	if s.Report != UsageMissing || s.Unread == 0 || !s.Done {
		t.Errorf("got %s", outcome(&s))
	}
	if got := kinds[len(kinds)-2:]; !slices.Equal(got, []Kind{Chunk, Done}) {
		t.Errorf("the events after it are %v", got)
	}
}

func FuzzStream(f *testing.F) {
	f.Add([]byte(thinking+saying+stopping+usage+done), uint8(9))
	f.Add([]byte(strings.ReplaceAll(saying+both+done, "\n", "\r\n")), uint8(1))
	f.Add([]byte("event: error\ndata: {\"a\":\ndata: 1}\n\n: x\n\ndata: \xff"), uint8(2))
	f.Fuzz(func(t *testing.T, stream []byte, n uint8) {
		var one, other Stream
		kinds, written := follow(&one, string(stream), len(stream)+1)
		again, rewritten := follow(&other, string(stream), int(n)+1)
		if !slices.Equal(kinds, again) || outcome(&one) != outcome(&other) || fmt.Sprint(written) != fmt.Sprint(rewritten) {
			t.Fatalf("chunks of %d change what is read: %s %v, %s %v", n, outcome(&one), kinds, outcome(&other), again)
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
		b.Error("events were not read")
	}
}

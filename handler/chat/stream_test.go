package chat_test

import (
	"bytes"
	"strings"
	"testing"

	"tollgate/handler/chat"
)

func TestUsageOfAWholeAnswer(t *testing.T) {
	for name, test := range map[string]struct {
		body  string
		want  chat.Usage
		known bool
	}{
		"told":       {`{"usage":{"prompt_tokens":25,"completion_tokens":233,"total_tokens":258,"completion_tokens_details":{"reasoning_tokens":200}}}`, chat.Usage{Prompt: 25, Completion: 233, Reasoning: 200}, true},
		"missing":    {`{"choices":[]}`, chat.Usage{}, false},
		"null":       {`{"usage":null}`, chat.Usage{}, false},
		"empty":      {`{"usage":{}}`, chat.Usage{}, false},
		"negative":   {`{"usage":{"prompt_tokens":-5,"completion_tokens":1}}`, chat.Usage{}, false},
		"absurd":     {`{"usage":{"prompt_tokens":5,"completion_tokens":99999999999}}`, chat.Usage{}, false},
		"fractional": {`{"usage":{"prompt_tokens":5.5,"completion_tokens":1}}`, chat.Usage{}, false},
		"junk":       {`<html>`, chat.Usage{}, false},
	} {
		t.Run(name, func(t *testing.T) {
			got, known := chat.UsageOf([]byte(test.body))
			if known != test.known || known && got != test.want {
				t.Errorf("UsageOf = %+v, %t; want %+v, %t", got, known, test.want, test.known)
			}
		})
	}
}

func TestTextOfCountsReasoningAndToolCalls(t *testing.T) {
	body := `{"choices":[{"message":{"reasoning_content":"why ","content":"what ","tool_calls":[{"function":{"name":"f","arguments":"{}"}}]}},{"message":{"content":" two"}}]}`
	if got, want := chat.TextOf([]byte(body)), "why what f{} two"; got != want {
		t.Errorf("TextOf = %q, want %q", got, want)
	}
	if got := chat.TextOf([]byte("<html>")); got != "<html>" {
		t.Errorf("TextOf(junk) = %q: junk counts as it stands", got)
	}
}

// events feeds a stream to a splitter and a meter, and returns what is relayed.
func events(t testing.TB, m *chat.Meter, pieces ...string) string {
	t.Helper()
	var relayed strings.Builder
	var s chat.Splitter
	each := func(event []byte, whole bool) error {
		if !whole || m.Event(event) {
			relayed.Write(event)
		}
		return nil
	}
	for _, piece := range pieces {
		if err := s.Write([]byte(piece), each); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Close(each); err != nil {
		t.Fatal(err)
	}
	return relayed.String()
}

func TestMeterFindsUsageWhereverItComes(t *testing.T) {
	const usage = `"usage":{"prompt_tokens":25,"completion_tokens":3}`
	for name, stream := range map[string]string{
		"with finish_reason": `data: {"choices":[{"delta":{},"finish_reason":"stop"}],` + usage + "}\n\ndata: [DONE]\n\n",
		"chunk of its own":   "data: {\"choices\":[{\"delta\":{}}],\"usage\":null}\n\ndata: {\"choices\":[]," + usage + "}\n\ndata: [DONE]\n\n",
		"CRLF":               "data: {\"choices\":[]," + usage + "}\r\n\r\ndata: [DONE]\r\n\r\n",
		"CR":                 "data: {\"choices\":[]," + usage + "}\r\rdata: [DONE]\r\r",
		"no space, comments": ": hello\n\ndata:{\"choices\":[]," + usage + "}\n\ndata:[DONE]\n\n",
		"several data lines": "event: x\ndata: {\"choices\":[],\ndata: " + usage + "\ndata: }\n\ndata: [DONE]\n\n",
		"later replaces":     "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":0,\"completion_tokens\":0}}\n\ndata: {\"choices\":[]," + usage + "}\n\ndata: [DONE]\n\n",
	} {
		t.Run(name, func(t *testing.T) {
			var m chat.Meter
			if got := events(t, &m, stream); got != stream {
				t.Errorf("relayed %q, want every byte", got)
			}
			if u, known := m.Usage(); !known || u.Prompt != 25 || u.Completion != 3 || !m.Done() {
				t.Errorf("Usage = %+v, %t, done %t", u, known, m.Done())
			}
		})
	}
}

func TestMeterHidesOnlyTheUsageChunkItAskedFor(t *testing.T) {
	text := `data: {"choices":[{"delta":{"content":"hi"}}],"usage":null}` + "\n\n"
	filter := `data: {"choices":[],"prompt_filter_results":[]}` + "\n\n"
	finish := `data: {"choices":[{"delta":{},"finish_reason":"stop"}],"usage":{"prompt_tokens":1,"completion_tokens":1}}` + "\n\n"
	own := `data: {"choices":[],"usage":{"prompt_tokens":1,"completion_tokens":1}}` + "\n\n"
	done := "data: [DONE]\n\n"
	m := chat.Meter{HideUsage: true}
	if got, want := events(t, &m, filter+text+finish+own+done), filter+text+finish+done; got != want {
		t.Errorf("relayed %q, want %q", got, want)
	}
	m = chat.Meter{}
	if got, want := events(t, &m, own+done), own+done; got != want {
		t.Errorf("relayed %q, want %q: the caller asked for usage itself", got, want)
	}
}

func TestMeterTellsTextAndErrors(t *testing.T) {
	var text strings.Builder
	m := chat.Meter{Text: func(piece string) { text.WriteString(piece) }}
	events(t, &m, `data: {"choices":[{"delta":{"role":"assistant","content":null,"reasoning_content":"why "}}]}`+"\n\n"+
		`data: {"choices":[{"delta":{"content":"what"}}]}`+"\n\ndata: not json\n\n"+`data: {"error":{"message":"x"}}`+"\n\n")
	if text.String() != "why what" || !m.Failed() || m.Done() {
		t.Errorf("text %q, failed %t, done %t", text.String(), m.Failed(), m.Done())
	}
}

func TestAnEventLargerThanTheBoundIsPassedOnUnread(t *testing.T) {
	huge := "data: " + strings.Repeat("x", 3*chat.MaxEvent) + "\n\n"
	after := `data: {"choices":[],"usage":{"prompt_tokens":1,"completion_tokens":1}}` + "\n\n"
	var pieces []string
	for rest := huge + after; rest != ""; {
		n := min(len(rest), 4093)
		pieces = append(pieces, rest[:n])
		rest = rest[n:]
	}
	var m chat.Meter
	if got := events(t, &m, pieces...); got != huge+after {
		t.Errorf("relayed %d bytes, want %d unchanged", len(got), len(huge+after))
	}
	if _, known := m.Usage(); !known {
		t.Error("the event after the huge one was not read")
	}
}

// FuzzSplitter: however the stream is cut into pieces, the events are the same,
// and joined they are the stream.
func FuzzSplitter(f *testing.F) {
	f.Add([]byte("data: a\n\ndata: b\r\n\r\n: c\r\rdata: d"), uint8(1))
	f.Add([]byte("\n\n\n\r\n\rdata: [DONE]\n\n"), uint8(3))
	f.Add([]byte("data: a\r\n\r\ndata: b\r\n\r\n"), uint8(10))
	f.Fuzz(func(t *testing.T, stream []byte, size uint8) {
		split := func(step int) (got [][]byte) {
			var s chat.Splitter
			each := func(event []byte, _ bool) error {
				got = append(got, bytes.Clone(event))
				return nil
			}
			for rest := stream; len(rest) > 0; {
				n := min(step, len(rest))
				_ = s.Write(rest[:n], each)
				rest = rest[n:]
			}
			_ = s.Close(each)
			return got
		}
		whole, pieces := split(len(stream)+1), split(int(size)+1)
		if !bytes.Equal(bytes.Join(whole, nil), stream) {
			t.Fatalf("events %q don't join to %q", whole, stream)
		}
		if len(whole) != len(pieces) {
			t.Fatalf("whole: %q, in pieces of %d: %q", whole, int(size)+1, pieces)
		}
		for i := range whole {
			if !bytes.Equal(whole[i], pieces[i]) {
				t.Fatalf("whole: %q, in pieces of %d: %q", whole, int(size)+1, pieces)
			}
		}
	})
}

func BenchmarkMeterEvent(b *testing.B) {
	event := []byte(`data: {"id":"c1","object":"chat.completion.chunk","created":1,"model":"DeepSeek-R1","choices":[{"index":0,"delta":{"content":" word"},"finish_reason":null}]}` + "\n\n")
	m := chat.Meter{Text: func(string) {}}
	b.ReportAllocs()
	for b.Loop() {
		m.Event(event)
	}
}

package chat

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"tollgate/handler/operation"
)

// readParsing reads a stream as readStream does, but parses every event.
func readParsing(stream string) (s Stream, kinds []operation.Kind, written map[int64]string) {
	written = make(map[int64]string)
	s.Text = func(choice int64, text []byte) { written[choice] += string(text) }
	inspect := func(event []byte) {
		s.frame = frame{}
		kinds = append(kinds, s.Inspect(event))
	}
	s.Split([]byte(stream), inspect)
	s.End(inspect)
	return s, kinds, written
}

// wantAsParsed compares what a stream is found to hold with what parsing every event finds.
func wantAsParsed(t *testing.T, stream string) {
	t.Helper()
	var s Stream
	kinds, written := readStream(&s, stream, len(stream)+1)
	parsed, wantKinds, wantWritten := readParsing(stream)
	if got, want := outcome(s.State()), outcome(parsed.State()); got != want || s.IsAnswer != parsed.IsAnswer || !slices.Equal(kinds, wantKinds) || fmt.Sprint(written) != fmt.Sprint(wantWritten) {
		t.Fatalf("%q:\ngot  %s %v %v\nwant %s %v %v, as with each event parsed", stream, got, kinds, written, want, wantKinds, wantWritten)
	}
}

// texts are what may stand in the place of an event's text.
var texts = []string{"a", " longer than the one before", "", `\n`, `\"`, `","finish_reason":"stop`, `"},"finish_reason":"stop","x":{"y":"`, `\`, "\x01", "é", "\xff", "usage", `"}],"usage":{"prompt_tokens":9,"completion_tokens":9},"choices":[{"delta":{"content":"`}

// events have $ in the place of their text.
var events = []string{
	`{"choices":[{"index":0,"delta":{"content":"$"},"finish_reason":null}],"usage":null}`,
	`{"choices":[{"delta":{"content":"$"},"index":1,"finish_reason":"stop"}]}`,
	`{"choices":[{"index":0,"delta":{"role":"assistant","reasoning_content":"$","reasoning":"$"}}]}`,
	`{"choices":[{"index":0,"delta":{"reasoning_content":"$","content":""}}]}`,
	`{"choices":[{"index":0,"delta":{"content":"$"}},{"index":1,"delta":{"content":"b"}}]}`,
	`{"choices":[{"index":0,"delta":{"content":"$"}}],"usage":{"prompt_tokens":5,"completion_tokens":2,"total_tokens":7}}`,
	`{"choices":[{"index":0,"delta":{"content":"$"}}],"error":{"message":"no"}}`,
	`{"choices":[{"index":0,"delta":{"content":[{"type":"text","text":"$"}]}}]}`,
	`{"choices":[{"index":2,"delta":{"tool_calls":[{"index":0,"function":{"arguments":"$"}}]}}]}`,
	`{"choices":[{"index":0,"text":"$","finish_reason":null}]}`,
	`{"id":"$","choices":[{"index":0,"delta":{"content":"a"}}]}`,
	`{"choices":[{"index":0,"delta":{"content":"$"}}]} {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}`,
	`{"choices":[{"index":0,"delta":{"content":"$"}`,
	`[{"choices":[{"index":0,"delta":{"content":"$"}}]}]`,
	`{"choices":[{"index":0,"delta":{"content":"$"},"x":"` + strings.Repeat("y", maxFrame) + `"}]}`,
}

// Whatever follows an event, and in whatever form, it is read as if nothing was known of
// the one before.
func TestAnEventLikeTheOneBeforeIsReadAsIfItWasParsed(t *testing.T) {
	for _, first := range events {
		for _, second := range events {
			for i, text := range texts {
				var stream strings.Builder
				for j, event := range []string{first, second, second, first} {
					own := []string{"Hi", text, texts[(i+j)%len(texts)], text}[j]
					for _, name := range []string{"", "", "event: error\n"}[:1+2*(i%2)] {
						fmt.Fprintf(&stream, "%sdata: %s\n\n", name, strings.ReplaceAll(event, "$", own))
					}
				}
				wantAsParsed(t, stream.String())
			}
		}
	}
}

func TestMostEventsOfAStreamNeedNoParsing(t *testing.T) {
	event := func(text string) []byte {
		return []byte("data: " + strings.Replace(events[0], "$", text, 1) + "\n\n")
	}
	var s Stream
	unparsed := 0
	inspect := func(data []byte) {
		s.payload.failed = true // parsing would reset it
		s.Inspect(data)
		if s.payload.failed {
			unparsed++
		}
		s.payload.failed = false
	}
	for range 100 {
		s.Split(event(" token"), inspect)
	}
	if unparsed != 99 {
		t.Errorf("got %d of 100 events unparsed, want all but the first", unparsed)
	}
}

func FuzzFrame(f *testing.F) {
	for _, event := range events {
		for _, text := range texts {
			f.Add(event, "Hi", text)
		}
	}
	f.Fuzz(func(t *testing.T, event, first, second string) {
		var stream strings.Builder
		for _, text := range []string{first, second, first, first} {
			fmt.Fprintf(&stream, "data: %s\n\n", strings.ReplaceAll(event, "$", text))
		}
		wantAsParsed(t, stream.String())
	})
}

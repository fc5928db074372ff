package sse

import (
	"bytes"
	"slices"
	"strings"
	"testing"
	"time"
)

// split returns the events of a stream that arrives in chunks of n bytes.
func split(stream string, n int) (events []string, whole []bool) {
	var s Splitter
	yield := func(event []byte) {
		events, whole = append(events, string(event)), append(whole, s.Whole())
	}
	for chunk := range slices.Chunk([]byte(stream), n) {
		s.Split(chunk, yield)
	}
	s.End(yield)
	return events, whole
}

func TestSplitYieldsWholeEventsHoweverTheStreamIsChunked(t *testing.T) {
	for name, want := range map[string][]string{
		"LF":                        {"data: a\n\n", "data: b\n\n"},
		"CRLF":                      {"data: a\r\n\r\n", "data: b\r\n\r\n"},
		"CR":                        {"data: a\r\r", "data: b\r\r"},
		"mixed":                     {"data: a\r\n\n", "data: b\n\r\n", "data: c\r\n\r\n"},
		"LF, then CR":               {"data: a\n\r", "data: b\r\r"},
		"CR, then CRLF":             {"data: a\r\r", "data: b\r\n\r", "\ndata: c\r\n\r", "\n"},
		"several lines":             {"id: 1\nevent: x\ndata: a\ndata: b\n\n"},
		"comments":                  {": keep-alive\n\n", "data: a\n\n"},
		"additional blank lines":    {"data: a\n\n", "\n", "\n", "data: b\n\n"},
		"a byte order mark":         {"\xEF\xBB\xBFdata: a\n\n"},
		"an end without blank line": {"data: a\n\n", "data: [DONE]\n"},
		"an end mid-line":           {"data: a\r\n\r\n", "data: [DON"},
		"an end after half a CRLF":  {"data: a\r\n\r"},
		"nothing":                   nil,
	} {
		t.Run(name, func(t *testing.T) {
			stream := strings.Join(want, "")
			for n := 1; n <= len(stream)+1; n++ {
				if got, _ := split(stream, n); !slices.Equal(got, want) {
					t.Errorf("in chunks of %d: got %q, want %q", n, got, want)
				}
			}
		})
	}
}

func TestSplitYieldsAnEventAtOnce(t *testing.T) {
	for _, stream := range []string{"data: a\n\n", "data: a\r\n\r\n", "x\ry\r\r"} {
		var s Splitter
		var got string
		s.Split([]byte(stream), func(event []byte) { got = string(event) })
		if got != stream {
			t.Errorf("got %q before the next bytes, want %q", got, stream)
		}
	}
}

func TestSplitYieldsALongEventInPieces(t *testing.T) {
	long := "data: " + strings.Repeat("x", 10<<20) + "\n\n"
	stream := "data: a\n\n" + long + "data: b\n\n"
	for _, n := range []int{1 << 10, 1 << 15, 1<<20 - 3, len(stream)} {
		var s Splitter
		var whole []string
		var all bytes.Buffer
		held := 0
		for chunk := range slices.Chunk([]byte(stream), n) {
			s.Split(chunk, func(event []byte) {
				all.Write(event)
				if s.Whole() {
					whole = append(whole, string(event))
				}
			})
			held = max(held, cap(s.held))
		}
		if all.String() != stream {
			t.Errorf("in chunks of %d: got %d bytes, want the %d of the stream unchanged", n, all.Len(), len(stream))
		}
		if want := []string{"data: a\n\n", "data: b\n\n"}; !slices.Equal(whole, want) {
			t.Errorf("in chunks of %d: got %d whole events, want %q", n, len(whole), want)
		}
		if held > 2*MaxEvent {
			t.Errorf("in chunks of %d: got %d bytes buffered, want %d at most", n, held, 2*MaxEvent)
		}
	}
}

func TestAnEventOfExactlyTheLimitIsYieldedWhole(t *testing.T) {
	for extra, want := range []bool{true, false} {
		event := "data: " + strings.Repeat("x", MaxEvent-8+extra) + "\n\n"
		for _, n := range []int{1000, 1 << 16, len(event)} {
			if _, whole := split(event, n); whole[len(whole)-1] != want {
				t.Errorf("%d bytes in chunks of %d: got whole %v, want %v", len(event), n, !want, want)
			}
		}
	}
}

// If each line that ends with CR alone were searched for an LF again, this would take
// more than half an hour.
func TestSplitTakesLinearTimeForLinesEndedByCR(t *testing.T) {
	start := time.Now()
	events, _ := split(strings.Repeat("a\r\r", 4<<20), 12<<20)
	if len(events) != 4<<20 {
		t.Errorf("got %d events, want %d", len(events), 4<<20)
	}
	if took := time.Since(start); took > time.Minute {
		t.Errorf("got %v for 12 MiB, want 1 minute at most", took)
	}
}

func FuzzSplitter(f *testing.F) {
	f.Add([]byte("data: a\n\ndata: b\n\n"), uint8(3), uint8(7))
	f.Add([]byte("data: a\r\n\r\n: x\r\r\ndata"), uint8(1), uint8(2))
	f.Add([]byte("a\r\r\nb\r\n\r\r\n\n"), uint8(2), uint8(1))
	f.Fuzz(func(t *testing.T, stream []byte, first, second uint8) {
		want, _ := split(string(stream), len(stream)+1)
		if strings.Join(want, "") != string(stream) {
			t.Fatalf("got %q, want the bytes of %q", want, stream)
		}
		for _, n := range []int{1, int(first) + 1, int(second) + 1} {
			if got, _ := split(string(stream), n); !slices.Equal(got, want) {
				t.Fatalf("in chunks of %d: got %q, want %q as in one", n, got, want)
			}
		}
	})
}

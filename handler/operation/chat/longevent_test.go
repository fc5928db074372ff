package chat

import (
	"fmt"
	"strings"
	"testing"

	"tollgate/handler/operation"
	"tollgate/handler/operation/sse"
)

// big repeats text beyond what is buffered of an event.
func big(text string) string { return strings.Repeat(text, 5*sse.MaxEvent/4/len(text)) }

var (
	image   = big("iVBORw0KGgo")
	essay   = big(`word \"quoted\", \ud83d\ude00 \u00e9\n`)
	written = strings.NewReplacer(`\"`, `"`, `\ud83d\ude00`, "😀", `\u00e9`, "é", `\n`, "\n").Replace(essay)
)

// Usage, text and ends of events beyond 1 MiB are read like those of others.
func TestStreamReadsALongEvent(t *testing.T) {
	const filler = "FILLER"
	sizes := []int{1000, 1 << 15, 1<<20 - 3, 100 << 20} // of chunks, in bytes
	if testing.Short() || racing {
		sizes = sizes[1:2]
	}
	for name, c := range map[string]struct {
		event string // FILLER in it is replaced by fill
		fill  string
		text  string
		want  operation.Progress
	}{
		"an image": {
			`{"choices":[{"index":0,"delta":{"images":[{"image_url":{"url":"data:image/png;base64,FILLER"}}]},"finish_reason":null}]}`, image, "", operation.Progress{}},
		"an image, and the end": {
			`{"choices":[{"index":0,"delta":{"content":"hi","images":[{"url":"FILLER"}]},"finish_reason":"stop"}]}`, image, "hi", operation.Progress{Finished: true}},
		"an image before usage": {
			`{"choices":[{"delta":{"audio":{"data":"FILLER"}}}],"usage":{"prompt_tokens":25,"completion_tokens":3}}`, image, "", operation.Progress{Usage: reported, Report: operation.UsageGood}},
		"an image after usage": {
			`{"usage":{"prompt_tokens":25,"completion_tokens":3},"x":"FILLER","choices":[]}`, image, "", operation.Progress{Usage: reported, Report: operation.UsageGood}},
		"an error": {
			`{"error":{"message":"FILLER","code":503}}`, image, "", operation.Progress{Failed: true}},
		"content": {
			`{"choices":[{"index":0,"delta":{"content":"FILLER"}}]}`, essay, written, operation.Progress{}},
		"content after an image, and the end": {
			`{"x":{"content":"FILLER"},"choices":[{"finish_reason":"stop","delta":{"content":"FILLER"}}]}`, essay, written, operation.Progress{Finished: true}},
		"reasoning": {
			`{"choices":[{"index":0,"delta":{"reasoning_content":"FILLER","content":null}}]}`, essay, written, operation.Progress{}},
		"a message": {
			`{"choices":[{"index":0,"message":{"refusal":"FILLER"}}]}`, essay, written, operation.Progress{}},
		"content in parts": {
			`{"choices":[{"delta":{"content":[{"type":"text","text":"FILLER"},{"type":"image","data":"FILLER"}]}}]}`, essay, written, operation.Progress{}},
		"a call's arguments": {
			`{"choices":[{"delta":{"tool_calls":[{"id":"FILLER","function":{"arguments":"FILLER"}}]}}]}`, essay, written, operation.Progress{}},
		"strings that aren't text": {
			`{"choices":[{"delta":{"content":["FILLER"]},"content":"FILLER","x":{"delta":{"content":"FILLER"}}}],"delta":{"content":"FILLER"},"FILLER":1}`, essay, "", operation.Progress{}},
		"a name that is escaped": {
			`{"choices":[{"index":0,"delta":{"\"":"FILLER","content":"a\\"}}]}`, image, `a\`, operation.Progress{}},
		"an escaped backslash before what would be half of a pair": {
			`{"choices":[{"index":0,"delta":{"content":"FILLER"}}]}`, big(`\\ud83d`), strings.ReplaceAll(big(`\\ud83d`), `\\`, `\`), operation.Progress{}},
		"an escape that isn't one": {
			`{"choices":[{"index":0,"delta":{"content":"\xFILLER"}}]}`, image, "", operation.Progress{Unread: 1}},
		"more numbers than are kept": {
			`{"choices":[{"index":0,"delta":{"content":"hi"},"logprobs":[FILLER0]}]}`, big("-0.25,"), "hi", operation.Progress{Unread: 2}},
		"arrays without end": {
			`{"choices":[{"index":0,"delta":{"content":"hi"},"logprobs":FILLER`, big("["), "hi", operation.Progress{Unread: 2}},
		"no JSON": {
			`FILLER`, big("<html>"), "", operation.Progress{Unread: 1}},
		"a string that doesn't end": {
			`{"choices":[{"index":0,"delta":{"content":"FILLER`, essay, written, operation.Progress{Unread: 1}},
	} {
		t.Run(name, func(t *testing.T) {
			for _, n := range sizes {
				var s Stream
				event := "id: 1\r\ndata: " + strings.ReplaceAll(c.event, filler, c.fill) + "\n\n"
				_, text := readStream(&s, event, n)
				if got, want := outcome(s.State()), outcome(c.want); got != want && !(s.Unread > 0 && c.want.Unread > 0) {
					t.Errorf("in chunks of %d: got %s, want %s", n, got, want)
				}
				if text[0] != c.text || len(text) > 1 {
					t.Errorf("in chunks of %d: got %d bytes of text %.40q, want %d %.40q", n, len(text[0]), text[0], len(c.text), c.text)
				}
				// The events after it are read as usual.
				kinds, _ := readStream(&s, usage+done, n)
				if fmt.Sprint(kinds) != fmt.Sprint([]operation.Kind{operation.UsageOnly, operation.Done}) || !s.Done {
					t.Errorf("in chunks of %d: got events %v after it, want usage and [DONE]", n, kinds)
				}
			}
		})
	}
}

func TestALongEventNamedErrorIsAFailure(t *testing.T) {
	for _, event := range []string{"event: error\ndata: \"FILLER\"\n\n", "data: \"FILLER\"\nevent:error\n\n"} {
		var s Stream
		readStream(&s, strings.Replace(event, "FILLER", image, 1), 4096)
		if !s.Failed {
			t.Errorf("%.20q…: got Failed false, want true", event)
		}
	}
}

// A stream may end within a long event.
func TestTheTextOfALongEventThatBreaksOffIsRead(t *testing.T) {
	for _, end := range []string{"", `"}}]}`, `"}}]}` + "\n"} {
		var s Stream
		_, text := readStream(&s, `data: {"choices":[{"index":0,"delta":{"content":"`+essay+end, 4096)
		if text[0] != written {
			t.Errorf("ended by %q: got %d bytes of text, want %d", end, len(text[0]), len(written))
		}
	}
}

func TestALongEventIsReadWithinBoundedMemory(t *testing.T) {
	var s Stream
	text := 0
	s.Text = func(_ int64, piece []byte) { text += len(piece) }
	inspect := func(event []byte) { s.Inspect(event) }
	chunk := []byte(strings.Repeat("word ", 8<<10))
	s.Split([]byte(`data: {"choices":[{"delta":{"content":"`), inspect)
	for range 128 << 20 / len(chunk) {
		s.Split(chunk, inspect)
	}
	if held := cap(s.long.Kept); text < 120<<20 || held > 4*sse.MaxEvent {
		t.Errorf("got %d bytes of text with %d buffered, want %d or more with %d buffered at most", text, held, 120<<20, 4*sse.MaxEvent)
	}
}

package upstream

import (
	"bytes"
	"io"
	"slices"
	"strings"
	"time"
)

// opening is the start of a body, read ahead to see what the body holds. A reader returns
// it again.
type opening struct {
	head []byte
	err  error
}

// maxOpening is the most that is read ahead, in bytes: a body may begin with blank
// lines.
const maxOpening = 64 << 10

const eventStream = "text/event-stream"

// Streamed reports whether the answer is a stream of events, which it need not be even if
// a stream was asked for. It goes by the Content-Type, or else waits for the beginning of
// the body; if that shows a stream, it corrects the Content-Type.
func (r *Response) Streamed() bool {
	kind, _, _ := strings.Cut(strings.Join(r.Header["Content-Type"], ","), ";")
	if strings.EqualFold(strings.TrimSpace(kind), eventStream) {
		return true
	}
	r.late.Reset(time.Until(r.due))
	defer r.late.Stop()
	o := &r.opening
	for len(o.head) < maxOpening && o.err == nil {
		o.head = slices.Grow(o.head, 512)
		var n int
		n, o.err = r.answer.Body.Read(o.head[len(o.head):cap(o.head)])
		o.head = o.head[:len(o.head)+n]
		if streamed, known := beginsEvents(o.head); known {
			if streamed {
				r.Header["Content-Type"] = []string{eventStream}
			}
			return streamed
		}
	}
	return false
}

// beginsEvents reports whether a body that begins with head is a stream of events:
// its first line is a comment or a field of one. known is false if head is too
// short to tell.
func beginsEvents(head []byte) (streamed, known bool) {
	if len(head) < len(byteOrderMark) && strings.HasPrefix(byteOrderMark, string(head)) {
		return false, false
	}
	line := firstLine(head)
	if len(line) == 0 {
		return false, false
	}
	for _, field := range []string{":", "data:", "event:", "id:", "retry:"} {
		if bytes.HasPrefix(line, []byte(field)) {
			return true, true
		}
		if strings.HasPrefix(field, string(line[:min(len(line), len(field))])) {
			return false, false
		}
	}
	return false, true
}

// isDocument reports whether a body that begins with head is JSON or HTML, whatever
// its Content-Type.
func isDocument(head []byte) bool {
	line := firstLine(head)
	return len(line) > 0 && strings.IndexByte("{[<", line[0]) >= 0
}

const byteOrderMark = "\xEF\xBB\xBF"

// firstLine returns head without a byte order mark and leading white space.
func firstLine(head []byte) []byte {
	return bytes.TrimLeft(bytes.TrimPrefix(head, []byte(byteOrderMark)), " \t\r\n")
}

// reader reads a response's body from its start.
type reader struct{ *Response }

func (r reader) Read(p []byte) (int, error) {
	o := &r.opening
	switch {
	case len(o.head) > 0:
		n := copy(p, o.head)
		o.head = o.head[n:]
		return n, nil
	case o.err != nil:
		return 0, o.err
	}
	return r.answer.Body.Read(p)
}

var _ io.Reader = reader{}

package upstream

import (
	"bytes"
	"io"
	"mime"
	"strings"
	"time"
)

// opening is what was read of a body to see what it holds, and is to be read again.
type opening struct {
	head []byte
	err  error
}

// maxOpening is how many bytes of blank lines are read for what comes after them.
const maxOpening = 64 << 10

const eventStream = "text/event-stream"

// Streamed reports whether the answer is a stream of events, to be relayed. It may
// be whole although a stream was asked for, and a stream whatever its Content-Type
// is, which is set to what it holds. It waits for the body to begin, unless its type
// is that of a stream.
func (r *Response) Streamed() bool {
	named := r.Header["Content-Type"]
	if kind, _, _ := mime.ParseMediaType(strings.Join(named, ",")); kind == eventStream {
		return true
	}
	r.late.Reset(time.Until(r.due))
	defer r.late.Stop()
	o := &r.opening
	for len(o.head) < maxOpening && o.err == nil {
		var piece [512]byte
		var n int
		n, o.err = r.answer.Body.Read(piece[:])
		o.head = append(o.head, piece[:n]...)
		if streamed, known := holdsEvents(o.head); known {
			if streamed {
				r.Header["Content-Type"] = []string{eventStream}
			}
			return streamed
		}
	}
	return false
}

// holdsEvents is whether a body that begins so is a stream of events, as far as it
// is known: its first line is a comment or one of the fields.
func holdsEvents(head []byte) (streamed, known bool) {
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

// isDocument is whether a body that begins so is JSON or HTML, whatever it is called.
func isDocument(head []byte) bool {
	line := firstLine(head)
	return len(line) > 0 && strings.IndexByte("{[<", line[0]) >= 0
}

const byteOrderMark = "\xEF\xBB\xBF"

// firstLine is what comes after a body's byte order mark and blank lines.
func firstLine(head []byte) []byte {
	return bytes.TrimLeft(bytes.TrimPrefix(head, []byte(byteOrderMark)), " \t\r\n")
}

// reader reads a response's body from its beginning.
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

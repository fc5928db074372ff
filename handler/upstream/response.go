package upstream

import (
	"context"
	"errors"
	"io"
	"mime"
	"net/http"
	"time"
)

// MaxBody is the largest answer that isn't streamed, in bytes.
const MaxBody = 16 << 20

// Response is an answer that has begun.
type Response struct {
	// Header holds what the caller may see of the answer's headers.
	Header http.Header
	// Target is the endpoint that answered.
	Target Target

	ctx      context.Context
	cancel   context.CancelCauseFunc
	late     *time.Timer // ends an answer that isn't streamed
	due      time.Time   // when that must be whole
	body     io.ReadCloser
	size     int64 // of the body in bytes, -1 if unknown
	endpoint *endpoint
	timeouts *Timeouts
	begun    bool
}

// Begun is whether Relay, when it has returned, had sent the caller anything.
// If not, another answer may still take the stream's place.
func (r *Response) Begun() bool { return r.begun }

// Streamed is whether the answer is a stream of events, to be relayed. It may
// be whole although a stream was asked for.
func (r *Response) Streamed() bool {
	const stream = "text/event-stream"
	told := r.Header.Get("Content-Type")
	if told == stream || told == "application/json" { // as nearly always
		return told == stream
	}
	kind, _, _ := mime.ParseMediaType(told)
	return kind == stream
}

// Close ends the call, whether or not its answer was read to the end.
func (r *Response) Close() {
	r.late.Stop()
	r.cancel(nil)
	_ = r.body.Close() // nothing more is wanted of it
}

// Body reads an answer that isn't streamed. With an error, an *Error, comes
// what had been read.
func (r *Response) Body() ([]byte, error) {
	r.late.Reset(time.Until(r.due))
	defer r.late.Stop()
	body, err := readAll(io.LimitReader(r.body, MaxBody+1), r.size)
	switch {
	case err != nil:
		return body, r.endpoint.failure(r.ctx, Broken, unquoted(err), true)
	case len(body) > MaxBody:
		return body[:MaxBody], &Error{r.endpoint.Name, Junk, errors.New("the answer is too large"), true}
	}
	return body, nil
}

// readAll reads all in one piece if the size is known.
func readAll(from io.Reader, size int64) ([]byte, error) {
	if size < 0 || size > MaxBody {
		return io.ReadAll(from)
	}
	body := make([]byte, size)
	n, err := io.ReadFull(from, body)
	return body[:n], err
}

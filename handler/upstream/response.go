package upstream

import (
	"context"
	"errors"
	"io"
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
	size     int64       // of the body in bytes, -1 if unknown
	answer   *answer
	round    *round // nil: no endpoint is left, or none needed
	timeouts *Timeouts
	opening  opening
	begun    bool
	judged   bool               // the deployment has been told what the answer was
	stop     context.CancelFunc // ends a call that goes on when ctx ends; nil: cancel does
	resting  bool               // Rest has it
}

// Rest is what remains of an answer whose caller has left or whose time ran out,
// once Relay or Body has returned; nil where the call ends with its caller. The
// response's Close leaves it alone.
func (r *Response) Rest() *Rest {
	if r.answer.pump == nil {
		return nil
	}
	r.resting = true
	return &Rest{body: r.answer.pump, stop: r.stop}
}

// Begun is whether Relay, when it has returned, had sent the caller anything.
// If not, another answer may still take the stream's place.
func (r *Response) Begun() bool { return r.begun }

// Close ends the call, whether or not its answer was read to the end. Unless
// something else has been said of the answer, it counts as one.
func (r *Response) Close() {
	r.judge(nil)
	r.late.Stop()
	r.cancel(nil)
	if r.resting {
		return
	}
	if r.stop != nil {
		r.stop()
	}
	_ = r.answer.Body.Close() // nothing more is wanted of it
}

// Another closes a response that holds no answer, or breaks off before it, and asks
// the endpoints that are left. Nothing of it may have reached the caller. If none is
// left, the error is the one given, else one of those of Send.
func (r *Response) Another(failed *Error) (*Response, error) {
	rest := r.round
	r.round = nil
	r.judge(failed)
	r.Close()
	if rest == nil {
		return nil, failed
	}
	rest.fails(r.answer.from, failed)
	return rest.send()
}

// judge tells the deployment once what its answer was. Unless there was something
// wrong with it, no other is asked any more.
func (r *Response) judge(err error) {
	if !r.judged {
		r.judged = true
		r.answer.from.note(err, r.answer.entered, time.Now())
	}
	if err == nil {
		r.over()
	}
}

// over lets the call's body go, which was kept for other endpoints.
func (r *Response) over() {
	if r.round != nil && r.round.call.LetGo != nil {
		r.round.call.LetGo()
	}
	r.round = nil
}

// Failure makes an Error of an answer that holds none.
func (r *Response) Failure(reason Reason, err error) *Error {
	return &Error{r.Target.Endpoint, reason, err, true}
}

// Scrub takes the endpoint's credential out of an error that upstream wrote.
func (r *Response) Scrub(text []byte) []byte { return scrub(text, r.answer.secret) }

// Body reads an answer that isn't streamed. Before it holds more than so many
// bytes it asks for them with hold, which may wait, and whose error ends the
// reading. With an error, an *Error, comes what had been read.
func (r *Response) Body(hold func(bytes int64) error) ([]byte, error) {
	r.late.Reset(time.Until(r.due))
	defer r.late.Stop()
	body, err := readAll(reader{r}, r.size, hold)
	var failed *Error
	switch {
	case err != nil:
		failed = r.answer.from.failure(r.ctx, Broken, unquoted(err), true)
	case len(body) > MaxBody:
		body, failed = body[:MaxBody], r.Failure(Junk, errors.New("the answer is too large"))
	default:
		return body, nil
	}
	r.judge(failed)
	return body, failed
}

// beginning is the first room in bytes for an answer of unknown size: enough for
// nearly all.
const beginning = 64 << 10

// readAll reads up to MaxBody bytes and one more, in one piece if their number is
// known, else in room that grows fourfold.
func readAll(from io.Reader, size int64, hold func(bytes int64) error) (body []byte, err error) {
	room := min(size, MaxBody) + 1 // the last is for what tells the end
	if size < 0 {
		room = beginning
	}
	for {
		if err := hold(room); err != nil {
			return body, err
		}
		body = append(make([]byte, 0, room), body...)
		for len(body) < cap(body) && err == nil {
			var n int
			n, err = from.Read(body[len(body):cap(body)])
			body = body[:len(body)+n]
		}
		switch {
		case err == io.EOF:
			return body, nil
		case err != nil || len(body) > MaxBody:
			return body, err
		}
		room = min(4*room, MaxBody+1)
	}
}

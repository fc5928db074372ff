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
	// Header holds those of the answer's headers that the caller may see.
	Header http.Header
	// Target describes the endpoint that answered.
	Target Target

	ctx       context.Context
	cancel    context.CancelCauseFunc
	late      *time.Timer // fires when an answer that isn't streamed is due
	end       *time.Timer // fires some time after a stream's last event; nil before that
	due       time.Time   // deadline of an answer that isn't streamed
	size      int64       // of the body in bytes, -1 if unknown
	answer    *answer
	round     *round // nil if no endpoint is left, or none is needed any more
	timeouts  *Timeouts
	opening   opening
	begun     bool
	reported  bool               // the outcome is recorded with the deployment
	stop      context.CancelFunc // ends a call that continues when ctx ends; nil if cancel does
	continues bool               // Rest was called: Close must leave the call alone
}

// Rest returns the rest of an answer whose caller has left or whose time has run
// out. Call it after Relay or Body. It returns nil if the call ends with its caller
// (see Call.Rest). Close doesn't end the Rest.
func (r *Response) Rest() *Rest {
	if r.answer.pump == nil {
		return nil
	}
	r.continues = true
	return &Rest{r.answer.pump, r.stop}
}

// Begun reports, after Relay, whether it sent the caller anything. If not, another
// answer can still replace the stream.
func (r *Response) Begun() bool { return r.begun }

// Close ends the call, even if its answer wasn't read to the end. Unless a failure
// was reported before, it records a success of the endpoint.
func (r *Response) Close() {
	r.reportOutcome(nil)
	r.late.Stop()
	if r.end != nil {
		r.end.Stop() // otherwise it would keep the call in memory
	}
	r.cancel(nil)
	if r.continues {
		return
	}
	if r.stop != nil {
		r.stop()
	}
	_ = r.answer.Body.Close() // its error doesn't matter: the answer has been used
}

// TryNext closes a response that holds no answer, or broke off before one, and tries the
// endpoints that haven't been tried. Call it only if nothing has reached the caller. If
// every endpoint has been tried, it returns failed; its other errors are those of Send.
func (r *Response) TryNext(failed *Error) (*Response, error) {
	rest := r.round
	r.round = nil
	r.reportOutcome(failed)
	r.Close()
	if rest == nil {
		return nil, failed
	}
	rest.keepFailure(r.answer.from, failed)
	return rest.send()
}

// reportOutcome records the outcome with the deployment, once. After a success no
// other endpoint will be asked.
func (r *Response) reportOutcome(err error) {
	if !r.reported {
		r.reported = true
		r.answer.from.record(err, r.answer.askedAt, time.Now())
	}
	if err == nil {
		r.releaseBody()
	}
}

// releaseBody drops the call's body, which was kept for other endpoints.
func (r *Response) releaseBody() {
	if r.round != nil && r.round.call.BodyDone != nil {
		r.round.call.BodyDone()
	}
	r.round = nil
}

// Failure returns an Error about the endpoint's answer.
func (r *Response) Failure(reason Reason, err error) *Error {
	return &Error{r.Target.Endpoint, reason, err, true}
}

// Scrub removes the endpoint's credential from the text of an error that upstream wrote.
func (r *Response) Scrub(text []byte) []byte { return scrub(text, r.answer.secret) }

// Body reads an answer that isn't streamed. Before it allocates memory it calls hold with
// the size. hold may wait; its error ends the reading. Body's error is an *Error; with it,
// Body returns what it had read before.
func (r *Response) Body(hold func(bytes int64) error) ([]byte, error) {
	r.late.Reset(time.Until(r.due))
	defer r.late.Stop()
	body, err := readAll(reader{r}, r.size, hold)
	var failed *Error
	switch {
	case err != nil:
		failed = r.answer.from.errorFor(r.ctx, Broken, unquoted(err), true)
	case len(body) > MaxBody:
		body, failed = body[:MaxBody], r.Failure(BadAnswer, errors.New("the answer is too large"))
	default:
		return body, nil
	}
	r.reportOutcome(failed)
	return body, failed
}

// firstBuffer is the first buffer for an answer of unknown size, in bytes. Nearly all
// answers fit.
const firstBuffer = 64 << 10

// readAll reads up to MaxBody bytes and one more, into a buffer of the right size if
// that is known, and otherwise into one that grows fourfold.
func readAll(from io.Reader, size int64, hold func(bytes int64) error) (body []byte, err error) {
	room := min(size, MaxBody) + 1 // one more to notice the end
	if size < 0 {
		room = firstBuffer
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

package upstream

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"os"
	"sync"
	"time"
)

// Splitter cuts a stream into events, whatever the chunks it comes in. What it
// yields is only valid during the call.
type Splitter interface {
	// Split takes the next bytes and yields the events which they complete.
	Split(chunk []byte, yield func(event []byte))
	// End yields what is left at the stream's end.
	End(yield func(event []byte))
}

// Ending says how the relay of a stream ended.
type Ending string

const (
	// Whole is no stream, in spite of its Content-Type: nothing has been relayed, and
	// Body has it.
	Whole Ending = "whole"
	// Ended is upstream's own end, which may still be too early: only the
	// events say whether the answer is complete.
	Ended Ending = "ended"
	// Cut is upstream's connection breaking off.
	Cut Ending = "upstream_broken"
	// Silent is upstream's silence for too long.
	Silent Ending = "upstream_silent"
	// Expired is the deadline of the call, or of its context.
	Expired Ending = "expired"
	// ClientLeft is the caller closing its connection.
	ClientLeft Ending = "client_closed"
	// ClientSlow is the caller taking too long to accept an event.
	ClientSlow Ending = "client_slow"
)

// ByUpstream is whether the stream was cut on upstream's side. The caller's
// connection must then be aborted (http.ErrAbortHandler): ended cleanly it would
// look complete.
func (e Ending) ByUpstream() bool { return e == Cut || e == Silent || e == Expired }

// keepAlive is a comment, which every reader of server-sent events ignores.
// Source: https://html.spec.whatwg.org/multipage/server-sent-events.html
var keepAlive = []byte(": keep-alive\n\n")

var (
	errSilent = errors.New("upstream fell silent")
	errOver   = errors.New("the stream is over")
	errCaller = errors.New("the caller can't be written to")
)

// buffers hold what one read of a stream brings, and what of it goes out.
var buffers = sync.Pool{New: func() any { return &buffer{in: make([]byte, 32<<10)} }}

type buffer struct{ in, out []byte }

// Relay passes the stream on to the caller. inspect is given each event and
// returns what the caller is to get in its place: the event itself, nothing, or
// other bytes, valid until the next. Events that came together are written
// together and flushed at once; while nothing is to be written, comments keep
// the caller's connection alive. The error says what ended the relay, and is
// nil only if that was upstream's own end, or the answer is Whole.
//
// The response's header must be set, and is sent with the first bytes, which a
// comment may be: inspect must leave it alone.
func (r *Response) Relay(w http.ResponseWriter, split Splitter, inspect func(event []byte) []byte) (Ending, error) {
	b := buffers.Get().(*buffer)
	defer b.release()
	out := newOutlet(w, r)
	defer out.close()
	pass := func(event []byte) { b.out = append(b.out, inspect(event)...) }
	for first := true; ; first = false {
		n, err := reader{r}.Read(b.in)
		if first && isDocument(b.in[:n]) && out.end() {
			r.opening = opening{bytes.Clone(b.in[:n]), err}
			return Whole, nil
		}
		if errors.Is(context.Cause(r.ctx), errOver) {
			err = io.EOF
		}
		b.out = b.out[:0]
		if n > 0 {
			split.Split(b.in[:n], pass)
		}
		if err == io.EOF {
			split.End(pass)
		}
		if gone := out.write(b.out, n > 0); gone != nil {
			return out.leaving(gone), gone
		}
		switch {
		case err == io.EOF:
			return Ended, nil
		case err != nil:
			ending, err := out.broken(err)
			if ending.ByUpstream() {
				r.judge(r.Failure(Broken, err))
			}
			return ending, err
		}
	}
}

// EndWithin has the stream end by itself after a time, unless upstream ends it
// before. Call it when upstream has said that it is over.
func (r *Response) EndWithin(d time.Duration) { time.AfterFunc(d, func() { r.cancel(errOver) }) }

// release gives the buffers back, but for what an uncommonly long event needed.
func (b *buffer) release() {
	if cap(b.out) > 4*len(b.in) {
		b.out = nil
	}
	buffers.Put(b)
}

// outlet is the caller's side of a relay. The relay and the watch, a timer that
// breaks the silence, take turns at it.
type outlet struct {
	w        http.ResponseWriter
	control  *http.ResponseController
	response *Response
	timeouts *Timeouts
	watch    *time.Timer

	mu       sync.Mutex
	heard    time.Time // when upstream last sent something
	written  time.Time // when the caller was last sent something
	deadline time.Time // of writes, as set
	within   bool      // an event that is passed on in pieces
	failed   error     // of a write
	closed   bool
}

func newOutlet(w http.ResponseWriter, r *Response) *outlet {
	now := time.Now()
	o := &outlet{w: w, control: http.NewResponseController(w), response: r, timeouts: r.timeouts, heard: now, written: now}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.watch = time.AfterFunc(o.untilDue(now), o.look)
	return o
}

// close ends the watch. After it nothing is written any more, and the
// connection may serve another call.
func (o *outlet) close() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.closed = true
	o.watch.Stop()
	_ = o.control.SetWriteDeadline(time.Time{}) // not every writer has deadlines
}

// end ends the watch unless something was sent, and reports whether it did.
func (o *outlet) end() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.closed = o.closed || !o.response.begun
	return o.closed
}

// write sends the caller what there is, and notes whether upstream was heard.
func (o *outlet) write(out []byte, heard bool) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	now := time.Now()
	if heard {
		o.heard = now
	}
	if o.failed != nil || len(out) == 0 {
		return o.failed
	}
	o.within = !endsEvent(out)
	o.response.judge(nil)
	return o.send(out, now)
}

// send writes and flushes under a deadline, which rolls on by quarters: setting
// it anew for each event would cost more than writing it.
func (o *outlet) send(out []byte, now time.Time) error {
	if o.deadline.Sub(now) < o.timeouts.Write*3/4 {
		o.deadline = now.Add(o.timeouts.Write)
		_ = o.control.SetWriteDeadline(o.deadline)
	}
	o.response.begun = true
	_, err := o.w.Write(out)
	if err == nil {
		err = o.control.Flush()
	}
	o.written, o.failed = now, err
	return err
}

// look is what the watch does when it is due: end the call that has been silent
// for too long, or tell the caller that it goes on.
func (o *outlet) look() {
	o.mu.Lock()
	defer o.mu.Unlock()
	now := time.Now()
	switch {
	case o.closed:
		return
	case now.Sub(o.heard) >= o.timeouts.Idle:
		o.response.cancel(errSilent)
		return
	case o.timeouts.KeepAlive > 0 && now.Sub(o.written) >= o.timeouts.KeepAlive:
		if !o.within && o.send(keepAlive, now) != nil {
			o.response.cancel(errCaller)
			return
		}
		o.written = now
	}
	o.watch.Reset(o.untilDue(now))
}

// untilDue is when the watch has next to look. Events don't put it off, as that
// would cost each of them: it finds out by itself that it is early.
func (o *outlet) untilDue(now time.Time) time.Duration {
	due := o.timeouts.Idle - now.Sub(o.heard)
	if o.timeouts.KeepAlive > 0 {
		due = min(due, o.timeouts.KeepAlive-now.Sub(o.written))
	}
	return max(due, time.Millisecond)
}

// broken tells apart why reading upstream's stream failed.
func (o *outlet) broken(err error) (Ending, error) {
	o.mu.Lock()
	failed := o.failed
	o.mu.Unlock()
	switch cause := context.Cause(o.response.ctx); {
	case failed != nil:
		return o.leaving(failed), failed
	case errors.Is(cause, errSilent):
		return Silent, cause
	case errors.Is(cause, context.DeadlineExceeded), errors.Is(cause, errLate):
		return Expired, cause
	case cause != nil:
		return ClientLeft, cause
	}
	return Cut, unquoted(err)
}

// leaving tells apart why the caller can't be written to.
func (o *outlet) leaving(err error) Ending {
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return ClientSlow
	}
	return ClientLeft
}

// endsEvent is whether nothing but whole events, or comments, was sent: they
// end with a blank line.
func endsEvent(out []byte) bool {
	n := len(out)
	if n < 2 || out[n-1] != '\n' && out[n-1] != '\r' {
		return false
	}
	before := out[n-2]
	if out[n-1] == '\n' && before == '\r' { // one line end
		return n > 2 && (out[n-3] == '\n' || out[n-3] == '\r')
	}
	return before == '\n' || before == '\r'
}

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

// Splitter cuts a stream into events, however it is divided into chunks. An event
// is only valid during the call of yield.
type Splitter interface {
	// Split takes the next bytes and yields the events they complete.
	Split(chunk []byte, yield func(event []byte))
	// End yields the unfinished event at the stream's end.
	End(yield func(event []byte))
}

// Ending is the way in which the relay of a stream ended.
type Ending string

const (
	// NotStream: the answer isn't a stream despite its Content-Type. Nothing has
	// been relayed; read it with Body.
	NotStream Ending = "whole"
	// Ended: upstream ended the stream. The answer may still be incomplete: only its
	// events can tell.
	Ended Ending = "ended"
	// Cut: upstream's connection broke.
	Cut Ending = "upstream_broken"
	// Silent: upstream sent nothing for too long.
	Silent Ending = "upstream_silent"
	// Expired: the deadline of the call or of its context passed.
	Expired Ending = "expired"
	// ClientLeft: the caller closed its connection.
	ClientLeft Ending = "client_closed"
	// ClientSlow: the caller took too long to accept an event.
	ClientSlow Ending = "client_slow"
)

// ByUpstream reports whether the stream was cut on upstream's side. The caller's
// connection must then be aborted (http.ErrAbortHandler): if it ended cleanly, the
// answer would look complete.
func (e Ending) ByUpstream() bool { return e == Cut || e == Silent || e == Expired }

// keepAlive is a comment, which all readers of server-sent events ignore.
// Source: https://html.spec.whatwg.org/multipage/server-sent-events.html
var keepAlive = []byte(": keep-alive\n\n")

var (
	errSilent      = errors.New("upstream sent nothing for too long")
	errStreamDone  = errors.New("the stream is over")
	errCallerWrite = errors.New("writing to the caller failed")
)

// readSize is the size of the buffer for one read, in bytes.
const readSize = 32 << 10

// readBuffers pools buffers for one read from upstream, and writeBuffers for the write to
// the caller that follows it.
var (
	readBuffers  = sync.Pool{New: func() any { return new([readSize]byte) }}
	writeBuffers = sync.Pool{New: func() any { return new([]byte) }}
)

// Relay passes the stream on to the caller. inspect gets each event and returns the
// bytes to send in its place (the event itself, nothing, or others), which must stay
// valid until the next event. Events that arrive together are written together and
// flushed at once. While there is nothing to write, comments keep the caller's
// connection alive. The error is the cause of the Ending, nil for Ended and
// NotStream.
//
// w's header must be set before. It is sent with the first bytes, which may be a comment,
// so inspect must not change it.
func (r *Response) Relay(w http.ResponseWriter, split Splitter, inspect func(event []byte) []byte) (Ending, error) {
	buffer := writeBuffers.Get().(*[]byte)
	l := &relay{Response: r, split: split, to: newCallerWriter(w, r), out: *buffer, first: true}
	l.pass = func(event []byte) { l.out = append(l.out, inspect(event)...) }
	defer func() {
		l.to.close()
		if *buffer = l.out; cap(l.out) > 4*readSize { // only an unusually long event needs that much
			*buffer = nil
		}
		writeBuffers.Put(buffer)
	}()
	r.each(l.handlePiece)
	return l.ending, l.err
}

// relay is the state of Response.Relay.
type relay struct {
	*Response
	split Splitter
	pass  func(event []byte) // appends what the caller gets for an event to out
	to    *callerWriter
	out   []byte
	first bool // no piece has come

	ending Ending
	err    error
}

// handlePiece passes on the events that a piece of the stream completes, and reports
// whether the stream goes on. err is the error that ended the stream, if it has ended.
func (l *relay) handlePiece(in []byte, err error) (more bool) {
	if l.first && isDocument(in) && l.to.endUnlessBegun() {
		l.opening, l.ending = opening{bytes.Clone(in), err}, NotStream
		return false
	}
	l.first = false
	if errors.Is(context.Cause(l.ctx), errStreamDone) {
		err = io.EOF
	}
	l.out = l.out[:0]
	if len(in) > 0 {
		l.split.Split(in, l.pass)
	}
	if err == io.EOF {
		l.split.End(l.pass)
	}
	switch gone := l.to.write(l.out, len(in) > 0); {
	case gone != nil:
		l.ending, l.err = l.to.writeEnding(gone), gone
	case err == io.EOF:
		l.ending = Ended
	case err != nil:
		if l.ending, l.err = l.to.readEnding(err); l.ending.ByUpstream() {
			l.reportOutcome(l.Failure(Broken, l.err))
		}
	default:
		return true
	}
	return false
}

// each calls use with each piece of the answer, until use returns false. With the last
// piece it passes the error that ended the answer; use must then return false.
func (r *Response) each(use func(piece []byte, err error) (more bool)) {
	if o := &r.opening; len(o.head) > 0 || o.err != nil {
		head := o.head
		if o.head = nil; !use(head, o.err) {
			return
		}
	}
	if p := r.answer.pump; p != nil {
		if cause := p.each(r.ctx, use); cause != nil {
			use(nil, cause)
		}
		return
	}
	buffer := readBuffers.Get().(*[readSize]byte)
	defer readBuffers.Put(buffer)
	for {
		if n, err := r.answer.Body.Read(buffer[:]); !use(buffer[:n], err) {
			return
		}
	}
}

// EndWithin ends the stream after d unless upstream ends it first. Call it for the event
// that ends the stream.
func (r *Response) EndWithin(d time.Duration) {
	r.end = time.AfterFunc(d, func() { r.cancel(errStreamDone) })
}

// callerWriter writes to the caller. The relay uses it, and a timer that sends comments
// and ends streams that are silent for too long.
type callerWriter struct {
	w        http.ResponseWriter
	control  *http.ResponseController
	response *Response
	timeouts *Timeouts
	timer    *time.Timer

	mu           sync.Mutex
	lastReceived time.Time // when upstream last sent something
	lastSent     time.Time // when the caller was last sent something
	deadline     time.Time // of writes, as last set on the connection
	midEvent     bool      // the last write ended in the middle of an event
	failed       error     // of a write
	closed       bool
}

func newCallerWriter(w http.ResponseWriter, r *Response) *callerWriter {
	now := time.Now()
	c := &callerWriter{w: w, control: http.NewResponseController(w), response: r, timeouts: r.timeouts, lastReceived: now, lastSent: now}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.timer = time.AfterFunc(c.untilNextTick(now), c.tick)
	return c
}

// close stops the timer. Nothing is written afterwards, so that the connection can
// serve another call.
func (c *callerWriter) close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed = true
	c.timer.Stop()
	_ = c.control.SetWriteDeadline(time.Time{}) // not every writer has deadlines
}

// endUnlessBegun ends all writing unless something has been sent, and reports whether
// writing has ended.
func (c *callerWriter) endUnlessBegun() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed = c.closed || !c.response.begun
	return c.closed
}

// write sends out to the caller; heard reports whether upstream sent something.
func (c *callerWriter) write(out []byte, heard bool) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := time.Now()
	if heard {
		c.lastReceived = now
	}
	if c.failed != nil || len(out) == 0 {
		return c.failed
	}
	c.midEvent = !endsEvent(out)
	c.response.reportOutcome(nil)
	return c.send(out, now)
}

// send writes and flushes under a deadline. It moves the deadline only after a quarter of
// the time has passed, since moving it costs more than writing an event.
func (c *callerWriter) send(out []byte, now time.Time) error {
	if c.deadline.Sub(now) < c.timeouts.Write*3/4 {
		c.deadline = now.Add(c.timeouts.Write)
		_ = c.control.SetWriteDeadline(c.deadline)
	}
	c.response.begun = true
	_, err := c.w.Write(out)
	if err == nil {
		err = c.control.Flush()
	}
	c.lastSent, c.failed = now, err
	return err
}

// tick runs when the timer fires: it ends a stream that is silent for too long, or
// sends the caller a comment.
func (c *callerWriter) tick() {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := time.Now()
	switch {
	case c.closed:
		return
	case now.Sub(c.lastReceived) >= c.timeouts.Idle:
		c.response.cancel(errSilent)
		return
	case c.timeouts.KeepAlive > 0 && now.Sub(c.lastSent) >= c.timeouts.KeepAlive:
		if !c.midEvent && c.send(keepAlive, now) != nil {
			c.response.cancel(errCallerWrite)
			return
		}
		c.lastSent = now
	}
	c.timer.Reset(c.untilNextTick(now))
}

// untilNextTick returns the time until the timer must fire next. Events don't postpone the
// timer, as that would cost time for each: it fires early instead, and is set again.
func (c *callerWriter) untilNextTick(now time.Time) time.Duration {
	due := c.timeouts.Idle - now.Sub(c.lastReceived)
	if c.timeouts.KeepAlive > 0 {
		due = min(due, c.timeouts.KeepAlive-now.Sub(c.lastSent))
	}
	return max(due, time.Millisecond)
}

// readEnding returns why reading upstream's stream failed.
func (c *callerWriter) readEnding(err error) (Ending, error) {
	c.mu.Lock()
	failed := c.failed
	c.mu.Unlock()
	switch cause := context.Cause(c.response.ctx); {
	case failed != nil:
		return c.writeEnding(failed), failed
	case errors.Is(cause, errSilent):
		return Silent, cause
	case errors.Is(cause, context.DeadlineExceeded), errors.Is(cause, errLate):
		return Expired, cause
	case cause != nil:
		return ClientLeft, cause
	}
	return Cut, unquoted(err)
}

// writeEnding returns why writing to the caller failed.
func (c *callerWriter) writeEnding(err error) Ending {
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return ClientSlow
	}
	return ClientLeft
}

// endsEvent reports whether out ends with a blank line, and thus with a whole event
// or comment.
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

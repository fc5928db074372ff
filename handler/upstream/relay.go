package upstream

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"
)

// How a relay may end other than well.
var (
	ErrBroken     = errors.New("upstream broke off its stream")
	ErrIdle       = errors.New("upstream fell silent")
	ErrClientGone = errors.New("the caller left or read too slowly")
)

// keepAlive is a comment, which every reader of server-sent events ignores.
// Source: https://html.spec.whatwg.org/multipage/server-sent-events.html
const keepAlive = ": keep-alive\n\n"

// Splitter cuts what comes into whole events and calls each with those that
// the caller is to get.
type Splitter interface {
	Write(data []byte, each func(event []byte) error) error
	Close(each func(event []byte) error) error
}

// buffers hold what one read of a stream brings: 32 KiB, as io.Copy's.
var buffers = sync.Pool{New: func() any { return new([32 << 10]byte) }}

// Relay passes a stream on as split cuts it, flushing after every read, and
// sends comments while upstream is silent. It returns nil at upstream's own
// end of the stream, else one of the errors above, wrapped. The head must have
// been written.
func (r *Response) Relay(w http.ResponseWriter, split Splitter) error {
	out := &outlet{w: w, control: http.NewResponseController(w), patience: r.client.timeouts.Write}
	watch := r.watch(out)
	defer out.close()
	defer watch.stop()
	buffer := buffers.Get().(*[32 << 10]byte)
	defer buffers.Put(buffer)
	for {
		n, err := r.body.Read(buffer[:])
		watch.heard()
		if gone := out.send(func() error { return split.Write(buffer[:n], out.event) }); gone != nil {
			return gone
		}
		switch {
		case err == io.EOF:
			return out.send(func() error { return split.Close(out.event) })
		case err != nil:
			return r.broken(err)
		}
	}
}

// broken tells apart why reading upstream's stream failed.
func (r *Response) broken(err error) error {
	switch cause := context.Cause(r.ctx); {
	case errors.Is(cause, ErrIdle):
		return ErrIdle
	case cause != nil:
		return fmt.Errorf("%w: %w", ErrClientGone, cause)
	}
	return fmt.Errorf("%w: %w", ErrBroken, err)
}

// outlet is the caller's side of a relay. The relay and its watch take turns.
type outlet struct {
	mu       sync.Mutex
	w        http.ResponseWriter
	control  *http.ResponseController
	patience time.Duration
	wrote    bool
	closed   bool
}

// close waits for a comment that is just being sent; none is afterwards.
func (o *outlet) close() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.closed = true
	_ = o.control.SetWriteDeadline(time.Time{})
}

// send runs write, which may send events, and flushes what it sent. A caller
// that doesn't accept it in time counts as gone.
func (o *outlet) send(write func() error) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.closed {
		return ErrClientGone
	}
	o.wrote = false
	_ = o.control.SetWriteDeadline(time.Now().Add(o.patience)) // not every writer has deadlines
	err := write()
	if err == nil && o.wrote {
		err = o.control.Flush()
	}
	if err != nil {
		return fmt.Errorf("%w: %w", ErrClientGone, err)
	}
	return nil
}

func (o *outlet) event(event []byte) error {
	o.wrote = true
	_, err := o.w.Write(event)
	return err
}

// watch keeps a silent stream's caller connected, and ends the call when the
// silence has lasted too long.
type watch struct {
	mu      sync.Mutex
	last    time.Time
	timer   *time.Timer
	stopped bool
}

func (r *Response) watch(out *outlet) *watch {
	times := r.client.timeouts
	w := &watch{last: time.Now()}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.timer = time.AfterFunc(min(times.KeepAlive, times.Idle), func() {
		silent, stopped := w.silence()
		switch {
		case stopped:
			return
		case silent >= times.Idle:
			r.cancel(ErrIdle)
			return
		case silent >= times.KeepAlive:
			if err := out.send(func() error { return out.event([]byte(keepAlive)) }); err != nil {
				r.cancel(err)
				return
			}
			w.again(min(times.KeepAlive, times.Idle-silent))
		default:
			w.again(min(times.KeepAlive, times.Idle) - silent)
		}
	})
	return w
}

func (w *watch) silence() (silent time.Duration, stopped bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return time.Since(w.last), w.stopped
}

func (w *watch) again(in time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.stopped {
		w.timer.Reset(max(in, time.Millisecond))
	}
}

func (w *watch) heard() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.last = time.Now()
}

// stop ends the watch.
func (w *watch) stop() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.stopped = true
	w.timer.Stop()
}

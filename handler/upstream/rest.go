package upstream

import (
	"context"
	"io"
	"net/http"
)

// Rest is the rest of a call that continues at its endpoint after its caller has
// left or its time has run out. It is read for the usage it may still report.
type Rest struct {
	pending <-chan begun // delivers the answer if it has not begun; else nil
	body    *pump
	stop    context.CancelFunc // ends the call at the endpoint
}

// begun is the result of a round trip.
type begun struct {
	answer *http.Response
	err    error
}

// Read yields what the endpoint still sends, until the answer ends, yield returns false
// or ctx ends. Then it ends the call. It yields nothing of an answer whose status isn't
// 200, or that is compressed. Read reports whether it reached the answer's end.
func (r *Rest) Read(ctx context.Context, yield func(chunk []byte) bool) (ended bool) {
	defer r.Close()
	if r.pending != nil {
		select {
		case got := <-r.pending:
			r.pending = nil
			if got.err != nil {
				return false
			}
			r.body = newPump(ctx, got.answer.Body)
			if got.answer.StatusCode != http.StatusOK || compressed(got.answer.Header) {
				return false
			}
		case <-ctx.Done():
			return false
		}
	}
	r.body.ctx = ctx
	chunk := make([]byte, 32<<10)
	for {
		n, err := r.body.Read(chunk)
		if n > 0 && !yield(chunk[:n]) || err != nil {
			return err == io.EOF
		}
	}
}

// Close ends the call at the endpoint. Once Close or Read has returned, calling
// either again does nothing.
func (r *Rest) Close() {
	r.stop()
	if r.body != nil {
		_ = r.body.Close() // nothing more is wanted of it
	}
	if pending := r.pending; pending != nil {
		r.pending = nil
		go func() { // the round trip ends soon, as it was stopped
			if got := <-pending; got.answer != nil {
				_ = got.answer.Body.Close()
			}
		}()
	}
}

// roundTrip sends a request. If goesOn is set and ctx ends first, it returns a
// channel that will deliver the result of the unfinished round trip.
func (d *deployment) roundTrip(ctx context.Context, request *http.Request, goesOn bool) (*http.Response, <-chan begun, error) {
	if !goesOn {
		answer, err := d.transport.RoundTrip(request)
		return answer, nil, err
	}
	done := make(chan begun, 1)
	go func() {
		answer, err := d.transport.RoundTrip(request)
		done <- begun{answer, err}
	}()
	select {
	case got := <-done:
		return got.answer, nil, got.err
	case <-ctx.Done():
		return nil, done, context.Cause(ctx)
	}
}

// pump reads a body in its own goroutine, so that its reader can stop waiting
// without breaking the connection, and continue later.
type pump struct {
	ctx      context.Context // Read returns when it ends; only the reader changes it
	from     io.ReadCloser
	pieces   chan piece
	consumed chan struct{} // signals that the last piece was read
	stop     chan struct{}

	rest    []byte // of the last piece
	err     error  // that came with it
	waiting bool   // the goroutine waits for consumed
	closed  bool
}

type piece struct {
	data []byte
	err  error
}

func newPump(ctx context.Context, from io.ReadCloser) *pump {
	p := &pump{ctx: ctx, from: from, pieces: make(chan piece), consumed: make(chan struct{}, 1), stop: make(chan struct{})}
	go p.run()
	return p
}

func (p *pump) run() {
	b := buffers.Get().(*buffer)
	defer b.release()
	for {
		n, err := p.from.Read(b.in)
		select {
		case p.pieces <- piece{b.in[:n], err}:
		case <-p.stop:
			return
		}
		select {
		case <-p.consumed:
		case <-p.stop:
			return
		}
	}
}

// Read implements io.Reader. If ctx ends first, it returns the cause and can be
// called again under another context.
func (p *pump) Read(to []byte) (int, error) {
	for len(p.rest) == 0 {
		switch {
		case p.err != nil:
			return 0, p.err
		case p.closed:
			return 0, io.ErrClosedPipe
		case p.waiting:
			p.waiting = false
			p.consumed <- struct{}{}
		}
		select {
		case got := <-p.pieces:
			p.rest, p.err, p.waiting = got.data, got.err, true
		case <-p.ctx.Done():
			return 0, context.Cause(p.ctx)
		}
	}
	n := copy(to, p.rest)
	p.rest = p.rest[n:]
	return n, nil
}

// Close implements io.Closer.
func (p *pump) Close() error {
	if p.closed {
		return nil
	}
	p.closed, p.rest = true, nil
	close(p.stop)
	return p.from.Close()
}

package upstream

import (
	"context"
	"io"
	"net/http"
)

// Rest is a call that goes on at its endpoint although its caller has left or
// its time has run out: what it still answers may tell its usage.
type Rest struct {
	pending <-chan begun // the answer, where it had not begun; else nil
	body    *pump
	stop    context.CancelFunc // ends the call at the endpoint
}

// begun is what a round trip brought.
type begun struct {
	answer *http.Response
	err    error
}

// Read gives what the endpoint still sends, until that ends, yield returns false
// or ctx is done. Then it ends the call. An answer that begins with anything but
// a 200 gives nothing.
func (r *Rest) Read(ctx context.Context, yield func(chunk []byte) bool) {
	defer r.Close()
	if r.pending != nil {
		select {
		case got := <-r.pending:
			r.pending = nil
			if got.err != nil {
				return
			}
			r.body = newPump(ctx, got.answer.Body)
			if got.answer.StatusCode != http.StatusOK || compressed(got.answer.Header) {
				return
			}
		case <-ctx.Done():
			return
		}
	}
	r.body.ctx = ctx
	chunk := make([]byte, 32<<10)
	for {
		n, err := r.body.Read(chunk)
		if n > 0 && !yield(chunk[:n]) || err != nil {
			return
		}
	}
}

// Close ends the call at the endpoint. Only the first Close, or Read, does anything.
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

// roundTrip asks an endpoint. If the call goes on when ctx ends, it returns then,
// with the round trip that is still under way.
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

// pump reads a body in a goroutine of its own, so that its reader can stop
// waiting without breaking the connection, and go on reading later.
type pump struct {
	ctx  context.Context // Read returns when it is done; only the reader changes it
	from io.ReadCloser
	come chan piece
	next chan struct{} // the last piece was read
	stop chan struct{}

	left []byte // of the last piece
	err  error  // that came with it
	open bool   // the goroutine waits for next
	over bool   // Close was called
}

type piece struct {
	data []byte
	err  error
}

func newPump(ctx context.Context, from io.ReadCloser) *pump {
	p := &pump{ctx: ctx, from: from, come: make(chan piece), next: make(chan struct{}, 1), stop: make(chan struct{})}
	go p.run()
	return p
}

func (p *pump) run() {
	b := buffers.Get().(*buffer)
	defer b.release()
	for {
		n, err := p.from.Read(b.in)
		select {
		case p.come <- piece{b.in[:n], err}:
		case <-p.stop:
			return
		}
		select {
		case <-p.next:
		case <-p.stop:
			return
		}
	}
}

// Read implements io.Reader. It returns the cause of the context's end when that
// comes before anything else, and can be called again.
func (p *pump) Read(to []byte) (int, error) {
	for len(p.left) == 0 {
		switch {
		case p.err != nil:
			return 0, p.err
		case p.over:
			return 0, io.ErrClosedPipe
		case p.open:
			p.open = false
			p.next <- struct{}{}
		}
		select {
		case got := <-p.come:
			p.left, p.err, p.open = got.data, got.err, true
		case <-p.ctx.Done():
			return 0, context.Cause(p.ctx)
		}
	}
	n := copy(to, p.left)
	p.left = p.left[n:]
	return n, nil
}

// Close implements io.Closer.
func (p *pump) Close() error {
	if p.over {
		return nil
	}
	p.over, p.left = true, nil
	close(p.stop)
	return p.from.Close()
}

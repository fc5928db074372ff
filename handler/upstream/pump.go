package upstream

import (
	"context"
	"io"
	"net/http"
	"sync"
)

// A pump sends a request and reads the answer's body in a goroutine of its own, so that a
// goroutine that waits for the answer or its pieces can stop waiting without breaking the
// connection, and continue later. Pieces are used in the pump's goroutine, since waking
// another for each would cost more than most uses do.
type pump struct {
	ctx      context.Context // ends a wait in Read
	begun    chan struct{}   // closed when got and failed are set
	got      *http.Response  // its Body is the pump
	failed   error           // of the round trip
	useEnded chan struct{}   // has an element after use has returned false or panicked

	mu       sync.Mutex // held while a piece is used
	body     io.ReadCloser
	use      func(piece []byte, err error) (more bool) // gets the next piece; nil: it is kept
	change   sync.Cond                                 // signalled when use or closed is set
	hasKept  bool                                      // piece and err are kept for the next use
	piece    []byte
	err      error
	panicked any // what use panicked with
	closed   bool
}

// newPump returns a pump that sends a request. Waits in Read end with ctx.
func newPump(ctx context.Context, over *http.Transport, request *http.Request) *pump {
	p := &pump{ctx: ctx, begun: make(chan struct{}), useEnded: make(chan struct{}, 1)}
	p.change.L = &p.mu
	go p.run(over, request)
	return p
}

// answer waits for the answer to begin. If ctx ends first, the error is ctx's cause, and
// pending is true: the answer may still come.
func (p *pump) answer(ctx context.Context) (got *http.Response, pending bool, err error) {
	select {
	case <-p.begun:
		return p.got, false, p.failed
	case <-ctx.Done():
		return nil, true, context.Cause(ctx)
	}
}

func (p *pump) run(over *http.Transport, request *http.Request) {
	if !p.begin(over.RoundTrip(request)) {
		return
	}
	buffer := readBuffers.Get().(*[readSize]byte)
	defer readBuffers.Put(buffer)
	for p.next(buffer[:]) {
	}
}

// begin takes the result of the round trip, and reports whether there is a body to read.
func (p *pump) begin(got *http.Response, err error) bool {
	defer close(p.begun)
	if p.failed = err; err != nil {
		return false
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.body = got.Body
	p.got, got.Body = got, p
	if p.closed {
		_ = p.body.Close() // it was closed before it began
	}
	return !p.closed
}

// next reads the next piece, and waits until the one after it is wanted. It reports false
// if the pump is closed instead.
func (p *pump) next(into []byte) (more bool) {
	n, err := p.body.Read(into)
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case p.use == nil:
		p.keep(into[:n], err)
	case !p.pass(into[:n], err):
		p.use = nil
		p.useEnded <- struct{}{}
	}
	for p.use == nil && !p.closed {
		p.change.Wait()
	}
	return !p.closed
}

// pass passes a piece to use, and reports whether more are wanted. A panic is for the
// goroutine that waits: here it would end the process. The lock is held.
func (p *pump) pass(piece []byte, err error) (more bool) {
	defer func() { p.panicked = recover() }()
	return p.use(piece, err)
}

// keep keeps a piece for the next use. The lock is held.
func (p *pump) keep(piece []byte, err error) (more bool) {
	p.hasKept, p.piece, p.err = true, piece, err
	return false
}

// each calls use with each piece of the body, until use returns false. With the last piece
// it passes the error that ended the body; use must then return false. If ctx ends first,
// each returns its cause, and the next call of each continues with the next piece.
func (p *pump) each(ctx context.Context, use func(piece []byte, err error) (more bool)) error {
	if done, err := p.startUse(use); done {
		return err
	}
	select {
	case <-p.useEnded:
	case <-ctx.Done():
		p.mu.Lock()
		waiting := p.use != nil
		p.use = nil
		p.mu.Unlock()
		if waiting {
			return context.Cause(ctx)
		}
		<-p.useEnded // use ended just then
	}
	if p.panicked != nil {
		panic(p.panicked)
	}
	return nil
}

// startUse passes a piece that was kept to use, and sets use for the pieces after it. done
// reports whether each has nothing to wait for.
func (p *pump) startUse(use func(piece []byte, err error) (more bool)) (done bool, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return true, io.ErrClosedPipe
	}
	if p.hasKept {
		if p.hasKept = false; !use(p.piece, p.err) {
			return true, nil
		}
	}
	p.use = use
	p.change.Signal()
	return false, nil
}

// Read implements io.Reader. If ctx ends first, it returns the cause and can be
// called again under another context.
func (p *pump) Read(to []byte) (n int, err error) {
	if cause := p.each(p.ctx, p.keep); cause != nil {
		return 0, cause
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	n = copy(to, p.piece)
	if p.piece = p.piece[n:]; len(p.piece) > 0 {
		return n, nil
	}
	p.hasKept = false
	return n, p.err
}

// Close implements io.Closer. It must not be called while each is waiting.
func (p *pump) Close() error {
	p.mu.Lock()
	from, closed := p.body, p.closed
	p.closed, p.hasKept = true, false
	p.change.Signal()
	p.mu.Unlock()
	if closed || from == nil {
		return nil
	}
	return from.Close()
}

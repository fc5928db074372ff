package upstream

import (
	"context"
	"io"
	"net/http"
	"sync"
)

// A pump sends a request and reads the answer's body in a goroutine of its own. Whoever
// waits for the answer or for its pieces can so stop waiting without breaking the
// connection, and continue later. Pieces are used in the pump's goroutine, as waking
// another for each would cost more than most uses do.
type pump struct {
	ctx    context.Context // ends a wait in Read
	begun  chan struct{}   // closed when got and failed are set
	got    *http.Response  // its Body is the pump
	failed error           // of the round trip
	wanted chan struct{}   // has an element when use was set while nothing was being read
	unused chan struct{}   // has an element when use wanted no more, or panicked
	stop   chan struct{}   // closed by Close

	mu       sync.Mutex // held while a piece is used
	from     io.ReadCloser
	use      func(piece []byte, err error) (more bool) // gets the next piece; nil: it is kept
	reading  bool                                      // the next piece is being read
	kept     bool                                      // piece and err came when nobody waited
	piece    []byte
	err      error
	panicked any // what use panicked with
	closed   bool
}

// newPump returns a pump that sends a request. Waits in Read end with ctx.
func newPump(ctx context.Context, over *http.Transport, request *http.Request) *pump {
	p := &pump{ctx: ctx, begun: make(chan struct{}), wanted: make(chan struct{}, 1), unused: make(chan struct{}, 1), stop: make(chan struct{}), reading: true}
	go p.run(over, request)
	return p
}

// answer waits for the answer to begin. If ctx ends first, it may still come, and the
// error is ctx's cause.
func (p *pump) answer(ctx context.Context) (got *http.Response, mayCome bool, err error) {
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
	for {
		for p.next(buffer[:]) {
		}
		select {
		case <-p.wanted:
		case <-p.stop:
			return
		}
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
	p.from = got.Body
	p.got, got.Body = got, p
	if p.closed {
		_ = p.from.Close() // nobody wants it
	}
	return !p.closed
}

// next reads the next piece. It reports whether the one after it is wanted too.
func (p *pump) next(into []byte) (more bool) {
	n, err := p.from.Read(into)
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.use == nil {
		p.keep(into[:n], err)
		p.reading = false
		return false
	}
	defer func() {
		if p.panicked = recover(); p.panicked != nil || !more {
			more, p.use, p.reading = false, nil, false
			p.unused <- struct{}{}
		}
	}()
	return p.use(into[:n], err)
}

// keep keeps a piece for the next use.
func (p *pump) keep(piece []byte, err error) { p.kept, p.piece, p.err = true, piece, err }

// each passes the body's pieces to use, with the error that ended the body, until use
// returns false. It must do so with an error. If ctx ends first, each returns its cause,
// and the next use gets the pieces that come after that.
func (p *pump) each(ctx context.Context, use func(piece []byte, err error) (more bool)) error {
	if done, err := p.startUse(use); done {
		return err
	}
	select {
	case <-p.unused:
	case <-ctx.Done():
		p.mu.Lock()
		waiting := p.use != nil
		p.use = nil
		p.mu.Unlock()
		if waiting {
			return context.Cause(ctx)
		}
		<-p.unused // it ended in that moment
	}
	if p.panicked != nil {
		panic(p.panicked)
	}
	return nil
}

// startUse passes a piece that was kept to use, and sets use for those after it. It
// reports whether there is nothing to wait for.
func (p *pump) startUse(use func(piece []byte, err error) (more bool)) (done bool, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return true, io.ErrClosedPipe
	}
	if p.kept {
		if p.kept = false; !use(p.piece, p.err) {
			return true, nil
		}
	}
	if p.use = use; !p.reading {
		p.reading = true
		p.wanted <- struct{}{}
	}
	return false, nil
}

// Read implements io.Reader. If ctx ends first, it returns the cause and can be
// called again under another context.
func (p *pump) Read(to []byte) (n int, err error) {
	cause := p.each(p.ctx, func(piece []byte, ended error) (more bool) {
		if n = copy(to, piece); n < len(piece) {
			p.keep(piece[n:], ended)
			return false
		}
		err = ended
		return false
	})
	if cause != nil {
		return 0, cause
	}
	return n, err
}

// Close implements io.Closer. It must not be called while each waits.
func (p *pump) Close() error {
	p.mu.Lock()
	from, closed := p.from, p.closed
	p.closed, p.kept = true, false
	p.mu.Unlock()
	if closed {
		return nil
	}
	close(p.stop)
	if from == nil {
		return nil
	}
	return from.Close()
}

package upstream

import (
	"bytes"
	"errors"
	"io"
	"net"
	"slices"
	"sync"
)

// payload is a call's body for one endpoint, in pieces that are sent in order. It
// can be sent again until it is released.
type payload struct {
	mu       sync.Mutex
	pieces   [][]byte
	released bool
}

var errReleased = errors.New("the body was released when the answer began")

// size returns the size of the body in bytes.
func (p *payload) size() (bytes int64) {
	for _, piece := range p.pieces {
		bytes += int64(len(piece))
	}
	return bytes
}

// smallPayload is the most bytes of a body that may stay in memory while the answer is read.
const smallPayload = 16 << 10

// open returns a reader of the body from its start. It joins the pieces of a small body:
// the transport sends the beginning of a body in one write with the headers only if it
// knows that the body is in memory.
func (p *payload) open() (io.ReadCloser, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case p.released:
		return nil, errReleased
	case p.size() <= smallPayload:
		return io.NopCloser(bytes.NewReader(bytes.Join(p.pieces, nil))), nil
	}
	return &payloadReader{rest: slices.Clone(p.pieces)}, nil
}

// release frees the body, which the transport would otherwise keep for as long as the
// answer is read. Readers that are open continue to the end; that of a small body keeps
// its own copy.
func (p *payload) release() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.pieces, p.released = nil, true
}

// payloadReader reads a body that is being sent. The transport may close it during a read.
type payloadReader struct {
	mu   sync.Mutex
	rest net.Buffers // drops each piece once it is read
}

func (s *payloadReader) Read(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.rest.Read(b)
}

func (s *payloadReader) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.rest = nil
	return nil
}

package upstream

import (
	"errors"
	"io"
	"net"
	"slices"
	"sync"
)

// payload is a call's body on its way to one endpoint, in pieces that are sent
// one after the other. It can be sent again until it is let go.
type payload struct {
	mu     sync.Mutex
	pieces [][]byte
	over   bool
}

var errLetGo = errors.New("the body was let go when the answer began")

// size is how many bytes the body has.
func (p *payload) size() (bytes int64) {
	for _, piece := range p.pieces {
		bytes += int64(len(piece))
	}
	return bytes
}

// open reads the body from its start.
func (p *payload) open() (io.ReadCloser, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.over {
		return nil, errLetGo
	}
	return &sending{rest: slices.Clone(p.pieces)}, nil
}

// letGo drops the body: the transport remembers its request for as long as the
// answer is read. Who is still reading it reads on.
func (p *payload) letGo() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.pieces, p.over = nil, true
}

// sending is the rest of a body that is being sent. The transport may close it
// while it reads.
type sending struct {
	mu   sync.Mutex
	rest net.Buffers // lets each piece go when it was read
}

func (s *sending) Read(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.rest.Read(b)
}

func (s *sending) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.rest = nil
	return nil
}

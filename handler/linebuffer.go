package main

import (
	"io"
	"sync"
	"time"
)

const (
	// logDelay is how long a line of the log may wait for others.
	logDelay = 50 * time.Millisecond
	// logBatch is how many bytes of lines wait at most.
	logBatch = 32 << 10
)

// lineBuffer writes a log's lines some at a time. A write of its own for each
// would wake whoever reads the log, on the same machine, once a call, and cost
// a call more than deciding about it. Killed, the process loses at most the
// lines of the last 50 ms; what calls took is in the counters by then, or not,
// either way.
type lineBuffer struct {
	to io.Writer

	mu    sync.Mutex
	held  []byte
	spare []byte
	timer *time.Timer // to write what is held

	order sync.Mutex // of writes; taken before mu
}

func newLineBuffer(to io.Writer) *lineBuffer { return &lineBuffer{to: to} }

// Write takes a line. It never fails: there is nowhere to tell of a log that
// can't be written.
func (b *lineBuffer) Write(line []byte) (int, error) {
	b.mu.Lock()
	first := len(b.held) == 0
	b.held = append(b.held, line...)
	full := len(b.held) >= logBatch
	if first && b.timer == nil {
		b.timer = time.AfterFunc(logDelay, b.Flush)
	} else if first {
		b.timer.Reset(logDelay)
	}
	b.mu.Unlock()
	if full {
		b.Flush()
	}
	return len(line), nil
}

// Flush writes the lines that are held, before those that come meanwhile.
func (b *lineBuffer) Flush() {
	b.order.Lock()
	defer b.order.Unlock()
	b.mu.Lock()
	lines := b.held
	b.held, b.spare = b.spare[:0], nil
	b.mu.Unlock()
	if len(lines) > 0 {
		_, _ = b.to.Write(lines)
	}
	b.mu.Lock()
	b.spare = lines
	b.mu.Unlock()
}

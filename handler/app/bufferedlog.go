package app

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"sync"
	"time"
)

const (
	// logDelay is how long a record of the log may wait for others.
	logDelay = 50 * time.Millisecond
	// logBatch is how many records wait at most.
	logBatch = 1024
)

// bufferedLog is a log in JSON that is written some records at a time. To make a
// line of each at once, and to wake whoever reads it on the same machine, would
// cost a call more than deciding about it. Killed, the process loses at most the
// lines of the last 50 ms; what calls took is in the counters by then, or not,
// either way.
type bufferedLog struct {
	*held
	slog.Handler // writes to held.text
}

// held are the records of a log that wait.
type held struct {
	to io.Writer

	mu      sync.Mutex
	records []entry
	spare   []entry
	timer   *time.Timer // to write what is held

	order sync.Mutex // of writes; taken before mu
	text  bytes.Buffer
}

type entry struct {
	of   slog.Handler
	what slog.Record
}

func newBufferedLog(to io.Writer) *bufferedLog {
	h := &held{to: to}
	return &bufferedLog{h, slog.NewJSONHandler(&h.text, nil)}
}

// Handle takes a record. It never fails: there is nowhere to tell of a log that
// can't be written.
func (h *bufferedLog) Handle(_ context.Context, what slog.Record) error {
	h.mu.Lock()
	h.records = append(h.records, entry{h.Handler, what.Clone()})
	first, full := len(h.records) == 1, len(h.records) >= logBatch
	if first && h.timer == nil {
		h.timer = time.AfterFunc(logDelay, h.Flush)
	} else if first {
		h.timer.Reset(logDelay)
	}
	h.mu.Unlock()
	if full {
		h.Flush()
	}
	return nil
}

// WithAttrs and WithGroup are of a log that waits and is written together with
// this one.
func (h *bufferedLog) WithAttrs(attrs []slog.Attr) slog.Handler {
	return &bufferedLog{h.held, h.Handler.WithAttrs(attrs)}
}

func (h *bufferedLog) WithGroup(name string) slog.Handler {
	return &bufferedLog{h.held, h.Handler.WithGroup(name)}
}

// Flush writes the records that are held, before those that come meanwhile.
func (h *held) Flush() {
	h.order.Lock()
	defer h.order.Unlock()
	h.mu.Lock()
	records := h.records
	h.records, h.spare = h.spare[:0], nil
	h.mu.Unlock()
	for _, r := range records {
		_ = r.of.Handle(context.Background(), r.what)
	}
	if h.text.Len() > 0 {
		_, _ = h.to.Write(h.text.Bytes())
	}
	h.text.Reset()
	clear(records)
	h.mu.Lock()
	h.spare = records
	h.mu.Unlock()
}

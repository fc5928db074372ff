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
	// logDelay is the longest a record waits to be written.
	logDelay = 50 * time.Millisecond
	// logBatch is the most records that wait; the next one flushes them.
	logBatch = 1024
)

// A bufferedLog writes a JSON log in batches. To format each record at once, and to wake the
// log's reader on the same machine, would take longer than to decide a call. A process that is
// killed loses at most the lines of the last 50 ms. Charges don't depend on the log.
type bufferedLog struct {
	*batch
	slog.Handler // writes to batch.text
}

// A batch holds the records that wait to be written.
type batch struct {
	to io.Writer

	mu      sync.Mutex
	records []entry
	spare   []entry     // the previous batch's memory, to use again
	timer   *time.Timer // calls Flush

	order sync.Mutex // keeps writes in order; locked before mu
	text  bytes.Buffer
}

// An entry is a record with the handler that formats it.
type entry struct {
	handler slog.Handler
	record  slog.Record
}

// newBufferedLog returns a log that writes to a writer.
func newBufferedLog(to io.Writer) *bufferedLog {
	b := &batch{to: to}
	return &bufferedLog{b, slog.NewJSONHandler(&b.text, nil)}
}

// Handle implements slog.Handler. It never returns an error: a log that can't be
// written can't be reported anywhere.
func (h *bufferedLog) Handle(_ context.Context, record slog.Record) error {
	h.mu.Lock()
	h.records = append(h.records, entry{h.Handler, record.Clone()})
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

// WithAttrs implements slog.Handler. The result shares this log's batch.
func (h *bufferedLog) WithAttrs(attrs []slog.Attr) slog.Handler {
	return &bufferedLog{h.batch, h.Handler.WithAttrs(attrs)}
}

// WithGroup implements slog.Handler. The result shares this log's batch.
func (h *bufferedLog) WithGroup(name string) slog.Handler {
	return &bufferedLog{h.batch, h.Handler.WithGroup(name)}
}

// Flush writes the waiting records, ahead of any that arrive meanwhile.
func (h *batch) Flush() {
	h.order.Lock()
	defer h.order.Unlock()
	h.mu.Lock()
	records := h.records
	h.records, h.spare = h.spare[:0], nil
	h.mu.Unlock()
	for _, r := range records {
		_ = r.handler.Handle(context.Background(), r.record)
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

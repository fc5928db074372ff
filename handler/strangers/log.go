// Package strangers keeps callers without an accepted credential from filling
// the log: anybody can make a million calls.
package strangers

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

const (
	// linesAtOnce and linesAMinute bound the lines of one kind.
	linesAtOnce  = 10
	linesAMinute = 10
	// countsEvery is how often a line says how many others were left out.
	countsEvery = time.Minute
)

// Log writes some of the lines about strangers' calls and counts the rest.
// Make one with New.
type Log struct {
	log *slog.Logger

	mu    sync.Mutex
	kinds map[kind]*bucket
	timer *time.Timer // nil: nothing was left out
}

// kind is what lines must have in common for one to stand for another.
type kind struct{ message, outcome string }

type bucket struct {
	limiter *rate.Limiter
	leftOut int64
}

// New makes a log that writes to another.
func New(log *slog.Logger) *Log { return &Log{log: log, kinds: make(map[kind]*bucket)} }

// Write writes a line with these attributes, or counts it. There may be only
// so many messages and outcomes as the program has: none is a caller's text.
func (l *Log) Write(level slog.Level, message, outcome string, attrs ...slog.Attr) {
	if l.admit(kind{message, outcome}) {
		l.log.LogAttrs(context.Background(), level, message, attrs...)
	}
}

// admit reports whether a line is written.
func (l *Log) admit(k kind) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	b := l.kinds[k]
	if b == nil {
		b = &bucket{limiter: rate.NewLimiter(rate.Every(time.Minute/linesAMinute), linesAtOnce)}
		l.kinds[k] = b
	}
	if b.limiter.Allow() {
		return true
	}
	b.leftOut++
	if l.timer == nil {
		l.timer = time.AfterFunc(countsEvery, l.Flush)
	}
	return false
}

// Flush writes how many lines were left out since it was last written.
func (l *Log) Flush() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.timer != nil {
		l.timer.Stop()
		l.timer = nil
	}
	for k, b := range l.kinds {
		if b.leftOut > 0 {
			l.log.Info("lines left out", "of", k.message, "outcome", k.outcome, "lines", b.leftOut)
			b.leftOut = 0
		}
	}
}

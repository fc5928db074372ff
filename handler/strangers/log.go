// Package strangers limits the log lines about calls without a valid credential, of which
// anybody can make millions. It writes the first lines of each kind, a few more every
// minute, and the number of those that it left out.
//
// Start reading at [Log.Write].
package strangers

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

const (
	// linesAtOnce is the most lines of one kind in a burst, and linesAMinute the most in a
	// minute after that.
	linesAtOnce  = 10
	linesAMinute = 10
	// countsEvery is the time from the first line left out until a line reports how many
	// there were.
	countsEvery = time.Minute
)

// A Log writes a limited number of lines and counts the rest. Make one with New.
type Log struct {
	log *slog.Logger

	mu    sync.Mutex
	kinds map[kind]*bucket
	timer *time.Timer // runs Flush; nil: no line was left out
}

// A kind identifies lines that share a limit.
type kind struct{ message, outcome string }

// A bucket limits the lines of one kind.
type bucket struct {
	limiter *rate.Limiter
	leftOut int64
}

// New returns a Log that writes to log.
func New(log *slog.Logger) *Log { return &Log{log: log, kinds: make(map[kind]*bucket)} }

// Write writes or counts a line. message and outcome must come from the program, never
// from a caller, because each pair is kept forever.
func (l *Log) Write(level slog.Level, message, outcome string, attrs ...slog.Attr) {
	if l.admit(kind{message, outcome}) {
		l.log.LogAttrs(context.Background(), level, message, attrs...)
	}
}

// admit reports whether to write a line of a kind, and counts it if not.
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

// Flush writes the number of lines left out since the last Flush.
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

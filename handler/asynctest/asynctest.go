// Package asynctest serves tests of what goes on in other goroutines or processes: a
// Buffer keeps what they write, and Eventually waits for what they do.
package asynctest

import (
	"bytes"
	"errors"
	"sync"
	"testing"
	"time"
)

const (
	// patience bounds a wait: a process on a busy machine of two cores starts in a few
	// seconds.
	patience = 30 * time.Second
	// interval is the time between two tries.
	interval = 10 * time.Millisecond
)

// A Buffer is a buffer that several goroutines may write and read at once. The zero
// value is empty and ready to use.
type Buffer struct {
	mu   sync.Mutex
	text bytes.Buffer
}

// Write appends p. It never fails.
func (b *Buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

// String returns what was written so far.
func (b *Buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

// Eventually calls try until it returns no error. After 30 seconds it fails the test
// with the last one, and with what, which names the thing awaited.
func Eventually(t testing.TB, what string, try func() error) {
	t.Helper()
	deadline, again := time.After(patience), time.NewTicker(interval)
	defer again.Stop()
	for err := try(); err != nil; err = try() {
		select {
		case <-again.C:
		case <-deadline:
			t.Fatalf("waited %s until %s: %v", patience, what, err)
		}
	}
}

var errNot = errors.New("not yet")

// Until waits as Eventually does until holds returns true.
func Until(t testing.TB, what string, holds func() bool) {
	t.Helper()
	Eventually(t, what, func() error {
		if holds() {
			return nil
		}
		return errNot
	})
}

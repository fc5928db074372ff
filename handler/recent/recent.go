// Package recent keeps what was read a moment ago, so that callers that need the same at about
// the same time share one reading.
//
// A Cache reads a value when it is first asked for, gives it to all callers that ask during
// the reading and shortly after it, and then forgets it. A Value is for what every call needs:
// it stays usable while it is read again, and while readings fail, so that calls hardly ever
// wait.
//
// Start reading at Cache and Value.
package recent

import (
	"context"
	"fmt"
	"maps"
	"runtime/debug"
	"sync"
	"time"
)

// A Cache reads values by key and keeps them for a short time. It reads a key at most once at
// a time: callers that ask during a reading wait for it, and get its value or its error. Both
// are kept for MaxAge after the reading ended, so neither a slow store nor a failing one is
// read more often than that. A value can therefore be older than MaxAge, by the time that its
// reading took.
//
// A reading goes on when those who wait for it leave. All callers share a value, so they must
// not change it. Set the exported fields before the first Get.
type Cache[K comparable, V any] struct {
	// Read reads the value of a key. Its context has the values of the first caller's, and
	// ends after Timeout.
	Read func(context.Context, K) (V, error)
	// MaxAge is the time for which a value or an error is kept. With 0 it is shared only by
	// callers that ask during the reading.
	MaxAge time.Duration
	// Timeout bounds a reading.
	Timeout time.Duration
	// MaxKeys is the most keys with a value kept. Beyond it any one of them is dropped.
	MaxKeys int

	mu       sync.Mutex
	readings map[K]*reading[V]
}

// A reading is one call of Read. The other fields are set when done is closed.
type reading[V any] struct {
	done     chan struct{}
	ended    time.Time
	value    V
	err      error
	panicked any // the value and stack of a panic of Read; nil: it returned
}

// Get returns the value of a key, the error of reading it, or ctx's error if ctx ends first.
// If Read panicked, Get panics too, in its caller's goroutine, where the panic can be
// recovered.
func (c *Cache[K, V]) Get(ctx context.Context, key K) (V, error) {
	r := c.begin(ctx, key)
	select {
	case <-r.done:
	case <-ctx.Done():
		var none V
		return none, ctx.Err()
	}
	if r.panicked != nil {
		panic(r.panicked)
	}
	return r.value, r.err
}

// begin returns the key's reading, if it is in progress or recent enough, or starts one.
func (c *Cache[K, V]) begin(ctx context.Context, key K) *reading[V] {
	c.mu.Lock()
	defer c.mu.Unlock()
	if r := c.readings[key]; r != nil && !r.old(c.MaxAge) {
		return r
	}
	c.makeRoom()
	r := &reading[V]{done: make(chan struct{})}
	c.readings[key] = r
	go func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), c.Timeout)
		defer cancel()
		r.run(func() (V, error) { return c.Read(ctx, key) })
	}()
	return r
}

// makeRoom drops old readings, and then others until one more has room. Callers that wait for
// a dropped one still get its value.
func (c *Cache[K, V]) makeRoom() {
	if c.readings == nil {
		c.readings = make(map[K]*reading[V])
	}
	maps.DeleteFunc(c.readings, func(_ K, r *reading[V]) bool { return r.old(c.MaxAge) })
	for key := range c.readings {
		if len(c.readings) < c.MaxKeys {
			break
		}
		delete(c.readings, key)
	}
}

// old reports whether the reading ended at least maxAge ago.
func (r *reading[V]) old(maxAge time.Duration) bool {
	select {
	case <-r.done:
		return time.Since(r.ended) >= maxAge
	default:
		return false
	}
}

// run calls read, and sets the reading's fields to its outcome.
func (r *reading[V]) run(read func() (V, error)) {
	defer close(r.done)
	defer func() {
		r.ended = time.Now()
		if cause := recover(); cause != nil {
			r.panicked = fmt.Sprintf("%v\n\n%s", cause, debug.Stack())
		}
	}()
	r.value, r.err = read()
}

// Package recent keeps what was read a moment ago, so that all who ask for the same at
// about the same time cost one reading. Start reading at Readings.
package recent

import (
	"context"
	"fmt"
	"maps"
	"runtime/debug"
	"sync"
	"time"
)

// Readings read values by key and keep them for a short time. A key has at most one
// reading at a time: who asks meanwhile waits for it, and gets its value or its error.
// Both are kept for MaxAge after the reading ended, so that neither a slow store nor a
// failing one is read more often.
//
// The age counts from the end, so a value may be older than MaxAge by the time that its
// reading took. A reading goes on when those who wait for it leave.
//
// All who ask share a value: they must not change it. Set the exported fields before the
// first Get.
type Readings[K comparable, V any] struct {
	// Read reads the value of a key. Its context has the values of the one that asked
	// first, and ends after Timeout.
	Read func(context.Context, K) (V, error)
	// MaxAge is how long a value or an error is kept; 0: only those who ask during a
	// reading share it.
	MaxAge time.Duration
	// Timeout is how long a reading may take.
	Timeout time.Duration
	// MaxKeys is the most keys with a value kept. Beyond it one of them is dropped.
	MaxKeys int

	mu    sync.Mutex
	byKey map[K]*reading[V]
}

// A reading is one call of Read. The other fields are set when done is closed.
type reading[V any] struct {
	done     chan struct{}
	ended    time.Time
	value    V
	err      error
	panicked any // what Read panicked with, and its stack; nil: it returned
}

// Get returns the value of a key, or the error of reading it, or ctx's error if that ends
// first. If Read panicked, Get panics too: the reading's own goroutine would end the
// process.
func (r *Readings[K, V]) Get(ctx context.Context, key K) (V, error) {
	found := r.begin(ctx, key)
	select {
	case <-found.done:
	case <-ctx.Done():
		var none V
		return none, ctx.Err()
	}
	if found.panicked != nil {
		panic(found.panicked)
	}
	return found.value, found.err
}

// begin returns the key's reading, if it is under way or recent enough, or starts one.
func (r *Readings[K, V]) begin(ctx context.Context, key K) *reading[V] {
	r.mu.Lock()
	defer r.mu.Unlock()
	if found := r.byKey[key]; found != nil && !found.old(r.MaxAge) {
		return found
	}
	r.makeRoom()
	started := &reading[V]{done: make(chan struct{})}
	r.byKey[key] = started
	go func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), r.Timeout)
		defer cancel()
		started.run(func() (V, error) { return r.Read(ctx, key) })
	}()
	return started
}

// makeRoom drops old readings, and one that isn't if there are still too many. Those who
// wait for that one get its value.
func (r *Readings[K, V]) makeRoom() {
	if r.byKey == nil {
		r.byKey = make(map[K]*reading[V])
	}
	maps.DeleteFunc(r.byKey, func(_ K, older *reading[V]) bool { return older.old(r.MaxAge) })
	for key := range r.byKey {
		if len(r.byKey) < r.MaxKeys {
			break
		}
		delete(r.byKey, key)
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

// run sets what read returns.
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

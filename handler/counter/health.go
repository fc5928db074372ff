package counter

import (
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"tollgate/handler/lease"
)

// health decides whether the store is down: either three operations in a row failed or were
// slow, or all have failed for a time, patience. An operation fails if the store doesn't
// answer it; a conflict is an answer.
type health struct {
	slow, patience time.Duration

	isDown atomic.Bool  // atomic, because each decision reads it
	mean   atomic.Int64 // ns that an operation takes, a moving average; 0: none has succeeded

	mu           sync.Mutex
	failures     int       // operations that failed or were slow, since the last success
	failingSince time.Time // when the first of them began
	lastFailure  time.Time // when the last of them ended
	downSince    time.Time // when the store went down
	pastOutages  time.Duration
}

// maxFailures is the number of failures in a row that mean the store is down.
const maxFailures = 3

// note records an operation that has ended.
func (h *health) note(began time.Time, err error) {
	now := time.Now()
	took, failed := now.Sub(began), isFailure(err)
	h.mu.Lock()
	defer h.mu.Unlock()
	if !failed {
		h.averageIn(took)
	}
	if !failed && took <= h.slow {
		h.failures = 0
		if h.isDown.Swap(false) {
			h.pastOutages += h.outage(now)
		}
		return
	}
	h.lastFailure = now
	if h.failures == 0 {
		h.failingSince = began
	}
	h.failures++
	tooLong := failed && now.Sub(h.failingSince) >= h.patience
	if (h.failures >= maxFailures || tooLong) && !h.isDown.Swap(true) {
		h.downSince = now
	}
}

// averageIn takes an operation's time into the mean.
func (h *health) averageIn(took time.Duration) {
	mean := h.mean.Load()
	if mean == 0 {
		mean = int64(took)
	}
	h.mean.Store(mean + (int64(took)-mean)/8)
}

// isFailure reports whether an operation ended without an answer of the store's own.
func isFailure(err error) bool {
	return err != nil && !errors.Is(err, ErrConflict) && !errors.Is(err, ErrNotFound) && !errors.Is(err, ErrEdited) && !errors.Is(err, ErrNewer)
}

// condition returns the state of the store, as far as is known.
func (h *health) condition() lease.StoreState {
	down := h.isDown.Load()
	return lease.StoreState{Down: down, Untried: down && h.untried(), Operation: time.Duration(h.mean.Load())}
}

// maxDownAge is the time after the last failure when a store that was down may be back. It
// is longer than the pauses between attempts, so after it nothing is trying the store.
const maxDownAge = 5 * time.Second

// untried reports whether nothing has tried the store lately.
func (h *health) untried() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return time.Since(h.lastFailure) > maxDownAge
}

// outage returns how long the present outage has lasted: until now, or until maxDownAge
// after the last failure if nothing has tried the store since.
func (h *health) outage(now time.Time) time.Duration {
	return min(now.Sub(h.downSince), h.lastFailure.Add(maxDownAge).Sub(h.downSince))
}

// downFor returns how long the store has been down in all.
func (h *health) downFor() time.Duration {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.isDown.Load() {
		return h.pastOutages + h.outage(time.Now())
	}
	return h.pastOutages
}

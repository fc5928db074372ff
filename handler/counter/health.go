package counter

import (
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"tollgate/handler/lease"
)

// health decides whether the store is down: three operations in a row failed
// or were slow, or all have failed for Patience. A conflict is a success.
type health struct {
	slow, patience time.Duration

	isDown atomic.Bool // read before every decision

	mu           sync.Mutex
	strikes      int
	failingSince time.Time // when the first of the failed operations began
	downSince    time.Time // when the store went down
	lastFailure  time.Time // when an operation last failed or was slow
	earlierDown  time.Duration

	mean atomic.Int64 // ns of an operation's time, a moving average
}

// maxStrikes is the number of failures in a row that mean the store is down.
const maxStrikes = 3

// note records an operation.
func (h *health) note(began time.Time, err error) {
	now := time.Now()
	took := now.Sub(began)
	failed := broken(err)
	h.mu.Lock()
	defer h.mu.Unlock()
	if !failed {
		mean := h.mean.Load()
		if mean == 0 {
			mean = int64(took)
		}
		h.mean.Store(mean + (int64(took)-mean)/8)
	}
	if !failed && took <= h.slow {
		h.strikes = 0
		if h.isDown.Swap(false) {
			h.earlierDown += h.lasted(now)
		}
		return
	}
	h.lastFailure = now
	if h.strikes == 0 {
		h.failingSince = began
	}
	h.strikes++
	long := failed && now.Sub(h.failingSince) >= h.patience
	if (h.strikes >= maxStrikes || long) && !h.isDown.Swap(true) {
		h.downSince = now
	}
}

// broken reports whether an error isn't an answer of the store's.
func broken(err error) bool {
	return err != nil && !errors.Is(err, ErrConflict) && !errors.Is(err, ErrNotFound) && !errors.Is(err, ErrEdited) && !errors.Is(err, ErrNewer)
}

// condition returns the state of the store, as far as is known.
func (h *health) condition() lease.Condition {
	down := h.isDown.Load()
	return lease.Condition{Down: down, Untried: down && h.stale(), Operation: time.Duration(h.mean.Load())}
}

// maxDownAge: this long after the last failed operation, a store that was
// down may be back. It is longer than the pauses between attempts, so it
// means that nothing has tried.
const maxDownAge = 5 * time.Second

// stale reports whether a store that was down may be back, because nothing
// has tried it.
func (h *health) stale() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return time.Since(h.lastFailure) > maxDownAge
}

// lasted returns the time that the store has been known to be down.
func (h *health) lasted(now time.Time) time.Duration {
	return min(now.Sub(h.downSince), h.lastFailure.Add(maxDownAge).Sub(h.downSince))
}

// downFor returns the time that the store has been down in all.
func (h *health) downFor() time.Duration {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.isDown.Load() {
		return h.earlierDown + h.lasted(time.Now())
	}
	return h.earlierDown
}

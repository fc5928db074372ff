package gateway

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"time"
)

const (
	// smallBody is the size, in bytes, up to which a body or answer is small: it is
	// kept until its call ends, and needn't wait behind large ones.
	smallBody = 64 << 10
	// smallShare sets 1/8 of the budget aside for small bodies and answers.
	smallShare = 8
	// subscriptionShare limits one subscription to 1/2 of the budget.
	subscriptionShare = 2
	// bodyTimeout is how long a body waits for room. An answer, which has been paid for
	// already, waits for answerTimeout.
	bodyTimeout   = 10 * time.Second
	answerTimeout = 30 * time.Second
	// budgetRetry is the Retry-After of a call that found no room.
	budgetRetry = 5 * time.Second
)

// errNoRoom means that other bodies and answers left no room in time.
var errNoRoom = errors.New("too many bytes are under way")

// A budget bounds the bytes of the request bodies and answers that all calls under
// way keep in memory, so that no caller can exhaust it. A call that finds no room
// waits: for any call to end or, once its subscription holds its share, for that
// subscription's own calls. A small body never waits behind a large one.
type budget struct {
	size int64 // bytes; 0: no bound

	mu      sync.Mutex
	used    int64            // bytes
	owners  map[string]int64 // bytes by subscription; no entry is 0
	waiting []*growth        // answers first, then bodies, each in order of arrival
}

// An allotment is the part of a budget that one body or answer holds.
type allotment struct {
	budget *budget
	owner  string // a subscription's id
	bytes  int64
}

// A growth is a request to enlarge an allotment.
type growth struct {
	*allotment
	to      int64         // bytes
	answer  bool          // for an answer; else for a body
	granted bool          // guarded by the budget's lock
	done    chan struct{} // closed when granted later; nil if granted at once
}

// newBudget returns a budget of this many bytes; 0: no bound.
func newBudget(size int64) *budget { return &budget{size: size, owners: make(map[string]int64)} }

// allot returns an empty allotment.
func (b *budget) allot(owner string) *allotment { return &allotment{budget: b, owner: owner} }

// growBody waits until there is room for a body of the given size, and takes it. The
// error is errNoRoom, or ctx's.
func (h *allotment) growBody(ctx context.Context, bytes int64) error {
	return h.grow(ctx, &growth{allotment: h, to: bytes}, bodyTimeout)
}

// growAnswer does the same for an answer, which goes before all bodies.
func (h *allotment) growAnswer(ctx context.Context, bytes int64) error {
	return h.grow(ctx, &growth{allotment: h, to: bytes, answer: true}, answerTimeout)
}

// grow waits until the growth is granted, or until the timeout or ctx ends.
func (h *allotment) grow(ctx context.Context, g *growth, timeout time.Duration) error {
	if h.budget.enqueue(g) {
		return nil
	}
	late := time.NewTimer(timeout)
	defer late.Stop()
	var err error
	select {
	case <-g.done:
		return nil
	case <-late.C:
		err = errNoRoom
	case <-ctx.Done():
		err = ctx.Err()
	}
	if h.budget.withdraw(g) { // granted at that very moment
		return nil
	}
	return err
}

// shrink gives back all but the given bytes of the allotment.
func (h *allotment) shrink(to int64) {
	b := h.budget
	b.mu.Lock()
	defer b.mu.Unlock()
	if to < h.bytes {
		b.resize(h, to)
		b.grantWaiting()
	}
}

// enqueue queues a growth and reports whether it was granted at once.
func (b *budget) enqueue(g *growth) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	at := len(b.waiting)
	if g.answer {
		if at = slices.IndexFunc(b.waiting, func(w *growth) bool { return !w.answer }); at < 0 {
			at = len(b.waiting)
		}
	}
	b.waiting = slices.Insert(b.waiting, at, g)
	b.grantWaiting()
	if !g.granted {
		g.done = make(chan struct{})
	}
	return g.granted
}

// withdraw takes a growth out of the queue, and reports whether it had been granted
// before.
func (b *budget) withdraw(g *growth) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if g.granted {
		return true
	}
	b.waiting = slices.DeleteFunc(b.waiting, func(w *growth) bool { return w == g })
	b.grantWaiting() // g may have blocked others
	return false
}

// grantWaiting grants every growth that there is room for. A growth that the whole
// budget has no room for blocks all large ones behind it, or it would never get its
// turn; one that its subscription's share has no room for blocks only that
// subscription's large ones.
func (b *budget) grantWaiting() {
	full := false
	var ownFull map[string]bool // by subscription
	b.waiting = slices.DeleteFunc(b.waiting, func(g *growth) bool {
		more, large := g.to-g.bytes, g.to > smallBody
		switch {
		case b.size == 0 || more <= 0:
		case large && ownFull[g.owner]:
			return false
		case b.owners[g.owner]+more > b.size/subscriptionShare:
			if ownFull == nil {
				ownFull = make(map[string]bool)
			}
			ownFull[g.owner] = true
			return false
		case large && full:
			return false
		case large && b.used+more > b.size-b.size/smallShare, b.used+more > b.size:
			full = full || large
			return false
		}
		b.resize(g.allotment, max(g.to, g.bytes))
		if g.granted = true; g.done != nil {
			close(g.done)
		}
		return true
	})
}

// resize sets an allotment's size. The caller holds the lock.
func (b *budget) resize(h *allotment, bytes int64) {
	b.used += bytes - h.bytes
	if b.owners[h.owner] += bytes - h.bytes; b.owners[h.owner] == 0 {
		delete(b.owners, h.owner)
	}
	h.bytes = bytes
}

// noRoomProblem answers a call whose body found no room.
func noRoomProblem(err error) error {
	if !errors.Is(err, errNoRoom) {
		return clientClosed(err)
	}
	return &problem{status: http.StatusServiceUnavailable, code: "too_many_bytes_under_way", kind: kindServer, retry: budgetRetry, cause: err,
		message: fmt.Sprintf("The gateway holds as many bytes of calls as its memory allows. Try again in %s.", spellDuration(budgetRetry))}
}

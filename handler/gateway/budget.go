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
	// keptBody is up to how many bytes a body or answer is small: it costs so little
	// that it stays for as long as its call, and finds room where large ones wait.
	keptBody = 64 << 10
	// forSmall is one part in so many of the budget that large bodies and answers
	// leave to small ones.
	forSmall = 8
	// ownShare is one part in so many of the budget that one subscription may hold.
	ownShare = 2
	// bodyPatience and answerPatience bound how long a body waits to be read, and an
	// answer, which is paid for already, to be read on.
	bodyPatience   = 10 * time.Second
	answerPatience = 30 * time.Second
	// budgetRetry is how long a caller waits that found no room.
	budgetRetry = 5 * time.Second
)

// errNoRoom says that others' bodies and answers left no room in time.
var errNoRoom = errors.New("too many bytes are under way")

// budget bounds the bytes that the request bodies and answers of all calls under
// way hold, so that no caller can have the process run out of memory. Whoever
// finds no room waits. A subscription waits for its own calls alone once it
// holds its share, and a small body never waits behind a large one.
type budget struct {
	size int64 // bytes; 0: there is no bound

	mu      sync.Mutex
	used    int64
	owners  map[string]int64 // what each subscription holds; none holds 0
	waiting []*growth        // answers first, each in the order in which they came
}

// holding is what one call holds of a budget.
type holding struct {
	budget *budget
	owner  string // a subscription's id
	bytes  int64
}

// growth is a holding that waits to become larger.
type growth struct {
	*holding
	to     int64
	answer bool
	done   chan struct{} // closed when it is
}

func newBudget(size int64) *budget { return &budget{size: size, owners: make(map[string]int64)} }

// hold makes a holding of nothing.
func (b *budget) hold(owner string) *holding { return &holding{budget: b, owner: owner} }

// growBody makes the holding that of a body of so many bytes, as soon as there
// is room. The error is errNoRoom, or ctx's.
func (h *holding) growBody(ctx context.Context, bytes int64) error {
	return h.grow(ctx, &growth{holding: h, to: bytes, done: make(chan struct{})}, bodyPatience)
}

// growAnswer is growBody for an answer.
func (h *holding) growAnswer(ctx context.Context, bytes int64) error {
	return h.grow(ctx, &growth{holding: h, to: bytes, answer: true, done: make(chan struct{})}, answerPatience)
}

func (h *holding) grow(ctx context.Context, g *growth, patience time.Duration) error {
	if h.budget.admit(g) {
		return nil
	}
	late := time.NewTimer(patience)
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
	if h.budget.leave(g) { // room was found in that moment
		return nil
	}
	return err
}

// shrink makes the holding one of so many bytes, if it is larger.
func (h *holding) shrink(to int64) {
	b := h.budget
	b.mu.Lock()
	defer b.mu.Unlock()
	if to < h.bytes {
		b.set(h, to)
		b.serve()
	}
}

// admit grows a holding at once if nothing stands against it, else has it wait.
func (b *budget) admit(g *growth) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	at := len(b.waiting)
	if g.answer {
		if at = slices.IndexFunc(b.waiting, func(w *growth) bool { return !w.answer }); at < 0 {
			at = len(b.waiting)
		}
	}
	b.waiting = slices.Insert(b.waiting, at, g)
	b.serve()
	return g.grown()
}

// leave ends a wait, and says whether it had been successful.
func (b *budget) leave(g *growth) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if g.grown() {
		return true
	}
	b.waiting = slices.DeleteFunc(b.waiting, func(w *growth) bool { return w == g })
	b.serve() // it may have stood before others
	return false
}

// serve grows those that wait and for whom there is room. One that waits for
// others stands before all large ones that came after it, or it would never be
// served; one that waits for its own subscription's calls, before that one's
// large ones.
func (b *budget) serve() {
	full := false
	var own map[string]bool
	b.waiting = slices.DeleteFunc(b.waiting, func(g *growth) bool {
		more, large := g.to-g.bytes, g.to > keptBody
		switch {
		case b.size == 0 || more <= 0:
		case large && own[g.owner]:
			return false
		case b.owners[g.owner]+more > b.size/ownShare:
			if own == nil {
				own = make(map[string]bool)
			}
			own[g.owner] = true
			return false
		case large && full:
			return false
		case large && b.used+more > b.size-b.size/forSmall, b.used+more > b.size:
			full = full || large
			return false
		}
		b.set(g.holding, max(g.to, g.bytes))
		close(g.done)
		return true
	})
}

func (b *budget) set(h *holding, bytes int64) {
	b.used += bytes - h.bytes
	if b.owners[h.owner] += bytes - h.bytes; b.owners[h.owner] == 0 {
		delete(b.owners, h.owner)
	}
	h.bytes = bytes
}

func (g *growth) grown() bool {
	select {
	case <-g.done:
		return true
	default:
		return false
	}
}

// noRoom is the answer where a body found no room.
func noRoom(err error) error {
	if !errors.Is(err, errNoRoom) {
		return clientClosed(err)
	}
	return &problem{status: http.StatusServiceUnavailable, code: "too_many_bytes_under_way", kind: kindServer, retry: budgetRetry, cause: err,
		message: fmt.Sprintf("The gateway is at work on as many bytes of calls as its memory allows. Try again in %s.", spell(budgetRetry))}
}

package price

import (
	"context"
	"fmt"
	"sync"
	"time"
)

// How long a list is used.
const (
	// freshFor is how long a list is used before the store is read again.
	freshFor = 30 * time.Second
	// refreshGrace is how old a list may be and still be used while the store is being
	// read. It is therefore the longest time for which a changed price stays in effect.
	refreshGrace = time.Minute
	// readTimeout bounds one reading.
	readTimeout = 2 * time.Second
	// retryAfter is the pause between a failed reading and the next.
	retryAfter = 5 * time.Second
)

// A Book reads the prices of a store and remembers them. While the store can't be read, it
// goes by the list that it has, however old: the list has dates, so prices that were
// stored for a later day still begin on it. Make one with NewBook.
type Book struct {
	store Store

	mu      sync.Mutex
	list    *List     // nil: never read
	read    time.Time // when the reading behind list began
	due     time.Time // when to read again
	failure error     // of the last reading; nil: it succeeded
	pending *reading  // the reading in progress; nil: none
}

// A reading is one reading of the store, shared by all calls that wait for it.
type reading struct {
	done chan struct{} // closed when list and err are set
	list *List
	err  error
}

// NewBook returns a book that reads from store. It reads nothing before the first call.
func NewBook(store Store) *Book { return &Book{store: store} }

// Quote returns the price of a call of a model that starts now and that one of the
// endpoints will serve. A call that has a usable list doesn't wait for the store. The error
// wraps ErrUnpriced if the model has no price, and ErrUnavailable if no price was ever
// read.
func (b *Book) Quote(ctx context.Context, model string, endpoints []string, now time.Time) (Quote, error) {
	list, err := b.current(ctx)
	if err != nil {
		return Quote{}, err
	}
	return list.Quote(model, endpoints, now)
}

// Currency returns the code of the currency of all prices, empty if none is set. The error
// wraps ErrUnavailable if no price was ever read.
func (b *Book) Currency(ctx context.Context) (string, error) {
	list, err := b.current(ctx)
	if err != nil {
		return "", err
	}
	return list.currency, nil
}

// current returns the list to go by, and reads the store if that is due.
func (b *Book) current(ctx context.Context) (*List, error) {
	now := time.Now()
	b.mu.Lock()
	if now.Before(b.due) {
		defer b.mu.Unlock()
		return b.list, b.unreadable()
	}
	if b.pending == nil {
		b.pending = &reading{done: make(chan struct{})}
		go b.refresh(context.WithoutCancel(ctx), b.pending) // others wait for it even if this caller leaves
	}
	list, pending := b.list, b.pending
	usable := list != nil && (b.failure != nil || now.Sub(b.read) < refreshGrace)
	b.mu.Unlock()
	if usable {
		return list, nil
	}
	select {
	case <-pending.done:
		return pending.list, pending.err
	case <-ctx.Done():
		if list != nil {
			return list, nil
		}
		return nil, fmt.Errorf("%w: %w", ErrUnavailable, ctx.Err())
	}
}

// unreadable returns the error of calls while there is no list.
func (b *Book) unreadable() error {
	if b.list != nil {
		return nil
	}
	return fmt.Errorf("%w: %w", ErrUnavailable, b.failure)
}

// refresh reads the store and publishes the result to all calls that wait for it.
func (b *Book) refresh(ctx context.Context, r *reading) {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	asked := time.Now()
	found, err := b.store.Read(ctx)
	var list *List
	if err == nil {
		list = NewList(found)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	defer close(r.done)
	b.pending, b.failure = nil, err
	if err == nil {
		b.list, b.read, b.due = list, asked, asked.Add(freshFor)
	} else {
		b.due = time.Now().Add(retryAfter)
	}
	r.list, r.err = b.list, b.unreadable()
}

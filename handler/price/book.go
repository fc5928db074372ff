package price

import (
	"context"
	"fmt"
	"math"
	"sync"
	"time"

	"tollgate/handler/recent"
)

const (
	// freshFor is how long a list is used before the store is read again.
	freshFor = 30 * time.Second
	// readTimeout bounds one reading.
	readTimeout = 2 * time.Second
)

// lifetime says how old a list may become. Its Grace is the longest time for which a price
// that was changed stays in effect while the store can be read.
var lifetime = recent.Lifetime{Grace: time.Minute, Stale: math.MaxInt64, Retry: 5 * time.Second}

// A Book reads prices from a store and remembers them. While the store can't be read, it
// uses the last list, however old: the list has dates, so a price stored for a later day
// still begins on that day. Make one with NewBook.
type Book struct {
	store Store

	mu   sync.Mutex
	list recent.Value[*List]
}

// NewBook returns a book that reads from store. It reads nothing before the first call.
func NewBook(store Store) *Book { return &Book{store: store} }

// Quote returns the price of a call to a model that starts now and that one of the
// endpoints will serve. It waits for the store only if the last list is too old to use. The
// error wraps ErrUnpriced if the model has no usable price, and ErrUnavailable if prices
// were never read.
func (b *Book) Quote(ctx context.Context, model string, endpoints []string, now time.Time) (Quote, error) {
	list, err := b.current(ctx)
	if err != nil {
		return Quote{}, err
	}
	return list.Quote(model, endpoints, now)
}

// Currency returns the currency's code, empty if none is set. The error wraps
// ErrUnavailable if prices were never read.
func (b *Book) Currency(ctx context.Context) (string, error) {
	list, err := b.current(ctx)
	if err != nil {
		return "", err
	}
	return list.currency, nil
}

// current returns the list to use, and starts a reading if one is due.
func (b *Book) current(ctx context.Context) (*List, error) {
	now := time.Now()
	b.mu.Lock()
	if b.list.Fresh(now) {
		defer b.mu.Unlock()
		return b.list.Last()
	}
	refresh, isNew := b.list.Refresh()
	if isNew {
		go b.read(context.WithoutCancel(ctx)) // others wait for it even if this caller leaves
	}
	last, _ := b.list.Last()
	usable := b.list.Usable(now, lifetime)
	b.mu.Unlock()
	if usable {
		return last, nil
	}
	list, err := refresh.Wait(ctx)
	switch {
	case err == nil || err != ctx.Err():
		return list, err
	case last != nil: // too old, but better than none
		return last, nil
	}
	return nil, fmt.Errorf("%w: %w", ErrUnavailable, err)
}

// read reads the store and ends the refresh in progress.
func (b *Book) read(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	began := time.Now()
	snapshot, err := b.store.Read(ctx)
	var list *List
	if err == nil {
		list = NewList(snapshot)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if err != nil {
		b.list.Fail(fmt.Errorf("%w: %w", ErrUnavailable, err), time.Now(), lifetime)
		return
	}
	b.list.Keep(list, began, began.Add(freshFor))
}

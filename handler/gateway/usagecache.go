package gateway

import (
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	"tollgate/handler/ledger"
	"tollgate/handler/limit"
)

// UsageReader reads the ledger.
type UsageReader interface {
	// Rows returns the rows of a subscription's minutes and hours that begin in [from, to).
	Rows(ctx context.Context, subscription string, from, to time.Time) ([]ledger.Row, error)
}

// usage returns what a subscription used from a time on: what the ledger has, and what
// this instance has yet to write. With an error it is the latter alone.
func (g *Gateway) usage(ctx context.Context, subscription string, from, now time.Time) ([]ledger.Usage, error) {
	stored, err := g.usageCache.rows(ctx, g.config.Usage, subscription, from, now)
	var rows []ledger.Row
	if g.config.Ledger != nil {
		rows = g.config.Ledger.Known(subscription)
	}
	rows = slices.DeleteFunc(slices.Concat(rows, stored), func(row ledger.Row) bool { return row.Start < limit.Minute(from) })
	return ledger.Join(rows), err
}

// A usageCache keeps readings of the ledger for a moment and shares those under way.
// However often callers ask, and for however many spans, a subscription's rows are read at
// most once in usageMaxAge for each of spans.
type usageCache struct {
	mu       sync.Mutex
	readings map[readingKey]*reading
}

// A readingKey identifies a reading.
type readingKey struct {
	subscription string
	span         time.Duration
}

// A reading is one pass over a subscription's rows. done is closed when rows and err are
// set.
type reading struct {
	done  chan struct{}
	rows  []ledger.Row
	err   error
	began time.Time
}

// spans are how far back a reading may go. A reading takes the shortest that covers
// what was asked for.
var spans = []time.Duration{defaultHours * time.Hour, 24 * time.Hour, maxHours * time.Hour}

const (
	// usageMaxAge is how long a reading is used: as long as a counter's own status.
	usageMaxAge = 2 * time.Second
	// maxReadings is the most readings that are kept.
	maxReadings = 1000
	// usageTimeout bounds a reading.
	usageTimeout = 10 * time.Second
)

// rows returns a subscription's rows from a time on, and perhaps some before it. Without a
// reader there are none.
func (u *usageCache) rows(ctx context.Context, reader UsageReader, subscription string, from, now time.Time) ([]ledger.Row, error) {
	if reader == nil {
		return nil, nil
	}
	found := u.begin(ctx, reader, readingKey{subscription, spanOf(now.Sub(from))}, now)
	select {
	case <-found.done:
		return found.rows, found.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// spanOf returns the shortest of spans that covers a duration.
func spanOf(asked time.Duration) time.Duration {
	for _, span := range spans {
		if asked <= span+time.Minute { // asked begins at a whole minute
			return span
		}
	}
	return spans[len(spans)-1]
}

// begin returns a reading of key that is recent enough, or starts one.
func (u *usageCache) begin(ctx context.Context, reader UsageReader, key readingKey, now time.Time) *reading {
	u.mu.Lock()
	defer u.mu.Unlock()
	if found := u.readings[key]; found != nil && now.Sub(found.began) < usageMaxAge {
		return found
	}
	maps.DeleteFunc(u.readings, func(_ readingKey, older *reading) bool { return now.Sub(older.began) >= usageMaxAge })
	if u.readings == nil || len(u.readings) >= maxReadings {
		u.readings = make(map[readingKey]*reading)
	}
	started := &reading{done: make(chan struct{}), began: now}
	u.readings[key] = started
	go started.read(context.WithoutCancel(ctx), reader, key) // other callers may wait for it too
	return started
}

func (r *reading) read(ctx context.Context, reader UsageReader, key readingKey) {
	defer close(r.done)
	ctx, cancel := context.WithTimeout(ctx, usageTimeout)
	defer cancel()
	r.rows, r.err = reader.Rows(ctx, key.subscription, r.began.Add(-key.span).Truncate(time.Minute), r.began.Add(time.Hour)) // for instances whose clock is ahead
}

package gateway

import (
	"context"
	"maps"
	"slices"
	"strconv"
	"sync"
	"time"

	"tollgate/handler/counter"
	"tollgate/handler/counter/usage"
)

// A historyCache keeps readings of the usage history for a moment and shares those
// under way. However often callers ask, and for however many spans, a counter's
// history is read at most once in historyMaxAge for each of spans.
type historyCache struct {
	mu       sync.Mutex
	readings map[historyKey]*reading
}

// A historyKey identifies a reading.
type historyKey struct {
	counter string
	span    time.Duration
	// recent lists the minutes that were still in the counter. Once one has left it,
	// it is in the history, and an older reading may lack it.
	recent string
}

// A reading is one pass over the history. done is closed when rows and err are set.
type reading struct {
	done  chan struct{}
	rows  []usage.Row
	err   error
	began time.Time
}

// spans are how far back a reading may go. A reading takes the shortest that covers
// what was asked for.
var spans = []time.Duration{defaultHours * time.Hour, 24 * time.Hour, maxHours * time.Hour}

const (
	// historyMaxAge is how long a reading is used: as long as a counter's own status.
	historyMaxAge = 2 * time.Second
	// maxReadings is the most readings that are kept.
	maxReadings = 1000
	// historyTimeout bounds a reading. The answer then has the counter's minutes alone.
	historyTimeout = 10 * time.Second
)

// rows returns a counter's rows from q.From on. recent is what the counter itself
// still has. Without a reader, where no history is kept, there are none.
func (h *historyCache) rows(ctx context.Context, reader usage.Reader, q usage.Query, recent counter.Recent, now time.Time) ([]usage.Row, error) {
	if reader == nil {
		return nil, nil
	}
	key := historyKey{counter: q.Counter, span: spanOf(now.Sub(q.From))}
	for _, closed := range recent.Minutes {
		key.recent += strconv.FormatInt(closed.Minute, 36) + " "
	}
	since := q.From
	q.From = now.Add(-key.span).Truncate(time.Minute)
	found := h.begin(ctx, reader, key, q, now)
	select {
	case <-found.done:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if found.err != nil || since.Equal(q.From) {
		return found.rows, found.err
	}
	first := since.Unix() / 60
	return slices.DeleteFunc(slices.Clone(found.rows), func(row usage.Row) bool { return row.Minute < first }), nil
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
func (h *historyCache) begin(ctx context.Context, reader usage.Reader, key historyKey, q usage.Query, now time.Time) *reading {
	h.mu.Lock()
	defer h.mu.Unlock()
	if found := h.readings[key]; found != nil && now.Sub(found.began) < historyMaxAge {
		return found
	}
	maps.DeleteFunc(h.readings, func(_ historyKey, older *reading) bool { return now.Sub(older.began) >= historyMaxAge })
	if h.readings == nil || len(h.readings) >= maxReadings {
		h.readings = make(map[historyKey]*reading)
	}
	started := &reading{done: make(chan struct{}), began: now}
	h.readings[key] = started
	go started.read(context.WithoutCancel(ctx), reader, q) // other callers may wait for it too
	return started
}

func (r *reading) read(ctx context.Context, reader usage.Reader, q usage.Query) {
	defer close(r.done)
	ctx, cancel := context.WithTimeout(ctx, historyTimeout)
	defer cancel()
	for row, err := range reader.Rows(ctx, q) {
		if err != nil {
			r.rows, r.err = nil, err
			return
		}
		r.rows = append(r.rows, row)
	}
}

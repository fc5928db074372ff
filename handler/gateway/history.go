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

// history remembers readings of the usage history for a moment, and shares those
// under way: whoever asks again and again, or for many spans, costs no more than
// a reading of each of spans in that time.
type history struct {
	mu    sync.Mutex
	known map[asked]*reading
}

type asked struct {
	counter string
	span    time.Duration
	// beside are the minutes that the counter told itself: once one is gone from
	// there, it is in the history, and an older answer wouldn't have it.
	beside string
}

// reading is one of the history; done is closed when rows and err are set.
type reading struct {
	done chan struct{}
	rows []usage.Row
	err  error
	at   time.Time // when it began
}

// spans are how far back readings go: the shortest that holds what was asked for.
var spans = []time.Duration{usualHours * time.Hour, 24 * time.Hour, mostHours * time.Hour}

const (
	// historyKept is how long an answer holds: as long as what counters tell.
	historyKept = 2 * time.Second
	// historiesKept bounds how many are remembered.
	historiesKept = 1000
	// historyPatience bounds a reading: what the counters tell needn't wait for more.
	historyPatience = 10 * time.Second
)

// rows are those of a counter since a time, beside what the counter itself told;
// reader may be nil, where no history is kept.
func (h *history) rows(ctx context.Context, reader usage.Reader, q usage.Query, recent counter.Recent, now time.Time) ([]usage.Row, error) {
	if reader == nil {
		return nil, nil
	}
	key := asked{counter: q.Counter, span: spanOf(now.Sub(q.From))}
	for _, closed := range recent.Minutes {
		key.beside += strconv.FormatInt(closed.Minute, 36) + " "
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

// spanOf is the shortest of spans that holds a time.
func spanOf(asked time.Duration) time.Duration {
	for _, span := range spans {
		if asked <= span+time.Minute { // which the start of a minute may add
			return span
		}
	}
	return spans[len(spans)-1]
}

// begin finds the reading of a key that is still good, or starts one.
func (h *history) begin(ctx context.Context, reader usage.Reader, key asked, q usage.Query, now time.Time) *reading {
	h.mu.Lock()
	defer h.mu.Unlock()
	if found := h.known[key]; found != nil && now.Sub(found.at) < historyKept {
		return found
	}
	maps.DeleteFunc(h.known, func(_ asked, older *reading) bool { return now.Sub(older.at) >= historyKept })
	if h.known == nil || len(h.known) >= historiesKept {
		h.known = make(map[asked]*reading)
	}
	started := &reading{done: make(chan struct{}), at: now}
	h.known[key] = started
	go started.read(context.WithoutCancel(ctx), reader, q) // others may wait for it, too
	return started
}

func (r *reading) read(ctx context.Context, reader usage.Reader, q usage.Query) {
	defer close(r.done)
	ctx, cancel := context.WithTimeout(ctx, historyPatience)
	defer cancel()
	for row, err := range reader.Rows(ctx, q) {
		if err != nil {
			r.rows, r.err = nil, err
			return
		}
		r.rows = append(r.rows, row)
	}
}

package gateway

import (
	"context"
	"maps"
	"strconv"
	"sync"
	"time"

	"tollgate/handler/counter"
	"tollgate/handler/counter/usage"
)

// history remembers answers of the usage history for a moment: whoever asks
// again and again costs no more than who asks now and then.
type history struct {
	mu    sync.Mutex
	known map[asked]remembered
}

type asked struct {
	counter string
	from    int64 // Unix seconds
	// beside are the minutes that the counter told itself: once one is gone from
	// there, it is in the history, and an older answer wouldn't have it.
	beside string
}

type remembered struct {
	rows []usage.Row
	at   time.Time
}

const (
	// historyKept is how long an answer holds: as long as what counters tell.
	historyKept = 2 * time.Second
	// historiesKept bounds how many are remembered.
	historiesKept = 1000
	// historyPatience bounds a reading: what the counters tell needn't wait for more.
	historyPatience = 10 * time.Second
)

// rows are those that a query means, beside what the counter itself told;
// reader may be nil, where no history is kept.
func (h *history) rows(ctx context.Context, reader usage.Reader, q usage.Query, recent counter.Recent, now time.Time) ([]usage.Row, error) {
	if reader == nil {
		return nil, nil
	}
	key := asked{counter: q.Counter, from: q.From.Unix()}
	for _, closed := range recent.Minutes {
		key.beside += strconv.FormatInt(closed.Minute, 36) + " "
	}
	h.mu.Lock()
	found, ok := h.known[key]
	h.mu.Unlock()
	if ok && now.Sub(found.at) < historyKept {
		return found.rows, nil
	}
	ctx, cancel := context.WithTimeout(ctx, historyPatience)
	defer cancel()
	var rows []usage.Row
	for row, err := range reader.Rows(ctx, q) {
		if err != nil {
			return nil, err
		}
		rows = append(rows, row)
	}
	h.keep(key, remembered{rows, now})
	return rows, nil
}

// keep remembers an answer, and forgets those whose time is over.
func (h *history) keep(key asked, answer remembered) {
	h.mu.Lock()
	defer h.mu.Unlock()
	maps.DeleteFunc(h.known, func(_ asked, older remembered) bool { return answer.at.Sub(older.at) >= historyKept })
	if h.known == nil || len(h.known) >= historiesKept {
		h.known = make(map[asked]remembered)
	}
	h.known[key] = answer
}

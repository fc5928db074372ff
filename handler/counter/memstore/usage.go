package memstore

import (
	"cmp"
	"context"
	"iter"
	"maps"
	"slices"
	"sync"
	"time"

	"tollgate/handler/counter/usage"
	"tollgate/handler/limit"
)

// History keeps closed minutes in memory. Make one with NewHistory.
type History struct {
	mu    sync.Mutex
	rows  map[rowKey]usage.Row
	fault Fault
}

type rowKey struct {
	counter string
	minute  int64
	epoch   string
}

var _ usage.Store = (*History)(nil)

// NewHistory returns an empty history. fault may be nil; its operations are
// "put", "rows" and "delete".
func NewHistory(fault Fault) *History {
	return &History{rows: make(map[rowKey]usage.Row), fault: fault}
}

// check asks the fault about an operation.
func (h *History) check(operation string) (apply bool, err error) {
	if h.fault == nil {
		return true, nil
	}
	apply, err = h.fault(operation)
	return apply || err == nil, err
}

// PutClosed implements counter.History.
func (h *History) PutClosed(_ context.Context, key, epoch string, row limit.Closed) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	apply, err := h.check("put")
	at := rowKey{key, row.Minute, epoch}
	if _, there := h.rows[at]; apply && !there {
		h.rows[at] = usage.Row{Counter: key, Epoch: epoch, Closed: row}
	}
	return err
}

// Rows implements usage.Reader. It yields the rows that exist when it is
// called.
func (h *History) Rows(_ context.Context, q usage.Query) iter.Seq2[usage.Row, error] {
	h.mu.Lock()
	defer h.mu.Unlock()
	_, err := h.check("rows")
	found := slices.SortedFunc(maps.Values(h.rows), func(a, b usage.Row) int {
		return cmp.Or(cmp.Compare(a.Counter, b.Counter), cmp.Compare(a.Minute, b.Minute), cmp.Compare(a.Epoch, b.Epoch))
	})
	return func(yield func(usage.Row, error) bool) {
		if err != nil {
			yield(usage.Row{}, err)
			return
		}
		for _, row := range found {
			if matches(q, row) && !yield(row, nil) {
				return
			}
		}
	}
}

// matches reports whether a query selects a row.
func matches(q usage.Query, row usage.Row) bool {
	from, to := q.Minutes()
	switch {
	case row.Minute < from || row.Minute >= to:
		return false
	case q.Counter != "":
		return q.Counter == row.Counter
	case q.Owner.Subscription != "" || q.Owner.Tier != "":
		return q.Owner == row.Owner()
	}
	return true
}

// DeleteBefore implements usage.Store.
func (h *History) DeleteBefore(_ context.Context, minute time.Time) (deleted int, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	apply, err := h.check("delete")
	if !apply {
		return 0, err
	}
	before := len(h.rows)
	maps.DeleteFunc(h.rows, func(_ rowKey, row usage.Row) bool { return matches(usage.Query{To: minute}, row) })
	return before - len(h.rows), err
}

package gateway

import (
	"context"
	"slices"
	"time"

	"tollgate/handler/ledger"
	"tollgate/handler/limit"
	"tollgate/handler/recent"
)

// UsageReader reads the ledger.
type UsageReader interface {
	// Rows returns the rows of a subscription's minutes and hours that begin in [from, to).
	Rows(ctx context.Context, subscription string, from, to time.Time) ([]ledger.Row, error)
}

// usage returns what a subscription used from a time on: what the ledger has, and what
// this instance has yet to write. With an error it is the latter alone.
func (g *Gateway) usage(ctx context.Context, subscription string, from, now time.Time) ([]ledger.Usage, error) {
	stored, err := g.recentRows.Get(ctx, usageSpan{subscription, spanOf(now.Sub(from))})
	var rows []ledger.Row
	if g.config.Ledger != nil {
		rows = g.config.Ledger.Pending(subscription)
	}
	rows = slices.DeleteFunc(slices.Concat(rows, stored), func(row ledger.Row) bool { return row.Start < limit.Minute(from) })
	return ledger.Join(rows), err
}

// A usageSpan identifies a reading of the ledger: a subscription, and how far back.
type usageSpan struct {
	subscription string
	back         time.Duration // one of spans
}

// spans are the lengths of time that a reading may cover, back from now. A reading takes
// the shortest that covers the hours asked for.
var spans = []time.Duration{defaultHours * time.Hour, 24 * time.Hour, maxHours * time.Hour}

const (
	// usageMaxAge is the age up to which a reading is used: that of a counter's standing.
	usageMaxAge = 2 * time.Second
	// maxUsageSpans is the most readings that are kept.
	maxUsageSpans = 1000
	// usageTimeout bounds a reading.
	usageTimeout = 10 * time.Second
)

// newRecentRows returns the cache through which GET /usage reads the ledger. However often
// callers ask, and for however many hours, a subscription's rows are read at most once in
// usageMaxAge for each of spans. Without a reader there are no rows.
func newRecentRows(reader UsageReader) *recent.Cache[usageSpan, []ledger.Row] {
	return &recent.Cache[usageSpan, []ledger.Row]{
		Read: func(ctx context.Context, of usageSpan) ([]ledger.Row, error) {
			if reader == nil {
				return nil, nil
			}
			now := time.Now()
			return reader.Rows(ctx, of.subscription, now.Add(-of.back).Truncate(time.Minute), now.Add(time.Hour)) // for instances whose clock is ahead
		},
		MaxAge:  usageMaxAge,
		Timeout: usageTimeout,
		MaxKeys: maxUsageSpans,
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

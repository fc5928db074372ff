package manage

import (
	"context"
	"slices"
	"strings"
	"time"

	"tollgate/handler/limit"
)

// A standingsCache holds one reading of all counters, shared by all requests: each open
// console asks every few seconds, and each reading reads every counter.
type standingsCache struct {
	lock   chan struct{} // has room for the one request that reads
	readAt time.Time     // when the last reading ended; zero: never
	all    []Standing    // ordered by counter; never changed
	err    error
}

func newStandingsCache() *standingsCache { return &standingsCache{lock: make(chan struct{}, 1)} }

// allStandings returns the standings of all counters, ordered by key, at most
// StandingsMaxAge old.
func (c *call) allStandings() ([]Standing, error) {
	l, ctx := c.api.standings, c.Context()
	select {
	case l.lock <- struct{}{}:
		defer func() { <-l.lock }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if !l.readAt.IsZero() && time.Since(l.readAt) < c.api.config.StandingsMaxAge {
		return l.all, l.err
	}
	all, err := c.readStandings(ctx)
	if ctx.Err() != nil { // this request was cancelled: don't keep its error for others
		return nil, err
	}
	l.readAt, l.all, l.err = time.Now(), all, err
	return all, err
}

// readStandings reads the standings of all counters.
func (c *call) readStandings(ctx context.Context) ([]Standing, error) {
	limits, err := c.effectiveLimits()
	if err != nil {
		return nil, err
	}
	var all []Standing
	now := time.Now()
	for stored, err := range c.api.config.Counters.List(ctx) {
		if err != nil && stored.Key == "" {
			return nil, err
		}
		all = append(all, standingOf(stored, err, limits[limit.OwnerOf(stored.Key)], now))
	}
	slices.SortFunc(all, func(a, b Standing) int { return strings.Compare(a.Counter, b.Counter) })
	return all, nil
}

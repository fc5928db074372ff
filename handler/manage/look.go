package manage

import (
	"context"
	"slices"
	"strings"
	"time"

	"tollgate/handler/limit"
)

// look is where all counters stood a moment ago, for everybody who asks: each
// open console does, every few seconds, and a look reads all counters.
type look struct {
	turn chan struct{} // has room for who is looking
	at   time.Time     // when the last one ended
	all  []Standing    // by counter; never changed
	err  error
}

func newLook() *look { return &look{turn: make(chan struct{}, 1)} }

// standings are where all counters stand, by key, at most LookAge old.
func (c *call) standings() ([]Standing, error) {
	l, ctx := c.api.look, c.Context()
	select {
	case l.turn <- struct{}{}:
		defer func() { <-l.turn }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if !l.at.IsZero() && time.Since(l.at) < c.api.LookAge {
		return l.all, l.err
	}
	all, err := c.lookAtAll(ctx)
	if ctx.Err() != nil { // who asked has left: that says nothing to others
		return nil, err
	}
	l.at, l.all, l.err = time.Now(), all, err
	return all, err
}

func (c *call) lookAtAll(ctx context.Context) ([]Standing, error) {
	limits, err := c.limits()
	if err != nil {
		return nil, err
	}
	var all []Standing
	now := time.Now()
	for stored, err := range c.api.Usage.Stored(ctx) {
		if err != nil && stored.Key == "" {
			return nil, err
		}
		all = append(all, standing(stored, err, limits[limit.OwnerOf(stored.Key)], now))
	}
	slices.SortFunc(all, func(a, b Standing) int { return strings.Compare(a.Counter, b.Counter) })
	return all, nil
}

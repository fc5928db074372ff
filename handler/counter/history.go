package counter

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"tollgate/handler/limit"
)

// orphaned is how long after its end a closed minute's row is written by
// whoever sees that it is still missing: the one that closed it may be gone.
const orphanAge = 10 * time.Second

// file writes the rows of the minutes that a write closed, and of those that
// another instance left. The lock is held.
func (a *replica) fileRows(body *limit.Write, now time.Time) {
	if a.counter.History == nil {
		return
	}
	var rows []limit.Closed
	waiting := make(map[int64]bool, len(body.State.Outbox))
	for _, row := range body.State.Outbox {
		waiting[row.Minute] = true
		_, begun := a.filed[row.Minute]
		ours := len(body.Closed) > 0 && row.Minute >= body.Closed[0].Minute
		if !begun && (ours || now.Sub(limit.MinuteStart(row.Minute+1)) > orphanAge) {
			a.filed[row.Minute] = false
			rows = append(rows, row)
		}
	}
	for minute := range a.filed {
		if !waiting[minute] {
			delete(a.filed, minute)
		}
	}
	if len(rows) > 0 {
		epoch := body.State.Epoch
		a.counter.filings.Go(func() { a.putRows(epoch, rows) })
	}
}

// put writes rows, the oldest first, up to one that fails: with the history down,
// each would take its time to fail, too. They are left to whoever sees them next.
func (a *replica) putRows(epoch string, rows []limit.Closed) {
	for i, row := range rows {
		err := a.counter.putRow(context.Background(), a.key, epoch, row)
		a.mu.Lock()
		if err != nil {
			for _, left := range rows[i:] {
				delete(a.filed, left.Minute)
			}
			a.mu.Unlock()
			a.counter.Log.Warn("usage is not in the history yet", "counter", a.key, "from", limit.MinuteStart(row.Minute), "minutes", len(rows)-i, "error", err.Error())
			return
		}
		if a.stored.Epoch == epoch {
			a.filed[row.Minute] = true
		}
		a.mu.Unlock()
	}
}

// rescueTries and rescuePause are how often, and after what time, the rows of a
// counter that is replaced are tried again: nobody sees them later.
const (
	rescueTries = 5
	rescuePause = 2 * time.Second
)

// rescue writes the closed minutes of a counter that is about to be replaced.
func (a *replica) rescue(s *limit.State) {
	a.mu.Lock()
	done := a.rescuedEpoch == s.Epoch
	a.rescuedEpoch = s.Epoch
	a.mu.Unlock()
	if done || a.counter.History == nil || len(s.Outbox) == 0 {
		return
	}
	epoch, rows := s.Epoch, s.Outbox
	a.counter.filings.Go(func() {
		for tries := 1; len(rows) > 0; {
			err := a.counter.putRow(context.Background(), a.key, epoch, rows[0])
			switch {
			case err == nil:
				rows = rows[1:]
			case tries == rescueTries:
				a.counter.reportLostRows(a.key, rows, err)
				return
			default:
				tries++
				time.Sleep(rescuePause)
			}
		}
	})
}

// lose tells of usage that the history will not have.
func (c *Counter) reportLostRows(key string, rows []limit.Closed, cause error) {
	var tokens int64
	for _, row := range rows {
		tokens += row.Total()
	}
	c.stats.unknownUsage.Add(tokens)
	c.Log.Error("usage is lost to the history: a counter was replaced while the history couldn't be written", "counter", key,
		"minutes", len(rows), "tokens", tokens, "error", cause.Error())
}

func (c *Counter) putRow(ctx context.Context, key, epoch string, row limit.Closed) error {
	ctx, cancel := context.WithTimeout(ctx, c.OperationTimeout)
	defer cancel()
	c.stats.rows.Add(1)
	return c.History.PutClosed(ctx, key, epoch, row)
}

// flushTries bounds how often FlushIdle tries again after a conflict: a counter
// that others write to needs no flushing.
const flushTries = 5

// FlushIdle closes the last minute of a counter that nobody uses any more, and
// has its usage kept. It works for any key, also one that this instance never
// saw. Where nothing would be lost with the counter, spare is the version under
// which it may be deleted; else it is empty.
func (c *Counter) FlushIdle(ctx context.Context, key string) (spare Version, err error) {
	for range flushTries {
		spare, err = c.flush(ctx, key)
		if !errors.Is(err, ErrConflict) {
			break
		}
	}
	switch {
	case errors.Is(err, ErrConflict): // it is in use
		return "", nil
	case err != nil:
		return "", fmt.Errorf("flush counter: %w", err)
	}
	return spare, nil
}

func (c *Counter) flush(ctx context.Context, key string) (Version, error) {
	state, version, date, err := c.read(ctx, key)
	if errors.Is(err, ErrNotFound) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	now := c.clock.now()
	if !state.Plausible(latest(now, date)) {
		return "", nil // the next call mends it
	}
	next := state.Clone()
	next.Advance(next.Limits, now)
	next.Reclaim("", now)
	if len(next.Outbox) > len(state.Outbox) || !slices.Equal(next.Slots, state.Slots) || next.Happened != state.Happened {
		next.Rev++
		if version, err = c.swap(ctx, key, &next, version); err != nil {
			return "", err
		}
	}
	if len(next.Outbox) > 0 {
		if version, err = c.emptyOutbox(ctx, key, &next, version); err != nil {
			return "", err
		}
	}
	if !next.Deletable(now) {
		return "", nil
	}
	return version, nil
}

// empty writes the rows of a counter's outbox, and then takes them out of it.
func (c *Counter) emptyOutbox(ctx context.Context, key string, state *limit.State, version Version) (Version, error) {
	for _, row := range state.Outbox {
		if c.History == nil {
			break
		}
		if err := c.putRow(ctx, key, state.Epoch, row); err != nil {
			return "", fmt.Errorf("keep minute %d: %w", row.Minute, err)
		}
	}
	state.Outbox = nil
	state.Rev++
	return c.swap(ctx, key, state, version)
}

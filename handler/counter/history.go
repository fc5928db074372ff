package counter

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"tollgate/handler/limit"
)

// orphanAge: this long after a minute's end, any instance that finds its row
// missing writes it, as the one that closed it may be gone.
const orphanAge = 10 * time.Second

// fileRows writes the rows of the minutes that a write closed, and of those
// that other instances left behind. The lock is held.
func (a *replica) fileRows(body *limit.Write, now time.Time) {
	if a.counter.config.History == nil {
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

// putRows writes rows, oldest first, and stops at the first failure: if the
// history is down, each would take its time to fail. The next write that sees
// the rest tries again.
func (a *replica) putRows(epoch string, rows []limit.Closed) {
	for i, row := range rows {
		err := a.counter.putRow(context.Background(), a.key, epoch, row)
		a.mu.Lock()
		if err != nil {
			for _, left := range rows[i:] {
				delete(a.filed, left.Minute)
			}
			a.mu.Unlock()
			a.counter.config.Log.Warn("usage is not in the history yet", "counter", a.key, "from", limit.MinuteStart(row.Minute), "minutes", len(rows)-i, "error", err.Error())
			return
		}
		if a.stored.Epoch == epoch {
			a.filed[row.Minute] = true
		}
		a.mu.Unlock()
	}
}

// rescueTries and rescuePause are the attempts, and the pause between them, to write the rows of a
// counter that is replaced: no later write has them.
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
	if done || a.counter.config.History == nil || len(s.Outbox) == 0 {
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

// reportLostRows logs and counts usage that the history will not have.
func (c *Counter) reportLostRows(key string, rows []limit.Closed, cause error) {
	var tokens int64
	for _, row := range rows {
		tokens += row.Total()
	}
	c.stats.unknownUsage.Add(tokens)
	c.config.Log.Error("usage is lost to the history: a counter was replaced while the history couldn't be written", "counter", key,
		"minutes", len(rows), "tokens", tokens, "error", cause.Error())
}

func (c *Counter) putRow(ctx context.Context, key, epoch string, row limit.Closed) error {
	ctx, cancel := context.WithTimeout(ctx, c.config.OperationTimeout)
	defer cancel()
	c.stats.rows.Add(1)
	return c.config.History.PutClosed(ctx, key, epoch, row)
}

// flushTries bounds the attempts of FlushIdle after conflicts: a counter that
// others write to needs no flushing.
const flushTries = 5

// FlushIdle closes the last minute of an idle counter and writes its usage to
// the history. It works for any key, including those that this instance never
// saw. If nothing would be lost with the counter, it returns the version
// under which it may be deleted; otherwise an empty one.
func (c *Counter) FlushIdle(ctx context.Context, key string) (deletable Version, err error) {
	for range flushTries {
		deletable, err = c.flush(ctx, key)
		if !errors.Is(err, ErrConflict) {
			break
		}
	}
	switch {
	case errors.Is(err, ErrConflict): // the counter is in use
		return "", nil
	case err != nil:
		return "", fmt.Errorf("flush counter: %w", err)
	}
	return deletable, nil
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
		return "", nil // the next call repairs it
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

// emptyOutbox writes the rows of a counter's outbox, and then removes them
// from it.
func (c *Counter) emptyOutbox(ctx context.Context, key string, state *limit.State, version Version) (Version, error) {
	for _, row := range state.Outbox {
		if c.config.History == nil {
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

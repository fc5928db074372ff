package counter

import (
	"context"
	"fmt"
	"time"

	"tollgate/handler/limit"
)

// Drain answers all calls that queue for tokens, and lets none queue from now
// on. Other calls are decided as before.
func (c *Counter) Drain() {
	c.draining.Store(true)
	for _, a := range c.allReplicas() {
		a.answerQueued()
	}
}

// allReplicas returns the replicas that exist now.
func (c *Counter) allReplicas() []*replica {
	c.mu.RLock()
	defer c.mu.RUnlock()
	accounts := make([]*replica, 0, len(c.replicas))
	for _, a := range c.replicas {
		accounts = append(accounts, a)
	}
	return accounts
}

// answerQueued refuses the queued calls by the known state. Those that would
// fit by now stay, to be decided at once.
func (a *replica) answerQueued() {
	now := a.counter.clock.now()
	a.mu.Lock()
	defer a.mu.Unlock()
	var ahead queue
	kept := a.waiters[:0:0]
	for _, w := range a.waiters {
		d := a.decideBehind(w.ask, &ahead, now)
		ahead.add(w, d.MinTokens)
		if w.parked && d.Verdict != limit.Granted {
			w.answer(a.refuseOutcome(w.ask, d))
			continue
		}
		w.parked = false
		kept = append(kept, w)
	}
	a.waiters = kept
	if len(kept) > 0 {
		a.kick()
	}
}

// Close answers all waiting calls, writes all reports and returns all leases,
// or gives up when ctx is done. Then it logs what is not written, by
// subscription, counts it in Stats, and returns an error. No call may be
// reserved any more.
func (c *Counter) Close(ctx context.Context) error {
	c.mu.Lock()
	c.closed = true
	c.mu.Unlock()
	accounts := c.allReplicas()
	for _, a := range accounts {
		a.beginClose()
	}
	for _, a := range accounts {
		if err := a.waitClosed(ctx); err != nil {
			return fmt.Errorf("write the last counters: %d tokens are not written: %w", c.reportUnwritten(accounts), err)
		}
	}
	return c.waitFilings(ctx)
}

// waitFilings waits for the history's rows that are being written.
func (c *Counter) waitFilings(ctx context.Context) error {
	done := make(chan struct{})
	go func() {
		c.filings.Wait()
		close(done)
	}()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("write the last minutes of the history: %w", ctx.Err())
	}
}

// reportUnwritten logs all usage that the replicas have not written, and
// returns its tokens. A write in doubt may have been applied all the same.
func (c *Counter) reportUnwritten(accounts []*replica) (tokens int64) {
	lost := make(map[limit.Owner]limit.Happened)
	for _, a := range accounts {
		a.mu.Lock()
		untold := a.holder.UnconfirmedUsage()
		a.mu.Unlock()
		if untold.Requests > 0 {
			owner := limit.OwnerOf(a.key)
			sum := lost[owner]
			sum.PromptTokens += untold.PromptTokens
			sum.CompletionTokens += untold.CompletionTokens
			sum.Requests += untold.Requests
			lost[owner] = sum
		}
	}
	for owner, sum := range lost {
		tokens += sum.Total()
		c.config.Log.Error("usage is lost: it could not be written before the end", "subscription", owner.Subscription, "tier", owner.Tier,
			"calls", sum.Requests, "tokens", sum.Total())
	}
	c.stats.unknownUsage.Add(tokens)
	return tokens
}

// beginClose answers queued calls, and starts to write everything and return
// the lease, without long pauses.
func (a *replica) beginClose() {
	a.mu.Lock()
	if !a.closing {
		a.closing = true
		close(a.hurry)
	}
	a.mu.Unlock()
	a.answerQueued()
	a.mu.Lock()
	defer a.mu.Unlock()
	a.kick()
}

// waitClosed waits until nothing is left to write.
func (a *replica) waitClosed(ctx context.Context) error {
	for {
		a.mu.Lock()
		writing, done := a.running, a.done
		a.mu.Unlock()
		if !writing {
			a.timer.Stop()
			return nil
		}
		select {
		case <-done:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// lastPause bounds the pauses between tries at a stop.
const maxClosingPause = 200 * time.Millisecond

// pause waits before the next attempt; while stopping, only briefly. No lock
// is held.
func (a *replica) pause(pause time.Duration) {
	select {
	case <-a.hurry:
		time.Sleep(min(pause, maxClosingPause))
		return
	default:
	}
	timer := time.NewTimer(pause)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-a.hurry:
	}
}

package counter

import (
	"context"
	"fmt"
	"time"

	"tollgate/handler/limit"
)

// Drain answers all calls that queue for tokens, and has none queue from now on.
// Calls are decided as before otherwise.
func (c *Counter) Drain() {
	c.draining.Store(true)
	for _, a := range c.all() {
		a.dismiss()
	}
}

// all are the accounts that there are now.
func (c *Counter) all() []*account {
	c.mu.RLock()
	defer c.mu.RUnlock()
	accounts := make([]*account, 0, len(c.accounts))
	for _, a := range c.accounts {
		accounts = append(accounts, a)
	}
	return accounts
}

// dismiss refuses the calls that queue, by what is known. One that would fit by
// now is decided by the counter.
func (a *account) dismiss() {
	now := a.counter.clock.now()
	a.mu.Lock()
	defer a.mu.Unlock()
	var ahead queue
	kept := a.waiters[:0:0]
	for _, w := range a.waiters {
		d := a.judge(w.ask, &ahead, now)
		ahead.add(w, d.Least)
		if w.parked && d.Verdict != limit.Granted {
			w.answer(a.refuse(w.ask, d))
			continue
		}
		w.parked = false
		kept = append(kept, w)
	}
	a.waiters = kept
	if len(kept) > 0 {
		a.work()
	}
}

// Close answers all calls that wait, writes everything that is settled and
// returns all leases, or gives up when ctx is done. It tells what is not written
// then, by subscription, in the log and in Stats, and returns an error. No call may
// be reserved any more.
func (c *Counter) Close(ctx context.Context) error {
	c.mu.Lock()
	c.closed = true
	c.mu.Unlock()
	accounts := c.all()
	for _, a := range accounts {
		a.leave()
	}
	for _, a := range accounts {
		if err := a.stopped(ctx); err != nil {
			return fmt.Errorf("write the last counters: %d tokens are not written: %w", c.abandonAll(accounts), err)
		}
	}
	return c.filed(ctx)
}

// filed waits for the rows of the history that are being written.
func (c *Counter) filed(ctx context.Context) error {
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

// abandonAll tells of all that accounts have not written, and how many tokens that
// is. What is in doubt may have been written all the same.
func (c *Counter) abandonAll(accounts []*account) (tokens int64) {
	lost := make(map[limit.Owner]limit.Happened)
	for _, a := range accounts {
		a.mu.Lock()
		untold := a.holder.Untold()
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
		c.Log.Error("usage is lost: it could not be written before the end", "subscription", owner.Subscription, "tier", owner.Tier,
			"calls", sum.Requests, "tokens", sum.Total())
	}
	c.stats.unknownUsage.Add(tokens)
	return tokens
}

// leave has everything written and the lease returned, without long pauses, and
// answers those who queue.
func (a *account) leave() {
	a.mu.Lock()
	if !a.going {
		a.going = true
		close(a.hurry)
	}
	a.mu.Unlock()
	a.dismiss()
	a.mu.Lock()
	defer a.mu.Unlock()
	a.work()
}

// stopped waits until nothing is to be written any more.
func (a *account) stopped(ctx context.Context) error {
	for {
		a.mu.Lock()
		writing, done := a.writing, a.done
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
const lastPause = 200 * time.Millisecond

// rest waits for the next try, which a stop doesn't have wait for long. Nothing is
// held meanwhile.
func (a *account) rest(pause time.Duration) {
	select {
	case <-a.hurry:
		time.Sleep(min(pause, lastPause))
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

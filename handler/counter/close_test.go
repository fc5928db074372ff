package counter_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"tollgate/handler/counter"
	"tollgate/handler/counter/countertest"
	"tollgate/handler/counter/memstore"
	"tollgate/handler/limit"
)

// While an instance drains, a call that fits is still granted.
func TestDrainRefusesCallsThatQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := memstore.New()
		c := instance(store)
		terms := counter.Terms{Limits: limit.Limits{PerMinute: 300, Version: 1}, MaxWait: 3 * time.Minute}
		all, _ := reserve(t, c, terms, 300)
		var calls sync.WaitGroup
		var answered atomic.Int64
		queued := func() {
			began := time.Now()
			r, d, err := c.One(t.Context(), "key", terms, limit.Ask{Amount: 150})
			if err != nil || r != nil || d.Verdict != limit.RateExceeded || d.RetryAfter <= 0 {
				t.Errorf("a queued call while draining: got %+v, %v; want RateExceeded with a RetryAfter", d, err)
			}
			if took := time.Since(began); took > time.Second {
				t.Errorf("a queued call: got its answer after %v, want it within a second", took)
			}
			answered.Add(1)
		}
		for range 3 {
			calls.Go(queued)
		}
		synctest.Wait()
		if answered.Load() != 0 {
			t.Fatalf("calls answered before Drain: got %d, want 0", answered.Load())
		}
		c.Drain()
		calls.Go(queued) // one more comes on a connection that is still open
		calls.Wait()
		all.Settle(300)
		time.Sleep(time.Minute)
		if r, d := reserve(t, c, terms, 10); r == nil {
			t.Errorf("a call that fits while draining: got %+v, want it granted", d)
		} else {
			r.Settle(10)
		}
		if err := c.Close(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

// What calls settled must be written soon after the store is back.
func TestCloseRetriesFailedWritesWithoutLongPauses(t *testing.T) {
	for _, trouble := range []time.Duration{30 * time.Second, 5 * time.Minute} { // before Close: with a short and a long back-off
		synctest.Test(t, func(t *testing.T) {
			var broken atomic.Bool
			var mu sync.Mutex
			var last time.Time
			var longest time.Duration
			store, link := linked(func(countertest.Operation) countertest.Fate {
				mu.Lock()
				longest, last = max(longest, time.Since(last)), time.Now()
				mu.Unlock()
				if broken.Load() {
					return countertest.Busy
				}
				return countertest.Fine
			})
			c := instance(link)
			r, _ := reserve(t, c, daily, 25)
			broken.Store(true)
			r.Settle(25)
			time.Sleep(trouble)
			closed := make(chan error, 1)
			mu.Lock()
			longest, last = 0, time.Now()
			mu.Unlock()
			go func() { closed <- c.Close(t.Context()) }()
			time.Sleep(9 * time.Second)
			broken.Store(false)
			back := time.Now()
			if err := <-closed; err != nil {
				t.Error(err)
			}
			mu.Lock()
			pause := longest
			mu.Unlock()
			if took := time.Since(back); took > time.Second || pause > 300*time.Millisecond {
				t.Errorf("Close: got it done %v after the store was back, with pauses of up to %v; want at most 1s and 300ms", took, pause)
			}
			if s := written(t, store); s.PeriodSpent != 25 {
				t.Errorf("written: got %d, want 25", s.PeriodSpent)
			}
		})
	}
}

func TestCloseLogsUnwrittenChargesByLimitWhenItsContextEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		_, broken, link := breakableLink()
		c := counter.New(counter.Config{Store: link, Log: slog.New(slog.NewTextHandler(&log, nil))})
		keys := []string{"team-a/tokens", "team-a/tokens/model=r1", "team-a/cost", "research@tokens"}
		var held []*counter.Reservation
		for _, key := range keys {
			r, _, err := c.One(t.Context(), key, minute, limit.Ask{Amount: 25})
			if err != nil {
				t.Fatal(err)
			}
			held = append(held, r)
		}
		broken.Store(true)
		for _, r := range held {
			r.Settle(20 + 7)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		if err := c.Close(ctx); !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "those of 4 counters are not written") {
			t.Errorf("Close: got %v, want DeadlineExceeded, and that the charges of 4 counters are not written", err)
		}
		for _, want := range []string{"subscription=team-a tier=\"\" group=\"\" limit=tokens amount=54", "subscription=team-a tier=\"\" group=\"\" limit=cost amount=27", "group=research limit=tokens amount=27"} {
			if !strings.Contains(log.String(), want) {
				t.Errorf("log: got %s, want %q in it", log.String(), want)
			}
		}
		if lost := c.Stats().Unwritten; lost != 4 {
			t.Errorf("Stats.Unwritten: got %d, want 4", lost)
		}
		broken.Store(false)
		time.Sleep(time.Minute) // until the last attempt is over
	})
}

// The write that grants the call its tokens must not be the instance's last one, or they
// would go back before the call has them.
func TestCloseServesACallThatWaitsForItsGrant(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gate := make(chan struct{})
		var writes atomic.Int64
		store, link := linked(func(op countertest.Operation) countertest.Fate {
			<-gate
			if op.Swap && writes.Add(1) > 10 {
				panic("Close: got 11 writes, want at most 10")
			}
			return countertest.Fine
		})
		c := instance(link)
		decided := make(chan limit.Verdict, 1)
		go func() {
			r, d, err := c.One(t.Context(), "key", minute, limit.Ask{Amount: 25})
			if err != nil {
				t.Error(err)
			} else {
				r.Settle(25)
			}
			decided <- d.Verdict
		}()
		synctest.Wait()
		closed := make(chan error, 1)
		go func() { closed <- c.Close(t.Context()) }()
		synctest.Wait()
		close(gate)
		if v, err := <-decided, <-closed; v != limit.Granted || err != nil {
			t.Errorf("a call that waits while Close begins: got %v, and Close %v; want Granted, no error", v, err)
		}
		if s := written(t, store); s.Spent != 25 || len(s.Slots) != 1 || s.Slots[0].Leased != 0 {
			t.Errorf("row: got %+v after %d writes, want 25 spent and one slot with nothing leased", s, writes.Load())
		}
	})
}

package counter_test

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"tollgate/handler/counter"
	"tollgate/handler/counter/memstore"
	"tollgate/handler/lease"
	"tollgate/handler/limit"
)

// queueing returns a counter with a limit of 100 tokens a minute, of which gone
// are used, 50 s before the next minute.
func queueing(t *testing.T, wait time.Duration, gone int64) (*counter.Counter, counter.Terms) {
	t.Helper()
	c := instance(memstore.New())
	terms := counter.Terms{Limits: limit.Limits{PerMinute: 100, Version: 1}, MaxWait: wait}
	r, d := reserve(t, c, terms, gone)
	if r == nil {
		t.Fatalf("a call for %d of 100 tokens: got %+v, want it granted", gone, d)
	}
	r.Settle(gone)
	time.Sleep(10 * time.Second)
	return c, terms
}

func TestWaitingCallsAreServedInTheirOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, terms := queueing(t, 2*time.Minute, 100)
		waited := make([]time.Duration, 3)
		var calls sync.WaitGroup
		began := time.Now()
		for i, amount := range []int64{60, 60, 10} { // the third would fit beside the first
			calls.Go(func() {
				r, d, err := c.One(t.Context(), "key", terms, limit.Ask{Amount: amount})
				if err != nil || r == nil {
					t.Errorf("call %d: got %+v, %v; want it granted", i, d, err)
					return
				}
				waited[i] = time.Since(began).Round(time.Second)
				r.Settle(amount)
			})
			synctest.Wait()
		}
		calls.Wait()
		if want := []time.Duration{50 * time.Second, 110 * time.Second, 110 * time.Second}; !slices.Equal(waited, want) {
			t.Errorf("served after: got %v, want %v", waited, want)
		}
	})
}

func TestACallThatCannotBeServedInTimeIsRefusedAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, terms := queueing(t, 55*time.Second, 100)
		began := time.Now()
		go func() {
			if r, _, _ := c.One(context.Background(), "key", terms, limit.Ask{Amount: 80}); r != nil {
				r.Cancel()
			}
		}()
		synctest.Wait()
		r, d := reserve(t, c, terms, 30) // behind the first: it would wait until the minute after the next
		if r != nil || d.Verdict != limit.RateExceeded || time.Since(began) > time.Second {
			t.Errorf("a call behind the first: got %+v after %v, want RateExceeded at once", d, time.Since(began))
		}
		r, d = reserve(t, c, terms, 20)
		if r == nil || time.Since(began).Round(time.Second) != 50*time.Second {
			t.Errorf("a call that fits the next minute: got %+v after %v, want it granted after 50s", d, time.Since(began))
		}
	})
}

func TestTheQueueIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, terms := queueing(t, 55*time.Second, 100)
		ctx, leave := context.WithCancel(t.Context())
		var calls sync.WaitGroup
		for range 100 {
			calls.Go(func() { _, _, _ = c.One(ctx, "key", terms, limit.Ask{Amount: 1}) })
			synctest.Wait()
		}
		atOnce := func(what string) {
			began := time.Now()
			if r, d := reserve(t, c, terms, 1); r != nil || d.Verdict != limit.RateExceeded || time.Since(began) > time.Second {
				t.Errorf("%s: got %+v after %v, want RateExceeded at once", what, d, time.Since(began))
			}
		}
		atOnce("the 101st call")
		leave() // calls that leave make room
		calls.Wait()
		calls.Go(func() {
			if r, _, _ := c.One(t.Context(), "key", terms, limit.Ask{Amount: 1, Bytes: 8 << 20}); r == nil {
				t.Error("a call of 8 MiB by itself: got it refused, want it granted")
			}
		})
		synctest.Wait()
		began := time.Now()
		if r, _, _ := c.One(t.Context(), "key", terms, limit.Ask{Amount: 1, Bytes: 1}); r != nil || time.Since(began) > time.Second {
			t.Errorf("a call of a byte beyond 8 MiB: got a decision after %v, want it refused at once", time.Since(began))
		}
		calls.Wait()
	})
}

// TestACounterWithALongQueuedCallIsNotEvicted when 10,000 other counters are in
// use.
func TestACounterWithALongQueuedCallIsNotEvicted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := instance(memstore.New())
		terms := counter.Terms{Limits: limit.Limits{PerMinute: 100, Version: 1}, MaxWait: 2 * time.Minute}
		r, _ := reserve(t, c, terms, 100)
		r.Settle(190) // the next minute will have ten tokens
		time.Sleep(10 * time.Second)
		served := make(chan error, 1)
		go func() {
			ctx, cancel := context.WithTimeout(t.Context(), terms.MaxWait)
			defer cancel()
			_, _, err := c.One(ctx, "key", terms, limit.Ask{Amount: 60})
			served <- err
		}()
		time.Sleep(80 * time.Second)
		for i := range 10_000 { // as many as an instance remembers, all in use
			busy, _, err := c.One(t.Context(), strconv.Itoa(i), terms, limit.Ask{Amount: 1})
			if err != nil {
				t.Fatal(err)
			}
			defer busy.Cancel()
		}
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
}

// TestACallBehindAFullQueueIsRefused although its tokens would fit.
func TestACallBehindAFullQueueIsRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, terms := queueing(t, 55*time.Second, 50)
		go func() {
			if r, _, _ := c.One(context.Background(), "key", terms, limit.Ask{Amount: 85, Bytes: 8 << 20}); r != nil {
				r.Cancel()
			}
		}()
		synctest.Wait()
		r, d, err := c.One(t.Context(), "key", terms, limit.Ask{Amount: 10, Bytes: 1})
		if r != nil || d.Verdict != limit.RateExceeded || d.Amount != 0 || d.RetryAfter != 50*time.Second || err != nil {
			t.Errorf("a call behind a full queue: got %v, %+v, %v; want no reservation, RateExceeded, no tokens, RetryAfter 50s", r, d, err)
		}
		time.Sleep(time.Minute)
	})
}

// TestTheQueueGoesOnWhenItsFirstCallerLeaves: a call behind it that fits is
// granted at once, not in the next minute.
func TestTheQueueGoesOnWhenItsFirstCallerLeaves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, terms := queueing(t, 55*time.Second, 50)
		ctx, leave := context.WithTimeout(t.Context(), time.Second)
		defer leave()
		go func() { _, _, _ = c.One(ctx, "key", terms, limit.Ask{Amount: 85}) }()
		synctest.Wait()
		grantedAfterASecond(t, c, terms, 10)
	})
}

func grantedAfterASecond(t *testing.T, c *counter.Counter, terms counter.Terms, amount int64) {
	t.Helper()
	began := time.Now()
	r, d := reserve(t, c, terms, amount)
	if waited := time.Since(began); r == nil || waited.Round(time.Second) != time.Second {
		t.Fatalf("got %+v after %v, want it granted after a second", d, waited)
	}
	r.Cancel()
}

// TestReturnedTokensGoToTheFirstInTheQueue also if the call needs both them and
// tokens that the counter has left.
func TestReturnedTokensGoToTheFirstInTheQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, terms := queueing(t, 55*time.Second, 30)
		first, _ := reserve(t, c, terms, 60)
		time.AfterFunc(time.Second, func() { first.Cancel() })
		grantedAfterASecond(t, c, terms, 65)
	})
}

// TestACallThatQueuesWhileARefusalHoldsIsServed even if the counter has no other
// work to do.
func TestACallThatQueuesWhileARefusalHoldsIsServed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, terms := queueing(t, 45*time.Second, 100)
		if r, d := reserve(t, c, terms, 10); r != nil || d.Verdict != limit.RateExceeded { // it would have to wait 50 s
			t.Fatalf("a call that must wait 50 s: got %+v, want RateExceeded", d)
		}
		time.Sleep(10 * time.Second)
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		began := time.Now()
		r, d, err := c.One(ctx, "key", terms, limit.Ask{Amount: 10})
		if waited := time.Since(began); err != nil || waited.Round(time.Second) != 40*time.Second {
			t.Fatalf("got %+v, %v after %v; want it granted after 40 s", d, err, waited)
		}
		r.Cancel()
	})
}

// overtaken is a store in which another write once comes first.
type overtaken struct {
	*memstore.Store
	once atomic.Bool
}

func (o *overtaken) Swap(ctx context.Context, key string, state lease.Row, version counter.Version) (counter.Version, time.Time, error) {
	if o.once.CompareAndSwap(true, false) {
		before, version, _, err := o.Load(ctx, key)
		if err == nil {
			_, _, err = o.Store.Swap(ctx, key, before, version)
		}
		if err != nil {
			return "", time.Time{}, err
		}
	}
	return o.Store.Swap(ctx, key, state, version)
}

// TestAConflictingWriteIsBuiltAgainForQueuedCalls: they are granted at once, even
// if another call must stay in the queue.
func TestAConflictingWriteIsBuiltAgainForQueuedCalls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &overtaken{Store: memstore.New()}
		c, terms := instance(store), counter.Terms{Limits: limit.Limits{PerMinute: 100, Version: 1}, MaxWait: 2 * time.Minute}
		r, _ := reserve(t, c, terms, 100)
		r.Settle(100)
		time.Sleep(10 * time.Second)
		store.once.Store(true) // as when housekeeping writes first after the turn of the minute
		began := time.Now()
		waited := make([]time.Duration, 2)
		var calls sync.WaitGroup
		for i := range waited {
			calls.Go(func() {
				if r, d := reserve(t, c, terms, 60); r == nil {
					t.Errorf("a call for 60: got %+v, want it granted", d)
				}
				waited[i] = time.Since(began).Round(time.Second)
			})
			synctest.Wait()
		}
		calls.Wait()
		if want := []time.Duration{50 * time.Second, 110 * time.Second}; !slices.Equal(waited, want) {
			t.Errorf("served after: got %v, want %v", waited, want)
		}
		if err := c.Close(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

// TestTheQueueCountsOnNoMoreThanTheBurstBeingCarried: a call that needs unused
// tokens of this minute, which the next won't have, is refused at once.
func TestTheQueueCountsOnNoMoreThanTheBurstBeingCarried(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, terms := queueing(t, 55*time.Second, 50)
		go func() {
			if r, _, _ := c.One(context.Background(), "key", terms, limit.Ask{Amount: 95}); r != nil {
				r.Settle(95)
			}
		}()
		synctest.Wait()
		began := time.Now()
		r, d := reserve(t, c, terms, 50)
		if waited := time.Since(began); r != nil || waited > time.Second || d.RetryAfter != 110*time.Second {
			t.Errorf("got %+v after %v, want it refused at once with RetryAfter 1m50s", d, waited)
		}
		time.Sleep(time.Minute)
	})
}

// TestCallsOfOneCounterKeepTheirOwnTerms: subscriptions that share a counter may
// differ in MaxWait and OnStoreDown.
func TestCallsOfOneCounterKeepTheirOwnTerms(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, broken, c := breakable()
		patient := counter.Terms{Limits: limit.Limits{PerMinute: 100, Version: 1}, MaxWait: time.Minute, OnStoreDown: limit.FailOpen}
		hasty := counter.Terms{Limits: patient.Limits, OnStoreDown: limit.FailClosed}
		for i, first := range []counter.Terms{patient, hasty} {
			key := strconv.Itoa(i)
			spend := func(terms counter.Terms, amount int64) (waited time.Duration, err error) {
				began := time.Now()
				r, d, err := c.One(t.Context(), key, terms, limit.Ask{Amount: amount})
				if r != nil {
					r.Settle(amount)
				} else if err == nil && d.Verdict != limit.RateExceeded {
					t.Errorf("a call with other terms: got %+v, want it granted or RateExceeded", d)
				}
				return time.Since(began).Round(time.Second), err
			}
			_, _ = spend(first, 100)
			if waited, _ := spend(hasty, 100); waited != 0 {
				t.Errorf("the wait of a call that mustn't wait: got %v, want none", waited)
			}
			if waited, _ := spend(patient, 100); waited == 0 {
				t.Error("the wait of a call that may wait: got none, want some")
			}
			broken.Store(true)
			if _, err := spend(patient, 100); err != nil {
				t.Errorf("a call with open while the store is down: got %v, want no error", err)
			}
			if _, err := spend(hasty, 100); !errors.Is(err, counter.ErrUnavailable) {
				t.Errorf("a call with closed while the store is down: got %v, want ErrUnavailable", err)
			}
			broken.Store(false)
			time.Sleep(2 * time.Minute)
		}
	})
}

// late is a store whose time is an hour behind this machine's.
type late struct{ *memstore.Store }

func (l late) Load(ctx context.Context, key string) (lease.Row, counter.Version, time.Time, error) {
	state, version, date, err := l.Store.Load(ctx, key)
	return state, version, date.Add(-time.Hour), err
}

func (l late) Swap(ctx context.Context, key string, state lease.Row, version counter.Version) (counter.Version, time.Time, error) {
	next, date, err := l.Store.Swap(ctx, key, state, version)
	return next, date.Add(-time.Hour), err
}

// TestAClockSetBackMakesNoCallWaitLonger than its MaxWait.
func TestAClockSetBackMakesNoCallWaitLonger(t *testing.T) {
	for _, wait := range []time.Duration{0, 20 * time.Second} {
		synctest.Test(t, func(t *testing.T) {
			store := late{memstore.New()}
			terms := counter.Terms{Limits: limit.Limits{PerMinute: 100, Version: 1}, MaxWait: wait}
			r, _ := reserve(t, instance(store), terms, 100)
			r.Settle(100)
			time.Sleep(10 * time.Second)
			began := time.Now()
			r, d := reserve(t, instance(store), terms, 50)
			if waited := time.Since(began); r != nil || d.RetryAfter != 50*time.Second || waited > time.Second {
				t.Errorf("got %+v after %v, want it refused at once with RetryAfter 50s", d, waited)
			}
		})
	}
}

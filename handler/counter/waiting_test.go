package counter_test

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"tollgate/handler/counter"
	"tollgate/handler/counter/memstore"
	"tollgate/handler/limit"
)

// queueing returns an instance, 50 s before the next minute, and the terms of its counter
// "key": 100 tokens a minute, of which used are used, and this MaxWait.
func queueing(t *testing.T, wait time.Duration, used int64) (*counter.Counter, counter.Terms) {
	t.Helper()
	c := instance(memstore.New())
	terms := counter.Terms{Limits: limit.Limits{PerMinute: 100, Version: 1}, MaxWait: wait}
	r, d := reserve(t, c, terms, used)
	if r == nil {
		t.Fatalf("a call for %d of 100 tokens: got %+v, want it granted", used, d)
	}
	r.Settle(used)
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
		began := time.Now()
		if r, d := reserve(t, c, terms, 1); r != nil || d.Verdict != limit.RateExceeded || time.Since(began) > time.Second {
			t.Errorf("the 101st call: got %+v after %v, want RateExceeded at once", d, time.Since(began))
		}
		leave() // calls that leave make room
		calls.Wait()
		calls.Go(func() {
			if r, _, _ := c.One(t.Context(), "key", terms, limit.Ask{Amount: 1, Bytes: 8 << 20}); r == nil {
				t.Error("a call of 8 MiB by itself: got it refused, want it granted")
			}
		})
		synctest.Wait()
		began = time.Now()
		if r, d, _ := c.One(t.Context(), "key", terms, limit.Ask{Amount: 1, Bytes: 1}); r != nil || time.Since(began) > time.Second {
			t.Errorf("a call of a byte beyond 8 MiB: got %+v after %v, want it refused at once", d, time.Since(began))
		}
		calls.Wait()
	})
}

// 10,000 other counters are in use, which is as many as an instance keeps in memory.
func TestACounterWithALongQueuedCallIsNotEvicted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := instance(memstore.New())
		terms := counter.Terms{Limits: limit.Limits{PerMinute: 100, Version: 1}, MaxWait: 2 * time.Minute}
		r, _ := reserve(t, c, terms, 100)
		r.Settle(190) // so the next minute has ten tokens
		time.Sleep(10 * time.Second)
		served := make(chan error, 1)
		go func() {
			ctx, cancel := context.WithTimeout(t.Context(), terms.MaxWait)
			defer cancel()
			_, _, err := c.One(ctx, "key", terms, limit.Ask{Amount: 60})
			served <- err
		}()
		time.Sleep(80 * time.Second)
		for i := range 10_000 {
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

func TestACallBehindAFullQueueIsRefusedAlthoughItFits(t *testing.T) {
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

func TestTheNextCallIsGrantedAtOnceWhenTheFirstCallerLeaves(t *testing.T) {
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
		t.Fatalf("a call for %d: got %+v after %v, want it granted after a second", amount, d, waited)
	}
	r.Cancel()
}

// The first call needs both the tokens that come back and those that the counter has left.
func TestReturnedTokensGoToTheFirstInTheQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, terms := queueing(t, 55*time.Second, 30)
		first, _ := reserve(t, c, terms, 60)
		time.AfterFunc(time.Second, func() { first.Cancel() })
		grantedAfterASecond(t, c, terms, 65)
	})
}

// Nothing but the call itself gives the counter anything to do.
func TestACallThatQueuesWhileARefusalIsRememberedIsServed(t *testing.T) {
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
			t.Fatalf("a call that waits for the next minute: got %+v, %v after %v; want it granted after 40s", d, err, waited)
		}
		r.Cancel()
	})
}

// The write that grants the first call conflicts. The call is granted at once all the same,
// although another call stays in the queue.
func TestAConflictingWriteIsBuiltAgainForQueuedCalls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, rivals, link := contested(t)
		c, terms := instance(link), counter.Terms{Limits: limit.Limits{PerMinute: 100, Version: 1}, MaxWait: 2 * time.Minute}
		r, _ := reserve(t, c, terms, 100)
		r.Settle(100)
		time.Sleep(10 * time.Second)
		rivals.Store(1) // as if housekeeping writes first in the new minute
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

// Unused tokens of this minute are not carried over without a burst, so a call that needs
// them in the next minute is refused at once.
func TestAQueuedCallCannotCountOnMoreThanTheBurstBeingCarriedOver(t *testing.T) {
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
			t.Errorf("a call that fits in 1m50s: got %+v after %v, want it refused at once with RetryAfter 1m50s", d, waited)
		}
		time.Sleep(time.Minute)
	})
}

// Subscriptions that share a counter may differ in MaxWait and OnStoreDown.
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
				t.Errorf("a call that may not wait: got it waiting for %v, want no wait", waited)
			}
			if waited, _ := spend(patient, 100); waited == 0 {
				t.Error("a call that may wait: got no wait, want some")
			}
			broken.Store(true)
			if _, err := spend(patient, 100); err != nil {
				t.Errorf("a call with %s while the store is down: got %v, want no error", patient.OnStoreDown, err)
			}
			if _, err := spend(hasty, 100); !errors.Is(err, counter.ErrUnavailable) {
				t.Errorf("a call with %s while the store is down: got %v, want ErrUnavailable", hasty.OnStoreDown, err)
			}
			broken.Store(false)
			time.Sleep(2 * time.Minute)
		}
	})
}

// The first answer sets the instance's clock an hour back.
func TestAClockSetBackMakesNoCallWaitLongerThanItsMaxWait(t *testing.T) {
	for _, wait := range []time.Duration{0, 20 * time.Second} {
		synctest.Test(t, func(t *testing.T) {
			_, store := dated(func() time.Duration { return -time.Hour })
			terms := counter.Terms{Limits: limit.Limits{PerMinute: 100, Version: 1}, MaxWait: wait}
			r, _ := reserve(t, instance(store), terms, 100)
			r.Settle(100)
			time.Sleep(10 * time.Second)
			began := time.Now()
			r, d := reserve(t, instance(store), terms, 50)
			if waited := time.Since(began); r != nil || d.RetryAfter != 50*time.Second || waited > time.Second {
				t.Errorf("a call with MaxWait %v: got %+v after %v, want it refused at once with RetryAfter 50s", wait, d, waited)
			}
		})
	}
}

// The limit is a quota alone, so a call that may not wait for it is refused with QuotaExceeded.
func TestACallBehindCallsThatWaitForTheQuotaWaitsForItToo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := instance(memstore.New())
		terms := counter.Terms{Limits: limit.Limits{Quota: 100, Period: limit.Hourly, Version: 1}, MaxWait: 2 * time.Minute}
		time.Sleep(59 * time.Minute)
		r, _ := reserve(t, c, terms, 70)
		r.Settle(70)
		var calls sync.WaitGroup
		for _, amount := range []int64{60, 10} { // the second would fit before the first
			calls.Go(func() {
				if r, d, err := c.One(t.Context(), "key", terms, limit.Ask{Amount: amount}); err != nil || r == nil {
					t.Errorf("a call for %d: got %+v, %v; want it granted", amount, d, err)
				}
			})
			synctest.Wait()
		}
		terms.MaxWait = 10 * time.Second
		began := time.Now()
		r, d := reserve(t, c, terms, 10)
		if r != nil || d.Verdict != limit.QuotaExceeded || d.RetryAfter > time.Minute || time.Since(began) > time.Second {
			t.Errorf("a call that can't wait so long: got %+v after %v, want QuotaExceeded within a second, RetryAfter at most a minute", d, time.Since(began))
		}
		calls.Wait()
	})
}

func TestARaisedLimitServesQueuedCallsAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, terms := queueing(t, 2*time.Minute, 90)
		var call sync.WaitGroup
		call.Go(func() { reserve(t, c, terms, 60) })
		synctest.Wait()
		began := time.Now()
		raised := terms
		raised.PerMinute, raised.Version = 200, 2
		for _, asked := range []counter.Terms{terms, raised} { // the second is answered without a read
			if _, err := c.Standing(t.Context(), "key", asked); err != nil {
				t.Error(err)
			}
		}
		call.Wait()
		if waited := time.Since(began); waited > time.Second {
			t.Errorf("a queued call that fits the raised limit: got it after %v, want it within a second", waited)
		}
	})
}

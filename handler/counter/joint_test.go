package counter_test

import (
	"context"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"tollgate/handler/counter"
	"tollgate/handler/counter/memstore"
	"tollgate/handler/limit"
)

func TestACallThatACounterIsKnownToRefuseCausesNoOperation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newPerKey()
		c := instance(store)
		use(t, c, "a", 80)
		if _, _, err := c.One(t.Context(), "a", hundred, limit.Ask{Amount: 50}); err != nil { // so the instance remembers a refusal
			t.Fatal(err)
		}
		before := store.network.Begun()
		held, decisions, err := c.Reserve(t.Context(), parts(hundred, 50, "b", "a", "c"))
		if got, want := verdicts(decisions), []limit.Verdict{limit.Granted, limit.RateExceeded, limit.Granted}; held != nil || err != nil || !slices.Equal(got, want) {
			t.Fatalf("a call for 50 of b, a and c: got %v, %v, %v; want no reservations and the verdicts %v", held, got, err, want)
		}
		if decisions[1].RetryAfter <= 0 || decisions[1].Standing.Remaining != 20 {
			t.Errorf("the refusal: got %+v, want a RetryAfter and 20 remaining", decisions[1])
		}
		if got := store.network.Begun() - before; got != 0 {
			t.Errorf("operations: got %d, want none", got)
		}
	})
}

func TestTheCountersOfACallAreReadAtTheSameTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newPerKey()
		for i, key := range []string{"a", "b", "c", "d"} {
			store.slow[key] = time.Duration(10+10*i) * time.Millisecond
		}
		began := time.Now()
		held, _, err := instance(store).Reserve(t.Context(), parts(hundred, 50, "a", "b", "c", "d"))
		if got, want := time.Since(began), 80*time.Millisecond; held == nil || err != nil || got != want { // a read and a write of the slowest
			t.Errorf("a call of four counters: got %v, %v after %v, want it granted after %v", held, err, got, want)
		}
	})
}

func TestTheAnswerNamesEveryLimitThatRefuses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newPerKey()
		c := instance(store)
		use(t, c, "a", 80)
		use(t, c, "c", 100)
		store.slow["a"] = 30 * time.Millisecond
		fresh := instance(store)
		held, decisions, err := fresh.Reserve(t.Context(), parts(hundred, 50, "a", "b", "c"))
		if got, want := verdicts(decisions), []limit.Verdict{limit.RateExceeded, limit.Granted, limit.RateExceeded}; held != nil || err != nil || !slices.Equal(got, want) {
			t.Errorf("a call that a and c refuse: got %v, %v, %v; want no reservations and the verdicts %v", held, got, err, want)
		}
	})
}

// A call claims the last 60 of counter a until counter b has decided. Meanwhile other calls
// for a are neither granted nor refused.
func TestNoCallIsRefusedBecauseOfAClaim(t *testing.T) {
	for _, refused := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			store := newPerKey()
			c := instance(store)
			use(t, c, "a", 40)
			if refused {
				use(t, instance(store), "b", 100)
			}
			store.slow["b"] = 500 * time.Millisecond // fewer than three such operations, or the store would be down
			var calls sync.WaitGroup
			calls.Go(func() {
				held, decisions, err := c.Reserve(t.Context(), parts(hundred, 60, "a", "b"))
				if err != nil || refused != (held == nil) {
					t.Errorf("the call for both: got %v, %+v, %v; want it refused: %t", held, decisions, err, refused)
				}
				held.Settle([]int64{60, 60})
			})
			time.Sleep(10 * time.Millisecond)
			for _, keys := range [][]string{{"a"}, {"a", "c"}} {
				calls.Go(func() {
					began := time.Now()
					held, decisions, err := c.Reserve(t.Context(), parts(hundred, 30, keys...))
					if err != nil || refused == (held == nil) || time.Since(began) < 400*time.Millisecond {
						t.Errorf("a call for 30 of %v: got %v, %+v, %v after %v; want it after 400ms, and granted: %t", keys, held, decisions, err, time.Since(began), refused)
					}
					held.Settle([]int64{30, 30}[:len(keys)])
				})
			}
			calls.Wait()
			if r, d, err := c.One(t.Context(), "a", hundred, limit.Ask{Amount: 1}); r != nil || err != nil || d.Verdict != limit.RateExceeded {
				t.Errorf("a call beyond the limit: got %v, %+v, %v; want it refused", r, d, err)
			}
			if got := charged(t, c, store, "a")[0]; got != 100 {
				t.Errorf("charged to a: got %d, want 100", got)
			}
		})
	}
}

// Each counter has room for one of the calls: the first one gets all of its counters.
func TestCallsThatNameTheirCountersInAnotherOrderDoNotBlockEachOther(t *testing.T) {
	for seed := range uint64(50) {
		synctest.Test(t, func(t *testing.T) {
			network := timedNetwork(seed)
			c := instance(network.Link())
			var granted, refused atomic.Int64
			var calls sync.WaitGroup
			for n := range 6 {
				calls.Go(func() {
					time.Sleep(time.Duration(network.Between(0, 3)) * 10 * time.Millisecond)
					keys := [][]string{{"a", "b"}, {"b", "a"}, {"b", "c", "a"}}[n%3]
					ctx, leave := context.WithTimeout(t.Context(), 5*time.Second)
					defer leave()
					held, _, err := c.Reserve(ctx, parts(hundred, 60, keys...))
					switch {
					case err != nil:
						t.Errorf("seed %d: got %v, want a decision", seed, err)
					case held == nil:
						refused.Add(1)
					default:
						granted.Add(1)
					}
				})
			}
			calls.Wait()
			if granted.Load() != 1 || refused.Load() != 5 {
				t.Errorf("seed %d: got %d granted and %d refused, want 1 and 5", seed, granted.Load(), refused.Load())
			}
			if err := c.Close(context.Background()); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestARefusedCallCostsEachCounterNoMoreThanACallOfOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newPerKey()
		c := instance(store)
		use(t, c, "a", 100)
		refuse := func(keys ...string) (operations int64) {
			before := store.network.Begun()
			for range 10 {
				if held, _, err := c.Reserve(t.Context(), parts(hundred, 60, keys...)); held != nil || err != nil {
					t.Fatalf("a call of %v: got %v, %v; want it refused", keys, held, err)
				}
			}
			synctest.Wait()
			return store.network.Begun() - before
		}
		single := refuse("a")
		if got := refuse("a", "b", "c"); got > 3*single {
			t.Errorf("operations of ten refused calls of three counters: got %d, want at most three times the %d with one", got, single)
		}
	})
}

// Each counter grants a clamped call as much as it has left, and the call then lowers all to
// the least of them.
func TestLowerGivesBackAtOnceWhatAClampedCallReservedTooMuch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := memstore.New()
		c := instance(store)
		use(t, c, "b", 70)
		asks := parts(hundred, 80, "a", "b")
		for i := range asks {
			asks[i].Ask.Min = 10
		}
		held, d, err := c.Reserve(t.Context(), asks)
		if err != nil || held == nil || d[0].Amount != 80 || d[1].Amount != 30 {
			t.Fatalf("a call for 80, or at least 10, where 100 and 30 are left: got %+v, %v; want 80 and 30", d, err)
		}
		standings := held.Lower([]int64{30, 50})
		if standings[0].Remaining != 70 || standings[1].Remaining != 0 {
			t.Errorf("remaining after lowering to 30 and 50: got %d and %d, want 70 and 0", standings[0].Remaining, standings[1].Remaining)
		}
		if held, d, err := c.Reserve(t.Context(), parts(hundred, 70, "a", "c")); held == nil || err != nil {
			t.Errorf("a call for what went back: got %+v, %v; want it granted", d, err)
		} else {
			held.Cancel()
		}
		held.Settle([]int64{20, 30})
		if got, want := charged(t, c, store, "a", "b"), []int64{20, 100}; !slices.Equal(got, want) {
			t.Errorf("charged: got %v, want %v", got, want)
		}
	})
}

func TestTwoPartsOfACallCannotShareACounter(t *testing.T) {
	if held, _, err := instance(memstore.New()).Reserve(t.Context(), parts(hundred, 1, "a", "b", "a")); held != nil || err == nil {
		t.Errorf("a call with the counter a twice: got %v, %v; want an error", held, err)
	}
}

func TestManyCallsOfManyCountersAreEachChargedOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		network := timedNetwork(1)
		instances := []*counter.Counter{instance(network.Link()), instance(network.Link())}
		keys := []string{"a", "b", "c", "d", "e"}
		settled := make(map[string]int64)
		var mu sync.Mutex
		var calls sync.WaitGroup
		patient := hundred
		patient.MaxWait = 20 * time.Second
		for n := range 300 {
			calls.Go(func() {
				time.Sleep(time.Duration(network.Between(0, 120_000)) * time.Millisecond)
				chosen := []string{keys[n%5], keys[(n+1+n/5%4)%5]}
				held, _, err := instances[n%2].Reserve(t.Context(), parts(patient, 1+int64(n%40), chosen...))
				if err != nil {
					t.Errorf("call %d: got %v, want no error", n, err)
				}
				if held == nil {
					return
				}
				time.Sleep(time.Second)
				held.Settle([]int64{int64(n % 7), int64(n % 7)})
				mu.Lock()
				defer mu.Unlock()
				for _, key := range chosen {
					settled[key] += int64(n % 7)
				}
			})
		}
		calls.Wait()
		if err := instances[1].Close(t.Context()); err != nil {
			t.Error(err)
		}
		for i, got := range charged(t, instances[0], network.Store, keys...) {
			if want := settled[keys[i]]; got != want {
				t.Errorf("charged to %s: got %d, want %d", keys[i], got, want)
			}
		}
	})
}

// Each of two instances leases from one counter what its calls ask, and finds that the other
// has leased the rest of the second counter. Calls keep coming, so neither instance is idle.
func TestInstancesThatNeedTheSameCountersAdmitCalls(t *testing.T) {
	for seed := range uint64(20) {
		synctest.Test(t, func(t *testing.T) {
			store := newPerKey()
			for _, key := range []string{"a", "b", "c"} {
				store.slow[key] = 10 * time.Millisecond
			}
			terms := counter.Terms{Limits: limit.Limits{Quota: 100, Period: limit.Daily, Version: 1}}
			instances := []*counter.Counter{instance(store), instance(store)}
			keys := [][]string{{"a", "b"}, {"c", "b"}}
			var admitted atomic.Int64
			var callers sync.WaitGroup
			for i := range 60 {
				random := rand.New(rand.NewPCG(seed, uint64(i)))
				callers.Go(func() {
					for range 80 {
						held, _, err := instances[i%2].Reserve(t.Context(), parts(terms, 30, keys[i/2%2]...))
						if err != nil {
							t.Error(err)
						}
						if held != nil {
							admitted.Add(1)
						}
						for _, h := range held {
							h.Settle(30)
						}
						time.Sleep(time.Duration(random.IntN(200)) * time.Millisecond)
					}
				})
			}
			callers.Wait()
			if got, want := admitted.Load(), int64(3); got != want {
				t.Errorf("seed %d: calls admitted, of 4,800 that ask for 30 of a quota of 100: got %d, want %d", seed, got, want)
			}
		})
	}
}

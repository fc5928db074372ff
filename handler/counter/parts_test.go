package counter_test

import (
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"tollgate/handler/counter"
	"tollgate/handler/counter/countertest"
	"tollgate/handler/counter/memstore"
	"tollgate/handler/lease"
	"tollgate/handler/limit"
)

// hundred is a limit of 100 a minute, with a quota that serves as an account.
var hundred = counter.Terms{Limits: limit.Limits{PerMinute: 100, Quota: 1 << 40, Period: limit.Daily, Version: 1}}

// parts returns a call's parts: the same ask of each of these counters.
func parts(terms counter.Terms, amount int64, keys ...string) (all []counter.Part) {
	for _, key := range keys {
		all = append(all, counter.Part{Key: key, Terms: terms, Ask: limit.Ask{Amount: amount}})
	}
	return all
}

// use has a single call use this much of a counter.
func use(t *testing.T, c *counter.Counter, key string, amount int64) {
	t.Helper()
	r, d, err := c.One(t.Context(), key, hundred, limit.Ask{Amount: amount})
	if err != nil || r == nil {
		t.Fatalf("use %d of %q: got %+v, %v, want it granted", amount, key, d, err)
	}
	r.Settle(amount)
	synctest.Wait()
}

// verdicts returns the verdicts of decisions.
func verdicts(decisions []limit.Decision) (all []limit.Verdict) {
	for _, d := range decisions {
		all = append(all, d.Verdict)
	}
	return all
}

// charged closes an instance, and returns what each counter's row is charged.
func charged(t *testing.T, c *counter.Counter, store counter.Store, keys ...string) (sums []int64) {
	t.Helper()
	if err := c.Close(context.Background()); err != nil {
		t.Error(err)
	}
	for _, key := range keys {
		row, _, _, err := store.Load(context.Background(), key)
		if err != nil && !errors.Is(err, counter.ErrNotFound) {
			t.Error(err)
		}
		if row.Leased != 0 {
			t.Errorf("counter %q: got %d leased after the end, want 0", key, row.Leased)
		}
		sums = append(sums, row.PeriodSpent)
	}
	return sums
}

// perKey is a store whose operations on some counters are slow or fail.
type perKey struct {
	counter.Store
	slow   map[string]time.Duration
	count  atomic.Int64
	mu     sync.Mutex
	broken map[string]bool
}

func newPerKey() *perKey {
	return &perKey{Store: memstore.New(), slow: map[string]time.Duration{}, broken: map[string]bool{}}
}

func (p *perKey) wait(key string) error {
	p.count.Add(1)
	time.Sleep(p.slow[key])
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.broken[key] {
		return countertest.ErrBusy
	}
	return nil
}

func (p *perKey) Load(ctx context.Context, key string) (lease.Row, counter.Version, time.Time, error) {
	if err := p.wait(key); err != nil {
		return lease.Row{}, "", time.Time{}, err
	}
	return p.Store.Load(ctx, key)
}

func (p *perKey) Swap(ctx context.Context, key string, row lease.Row, version counter.Version) (counter.Version, time.Time, error) {
	if err := p.wait(key); err != nil {
		return "", time.Time{}, err
	}
	return p.Store.Swap(ctx, key, row, version)
}

func TestWhatIsKnownToRefuseAsksNothingElsewhere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newPerKey()
		c := instance(store)
		use(t, c, "a", 80)
		if _, _, err := c.One(t.Context(), "a", hundred, limit.Ask{Amount: 50}); err != nil { // now it knows that
			t.Fatal(err)
		}
		before := store.count.Load()
		held, decisions, err := c.Reserve(t.Context(), parts(hundred, 50, "b", "a", "c"))
		if got, want := verdicts(decisions), []limit.Verdict{limit.Granted, limit.RateExceeded, limit.Granted}; held != nil || err != nil || !slices.Equal(got, want) {
			t.Fatalf("a call of which a is known to refuse 50: got %v, %v, %v; want no reservations and the verdicts %v", held, got, err, want)
		}
		if decisions[1].RetryAfter <= 0 || decisions[1].Standing.Remaining != 20 {
			t.Errorf("the refusal: got %+v, want a RetryAfter and 20 remaining", decisions[1])
		}
		if got := store.count.Load() - before; got != 0 {
			t.Errorf("operations: got %d, want none", got)
		}
	})
}

func TestCountersAreAskedAtTheSameTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newPerKey()
		for i, key := range []string{"a", "b", "c", "d"} {
			store.slow[key] = time.Duration(10+10*i) * time.Millisecond
		}
		began := time.Now()
		held, _, err := instance(store).Reserve(t.Context(), parts(hundred, 50, "a", "b", "c", "d"))
		if got, want := time.Since(began), 80*time.Millisecond; held == nil || err != nil || got != want { // to read and to write the slowest
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
		fresh := instance(store) // it knows nothing
		held, decisions, err := fresh.Reserve(t.Context(), parts(hundred, 50, "a", "b", "c"))
		if got, want := verdicts(decisions), []limit.Verdict{limit.RateExceeded, limit.Granted, limit.RateExceeded}; held != nil || err != nil || !slices.Equal(got, want) {
			t.Errorf("a call that a and c refuse: got %v, %v, %v; want no reservations and the verdicts %v", held, got, err, want)
		}
	})
}

// TestNobodyIsRefusedForAnAmountThatIsGivenBack: a counter's last 60 are claimed by
// a call that another counter then refuses.
func TestNobodyIsRefusedForAnAmountThatIsGivenBack(t *testing.T) {
	for _, refused := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			store := newPerKey()
			c := instance(store)
			use(t, c, "a", 40)
			if refused {
				use(t, instance(store), "b", 100)
			}
			store.slow["b"] = 500 * time.Millisecond // at most three such operations: else the store is down
			var calls sync.WaitGroup
			calls.Go(func() {
				held, decisions, err := c.Reserve(t.Context(), parts(hundred, 60, "a", "b"))
				if err != nil || refused != (held == nil) {
					t.Errorf("the call for both: got %v, %+v, %v", held, decisions, err)
				}
				held.Settle([]int64{60, 60})
			})
			time.Sleep(10 * time.Millisecond)
			for _, keys := range [][]string{{"a"}, {"a", "c"}} {
				calls.Go(func() {
					began := time.Now()
					held, decisions, err := c.Reserve(t.Context(), parts(hundred, 30, keys...))
					if err != nil || refused == (held == nil) || time.Since(began) < 400*time.Millisecond {
						t.Errorf("a call for 30 that waits for %v: got %v, %+v, %v after %v; want it granted %v", keys, held, decisions, err, time.Since(began), refused)
					}
					held.Settle([]int64{30, 30}[:len(keys)])
				})
			}
			calls.Wait()
			if r, d, err := c.One(t.Context(), "a", hundred, limit.Ask{Amount: 1}); r != nil || err != nil || d.Verdict != limit.RateExceeded {
				t.Errorf("a call beyond the limit: got %v, %+v, %v, want it refused", r, d, err)
			}
			if got := charged(t, c, store, "a")[0]; got != 100 {
				t.Errorf("charged to a: got %d, want 100", got)
			}
		})
	}
}

// TestCallsThatMeetInOppositeWaysGoOn: each of two counters has room for one of two
// calls, and the first gets both.
func TestCallsThatMeetInOppositeWaysGoOn(t *testing.T) {
	for seed := range uint64(50) {
		synctest.Test(t, func(t *testing.T) {
			network := quietNetwork(seed)
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
			if err := c.Close(context.Background()); err != nil { // what refused calls left may be on its way back
				t.Error(err)
			}
		})
	}
}

func TestARefusedCallCostsNoOperationMore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newPerKey()
		c := instance(store)
		use(t, c, "a", 100)
		one := func(keys ...string) int64 {
			before := store.count.Load()
			for range 10 {
				if held, _, err := c.Reserve(t.Context(), parts(hundred, 60, keys...)); held != nil || err != nil {
					t.Fatalf("a call that a refuses: got %v, %v, want it refused", held, err)
				}
			}
			synctest.Wait()
			return store.count.Load() - before
		}
		single := one("a")
		if got := one("a", "b", "c"); got > 3*single {
			t.Errorf("operations of ten refused calls of three counters: got %d, want at most three times the %d with one", got, single)
		}
	})
}

// TestWhatAClampedCallGotTooMuchOfGoesBack at once, and to its minute.
func TestWhatAClampedCallGotTooMuchOfGoesBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := memstore.New()
		c := instance(store)
		use(t, c, "b", 70)
		asks := parts(hundred, 80, "a", "b")
		for i := range asks {
			asks[i].Ask.Least = 10
		}
		held, d, err := c.Reserve(t.Context(), asks)
		if err != nil || held == nil || d[0].Amount != 80 || d[1].Amount != 30 {
			t.Fatalf("a call for 80, or at least 10, where 100 and 30 are left: got %+v, %v; want 80 and 30", d, err)
		}
		st := held.Lower([]int64{30, 50})
		if st[0].Remaining != 70 || st[1].Remaining != 0 {
			t.Errorf("remaining after lowering to 30 and 50: got %d and %d, want 70 and 0", st[0].Remaining, st[1].Remaining)
		}
		if held, d, err := c.Reserve(t.Context(), parts(hundred, 70, "a", "c")); held == nil || err != nil {
			t.Errorf("a call for what went back: got %+v, %v, want it granted", d, err)
		} else {
			held.Cancel()
		}
		held.Settle([]int64{20, 30})
		if got, want := charged(t, c, store, "a", "b"), []int64{20, 100}; !slices.Equal(got, want) {
			t.Errorf("charged: got %v, want %v", got, want)
		}
	})
}

func TestTwoPartsOfACallNeedTwoCounters(t *testing.T) {
	if held, _, err := instance(memstore.New()).Reserve(t.Context(), parts(hundred, 1, "a", "b", "a")); held != nil || err == nil {
		t.Errorf("a call with the counter a twice: got %v, %v, want an error", held, err)
	}
}

// TestManyCallsOfManyCountersEndCharged once, by an independent book.
func TestManyCallsOfManyCountersEndCharged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		network := quietNetwork(1)
		instances := []*counter.Counter{instance(network.Link()), instance(network.Link())}
		keys := []string{"a", "b", "c", "d", "e"}
		book := make(map[string]int64)
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
					t.Errorf("call %d: %v", n, err)
				}
				if held == nil {
					return
				}
				time.Sleep(time.Second)
				held.Settle([]int64{int64(n % 7), int64(n % 7)})
				mu.Lock()
				defer mu.Unlock()
				for _, key := range chosen {
					book[key] += int64(n % 7)
				}
			})
		}
		calls.Wait()
		if err := instances[1].Close(t.Context()); err != nil {
			t.Error(err)
		}
		for i, got := range charged(t, instances[0], network.Store, keys...) {
			if got != book[keys[i]] {
				t.Errorf("charged to %s: got %d, want %d", keys[i], got, book[keys[i]])
			}
		}
	})
}

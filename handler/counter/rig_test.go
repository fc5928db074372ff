package counter_test

import (
	"context"
	"errors"
	"log/slog"
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

var (
	minute = counter.Terms{Limits: limit.Limits{PerMinute: 300, Version: 1}}
	// daily has a quota that never runs out: the row keeps its charges when the minute is
	// over.
	daily = counter.Terms{Limits: limit.Limits{PerMinute: 300, Quota: 1 << 40, Period: limit.Daily, Version: 1}}
	// hundred is like daily, with 100 a minute.
	hundred = counter.Terms{Limits: limit.Limits{PerMinute: 100, Quota: 1 << 40, Period: limit.Daily, Version: 1}}
)

// onDown returns the terms of a limit, and of a mode while the store is down.
func onDown(mode limit.StoreDown, limits limit.Limits) counter.Terms {
	limits.Version = 1
	return counter.Terms{Limits: limits, OnStoreDown: mode}
}

// instance returns a new instance that uses a store.
func instance(store counter.Store) *counter.Counter {
	return counter.New(counter.Config{Store: store, Log: slog.New(slog.DiscardHandler)})
}

// linked returns a store, and a link to it whose operations take no time and meet these
// fates.
func linked(fate func(countertest.Operation) countertest.Fate) (*memstore.Store, *countertest.Link) {
	network, store := countertest.NewNetwork(0), memstore.New()
	network.Store = store
	link := network.Link()
	link.Fate = fate
	return store, link
}

// dated returns a store, and a link to it whose answers have a time that is off by this much.
func dated(off func() time.Duration) (*memstore.Store, *countertest.Link) {
	store, link := linked(nil)
	link.Date = func() time.Time { return time.Now().Truncate(time.Second).Add(off()) }
	return store, link
}

// breakable returns a store that is down while broken is set, and an instance that uses it.
func breakable() (store *memstore.Store, broken *atomic.Bool, c *counter.Counter) {
	store, broken, link := breakableLink()
	return store, broken, instance(link)
}

func breakableLink() (store *memstore.Store, broken *atomic.Bool, link *countertest.Link) {
	broken = new(atomic.Bool)
	store, link = linked(func(countertest.Operation) countertest.Fate {
		if broken.Load() {
			return countertest.Busy
		}
		return countertest.Fine
	})
	return store, broken, link
}

// contested returns a store, and a link to it on which another writer comes before each of
// the next writes, as many as rivals says.
func contested(t *testing.T) (store *memstore.Store, rivals *atomic.Int64, link *countertest.Link) {
	rivals = new(atomic.Int64)
	store, link = linked(func(op countertest.Operation) countertest.Fate {
		if op.Swap && rivals.Load() > 0 {
			rivals.Add(-1)
			row, version, _, err := store.Load(context.Background(), op.Key)
			if err == nil {
				row.Rev++
				_, _, err = store.Swap(context.Background(), op.Key, row, version)
			}
			if err != nil {
				t.Errorf("another writer's write: got %v, want no error", err)
			}
		}
		return countertest.Fine
	})
	return store, rivals, link
}

// A perKey is a link to a store of its own on which operations on some counters are slow or
// fail.
type perKey struct {
	*countertest.Link
	network *countertest.Network
	slow    map[string]time.Duration // set before the first operation on a counter

	mu     sync.Mutex
	broken map[string]bool
}

func newPerKey() *perKey {
	network := countertest.NewNetwork(0)
	p := &perKey{Link: network.Link(), network: network, slow: map[string]time.Duration{}, broken: map[string]bool{}}
	p.Fate = func(op countertest.Operation) countertest.Fate {
		time.Sleep(p.slow[op.Key])
		p.mu.Lock()
		defer p.mu.Unlock()
		if p.broken[op.Key] {
			return countertest.Busy
		}
		return countertest.Fine
	}
	return p
}

// breakAll breaks these counters, and repairs all others.
func (p *perKey) breakAll(keys ...string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	clear(p.broken)
	for _, key := range keys {
		p.broken[key] = true
	}
}

const (
	fastestOperation = 5 * time.Millisecond
	slowestOperation = 20 * time.Millisecond
	meanOperation    = (fastestOperation + slowestOperation) / 2
)

// timedNetwork returns a network without faults whose operations take some time.
func timedNetwork(seed uint64) *countertest.Network {
	network := countertest.NewNetwork(seed)
	network.Fastest, network.Slowest = fastestOperation, slowestOperation
	return network
}

// A killable is an instance that may be killed.
type killable struct {
	*counter.Counter
	link *countertest.Link
}

func newKillable(n *countertest.Network) *killable {
	link := n.Link()
	return &killable{Counter: instance(link), link: link}
}

// close closes an instance and expects no error.
func (k *killable) close(t *testing.T) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Minute)
	defer cancel()
	if err := k.Close(ctx); err != nil {
		t.Errorf("Close: got %v, want no error", err)
	}
}

// reserve makes a call of the counter "key".
func reserve(t *testing.T, c *counter.Counter, terms counter.Terms, amount int64) (*counter.Reservation, limit.Decision) {
	t.Helper()
	r, d, err := c.One(t.Context(), "key", terms, limit.Ask{Amount: amount})
	if err != nil {
		t.Fatal(err)
	}
	return r, d
}

// use has a call use this much of a counter, with the terms hundred.
func use(t *testing.T, c *counter.Counter, key string, amount int64) {
	t.Helper()
	r, d, err := c.One(t.Context(), key, hundred, limit.Ask{Amount: amount})
	if err != nil || r == nil {
		t.Fatalf("a call for %d of %q: got %+v, %v; want it granted", amount, key, d, err)
	}
	r.Settle(amount)
	synctest.Wait()
}

// parts returns a call's parts: the same ask of each of these counters.
func parts(terms counter.Terms, amount int64, keys ...string) (all []counter.Part) {
	for _, key := range keys {
		all = append(all, counter.Part{Key: key, Terms: terms, Ask: limit.Ask{Amount: amount}})
	}
	return all
}

// written waits until everything is stored, and returns the row of the counter "key".
func written(t *testing.T, store counter.Store) lease.Row {
	t.Helper()
	synctest.Wait()
	row, _, _, err := store.Load(t.Context(), "key")
	if err != nil {
		t.Fatal(err)
	}
	return row
}

// charged closes an instance, and returns what each counter's quota is charged in its row.
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
			t.Errorf("counter %q: got %d leased after Close, want 0", key, row.Leased)
		}
		sums = append(sums, row.PeriodSpent)
	}
	return sums
}

// verdicts returns the verdicts of decisions.
func verdicts(decisions []limit.Decision) (all []limit.Verdict) {
	for _, d := range decisions {
		all = append(all, d.Verdict)
	}
	return all
}

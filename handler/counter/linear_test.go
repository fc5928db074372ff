package counter_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/anishathalye/porcupine"

	"tollgate/handler/counter"
	"tollgate/handler/counter/countertest"
	"tollgate/handler/counter/memstore"
	"tollgate/handler/lease"
	"tollgate/handler/limit"
)

// Operations of callers on a counter, and their results.
type (
	deed struct {
		kind   string // reserve, settle, probe; leave and vanish are a call that was not decided
		amount int64  // asked, or reserved
		used   int64
		caller uint64 // a bit, for an undecided one
	}
	// ideal is the counter as callers see it: one number, and which undecided calls
	// may still hold some of it.
	ideal struct {
		charged    int64
		held, over uint64
	}
)

const linearLimit = 300

// step returns what a single counter without instances, leases or a store would
// answer. alone says that refusals must be exact: if other instances hold leases,
// a call may be refused although unspent tokens are leased to them.
func (w ideal) step(d deed, granted, alone bool) []any {
	fits := w.charged+d.amount <= linearLimit
	switch {
	case d.kind == "settle":
		w.charged += d.used - d.amount
	case d.kind == "vanish":
		if w.held&d.caller != 0 {
			w.charged -= d.amount
		}
		w.held, w.over = w.held&^d.caller, w.over|d.caller
	case d.kind == "leave":
		if fits && w.over&d.caller == 0 {
			return []any{w, ideal{w.charged + d.amount, w.held | d.caller, w.over}}
		}
	case granted && fits:
		w.charged += d.amount
	case granted, (alone || d.kind == "probe") && fits:
		return nil
	}
	return []any{w}
}

func linearModel(alone bool) porcupine.Model {
	model := porcupine.NondeterministicModel{
		Init: func() []any { return []any{ideal{}} },
		Step: func(state, input, output any) []any { return state.(ideal).step(input.(deed), output.(bool), alone) },
		DescribeOperation: func(input, output any) string {
			return fmt.Sprintf("%+v: %v", input, output)
		},
	}
	return model.ToModel()
}

// blind is a store that ignores the version of a swap, which counters rely on.
type blind struct{ *memstore.Store }

func (b blind) Swap(ctx context.Context, key string, row lease.Row, version counter.Version) (counter.Version, time.Time, error) {
	if _, current, _, err := b.Load(ctx, key); err == nil {
		version = current
	}
	return b.Store.Swap(ctx, key, row, version)
}

// history records operations in the order in which callers saw them.
type history struct {
	mu   sync.Mutex
	ops  []porcupine.Operation
	tick atomic.Int64
	left int
}

func (h *history) add(client int, d deed, granted bool, call, back int64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.ops = append(h.ops, porcupine.Operation{ClientId: client, Input: d, Output: granted, Call: call, Return: back})
}

// never is the latest time at which an operation that no one waits for takes effect.
const never = 1 << 40

// gone records a call that was not decided: it may hold its tokens until, some
// time later, they are returned.
func (h *history) gone(client int, amount, call int64) {
	h.mu.Lock()
	bit := uint64(1) << h.left
	h.left++
	h.mu.Unlock()
	h.add(client, deed{kind: "leave", amount: amount, caller: bit}, false, call, never)
	h.add(client+1000, deed{kind: "vanish", amount: amount, caller: bit}, false, call, never)
}

// reserve makes a call and records its decision.
func (h *history) reserve(ctx context.Context, c *counter.Counter, client int, kind string, amount int64) *counter.Reservation {
	call := h.tick.Add(1)
	r, d, err := c.One(ctx, "key", minute, limit.Ask{Amount: amount})
	if err != nil { // the caller left, or the store is down: a write may have been on its way
		h.gone(client, amount, call)
		return nil
	}
	h.add(client, deed{kind: kind, amount: amount}, d.Verdict == limit.Granted, call, h.tick.Add(1))
	return r
}

// caller makes calls one after the other, and gives some up before they are
// decided.
func (h *history) caller(c *counter.Counter, client int, random *rand.Rand) {
	for range 7 {
		time.Sleep(time.Duration(random.IntN(300)) * time.Millisecond)
		ctx, cancel := context.WithCancel(context.Background())
		if random.IntN(8) == 0 {
			ctx, cancel = context.WithTimeout(ctx, time.Duration(random.IntN(12))*time.Millisecond)
		}
		r := h.reserve(ctx, c, client, "reserve", 1+random.Int64N(60))
		cancel()
		if r == nil {
			continue
		}
		time.Sleep(time.Duration(random.IntN(400)) * time.Millisecond)
		h.settle(r, client, random)
	}
}

func (h *history) settle(r *counter.Reservation, client int, random *rand.Rand) {
	h.mu.Lock()
	var amount int64
	for _, op := range slices.Backward(h.ops) { // the client's last
		if op.ClientId == client {
			amount = op.Input.(deed).amount
			break
		}
	}
	h.mu.Unlock()
	used := random.Int64N(amount + 1)
	call := h.tick.Add(1)
	r.Settle(used)
	h.add(client, deed{kind: "settle", amount: amount, used: used}, true, call, h.tick.Add(1))
}

// record has callers of several instances make calls. When they are done, each
// instance is asked for all that is left and for one token more.
func record(t *testing.T, seed uint64, instances int, losesUpdates bool) *history {
	h := &history{}
	synctest.Test(t, func(t *testing.T) {
		time.Sleep(5 * time.Second) // clocks begin at the start of a minute
		network := countertest.NewNetwork(seed)
		network.Slowest = 16 * time.Millisecond
		network.SetFaults(100)
		if losesUpdates {
			network.Store = blind{memstore.New()}
		}
		counters := make([]*counter.Counter, instances)
		var callers sync.WaitGroup
		for i := range counters {
			counters[i] = instance(network.Link())
			for j := range 9 / instances {
				client := i*10 + j
				callers.Go(func() { h.caller(counters[i], client, rand.New(rand.NewPCG(seed, uint64(client+1)))) })
			}
		}
		callers.Wait()
		time.Sleep(20 * time.Second) // unused leases have been returned
		for i, c := range counters {
			standing, err := c.Standing(t.Context(), "key", minute)
			if err != nil {
				continue // the store is down just now
			}
			h.reserve(t.Context(), c, i*10, "probe", standing.Remaining+1)
			h.reserve(t.Context(), c, i*10, "probe", standing.Remaining/4)
			time.Sleep(time.Second)
		}
		for _, c := range counters {
			if err := c.Close(context.WithoutCancel(t.Context())); err != nil {
				t.Error(err)
			}
		}
		network.Wait()
	})
	return h
}

// TestHistoriesAreLinearizable: whatever the network loses, callers of any
// instance see one counter that never exceeds its limit. A single instance refuses
// nothing that fits; several refuse nothing that fits once no tokens are leased
// without being used.
func TestHistoriesAreLinearizable(t *testing.T) {
	calls, left, undecided := 0, 0, 0
	for _, instances := range []int{1, 3} {
		for seed := range uint64(100) {
			h := record(t, seed, instances, false)
			calls, left = calls+len(h.ops), left+h.left
			switch porcupine.CheckOperationsTimeout(linearModel(instances == 1), h.ops, 10*time.Second) {
			case porcupine.Illegal:
				t.Errorf("%d instances, seed %d: got a history that no order of its calls explains, want it linearizable", instances, seed)
				explain(t, h)
			case porcupine.Unknown:
				undecided++
			}
		}
	}
	t.Logf("200 histories of %d operations, %d of them of calls that were not decided, are linearizable; %d took too long to tell", calls, 2*left, undecided)
	if undecided > 10 || left == 0 {
		t.Errorf("got %d histories undecided in time and %d calls without a decision, want at most 10 and at least 1", undecided, left)
	}
}

func explain(t *testing.T, h *history) {
	for _, op := range h.ops {
		t.Logf("client %d %d-%d: %+v %v", op.ClientId, op.Call, op.Return, op.Input, op.Output)
	}
}

// TestALostUpdateIsNotLinearizable shows that the check can fail: over a store
// that ignores ETags, callers see results that no single counter could give.
func TestALostUpdateIsNotLinearizable(t *testing.T) {
	for seed := range uint64(50) {
		h := record(t, seed, 3, true)
		if porcupine.CheckOperationsTimeout(linearModel(false), h.ops, 10*time.Second) == porcupine.Illegal {
			t.Logf("found with seed %d", seed)
			return
		}
	}
	t.Error("50 histories over a store that loses updates: got all linearizable, want one that is not")
}

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

// An action is one use of a counter by a caller.
type action struct {
	kind   string // "reserve", "settle" or "probe"; "begin" and "end" are those of an undecided call
	amount int64  // asked, or reserved
	used   int64  // of a settle
	bit    uint64 // identifies an undecided call
}

// An ideal is a counter as callers see it: one number. Calls that were not decided may hold
// some of it for a while.
type ideal struct {
	charged     int64
	held, ended uint64 // bits of undecided calls that hold their amount, or no longer can
}

const linearLimit = 300

// step returns the counters that an action may leave; none: the action can't have this
// result. If other instances hold leases, a call that fits may be refused, because unspent
// tokens are leased to them; alone says that there are no others.
func (c ideal) step(a action, granted, alone bool) []any {
	fits := c.charged+a.amount <= linearLimit
	switch {
	case a.kind == "settle":
		c.charged += a.used - a.amount
	case a.kind == "end":
		if c.held&a.bit != 0 {
			c.charged -= a.amount
		}
		c.held, c.ended = c.held&^a.bit, c.ended|a.bit
	case a.kind == "begin":
		if fits && c.ended&a.bit == 0 {
			return []any{c, ideal{c.charged + a.amount, c.held | a.bit, c.ended}}
		}
	case granted && fits:
		c.charged += a.amount
	case granted, (alone || a.kind == "probe") && fits:
		return nil
	}
	return []any{c}
}

func linearModel(alone bool) porcupine.Model {
	model := porcupine.NondeterministicModel{
		Init: func() []any { return []any{ideal{}} },
		Step: func(state, input, output any) []any { return state.(ideal).step(input.(action), output.(bool), alone) },
		DescribeOperation: func(input, output any) string {
			return fmt.Sprintf("%+v: %v", input, output)
		},
	}
	return model.ToModel()
}

// blind is a store that ignores the version of a swap.
type blind struct{ *memstore.Store }

func (b blind) Swap(ctx context.Context, key string, row lease.Row, version counter.Version) (counter.Version, time.Time, error) {
	if _, current, _, err := b.Load(ctx, key); err == nil {
		version = current
	}
	return b.Store.Swap(ctx, key, row, version)
}

// A history records actions and their results. Its ticks order their begins and ends.
type history struct {
	mu        sync.Mutex
	ops       []porcupine.Operation
	tick      atomic.Int64
	undecided int // calls
}

func (h *history) add(client int, a action, granted bool, began, ended int64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.ops = append(h.ops, porcupine.Operation{ClientId: client, Input: a, Output: granted, Call: began, Return: ended})
}

// lastTick is later than all ticks. An action that no caller waits for may take effect until
// then.
const lastTick = 1 << 40

// addUndecided adds a call that was not decided: it may hold its tokens for a while.
func (h *history) addUndecided(client int, amount, began int64) {
	h.mu.Lock()
	bit := uint64(1) << h.undecided
	h.undecided++
	h.mu.Unlock()
	h.add(client, action{kind: "begin", amount: amount, bit: bit}, false, began, lastTick)
	h.add(client+1000, action{kind: "end", amount: amount, bit: bit}, false, began, lastTick)
}

// reserve makes a call and records its decision.
func (h *history) reserve(ctx context.Context, c *counter.Counter, client int, kind string, amount int64) *counter.Reservation {
	began := h.tick.Add(1)
	r, d, err := c.One(ctx, "key", minute, limit.Ask{Amount: amount})
	if err != nil { // the caller left, or the store is down: a write may have been on its way
		h.addUndecided(client, amount, began)
		return nil
	}
	h.add(client, action{kind: kind, amount: amount}, d.Verdict == limit.Granted, began, h.tick.Add(1))
	return r
}

// callInTurn makes calls one after the other, and leaves some before they are decided.
func (h *history) callInTurn(c *counter.Counter, client int, random *rand.Rand) {
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

// settle settles a client's last call, and records that.
func (h *history) settle(r *counter.Reservation, client int, random *rand.Rand) {
	h.mu.Lock()
	var amount int64
	for _, op := range slices.Backward(h.ops) {
		if op.ClientId == client {
			amount = op.Input.(action).amount
			break
		}
	}
	h.mu.Unlock()
	used := random.Int64N(amount + 1)
	began := h.tick.Add(1)
	r.Settle(used)
	h.add(client, action{kind: "settle", amount: amount, used: used}, true, began, h.tick.Add(1))
}

// record has callers of several instances make calls. Afterwards a call of each instance asks
// for one token more than is left, and another for a quarter of it.
func record(t *testing.T, seed uint64, instances int, losesUpdates bool) *history {
	h := &history{}
	synctest.Test(t, func(t *testing.T) {
		time.Sleep(5 * time.Second) // a bubble's time begins at the start of a minute
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
				callers.Go(func() { h.callInTurn(counters[i], client, rand.New(rand.NewPCG(seed, uint64(client+1)))) })
			}
		}
		callers.Wait()
		time.Sleep(20 * time.Second) // until unused leases have been returned
		for i, c := range counters {
			standing, err := c.Standing(t.Context(), "key", minute)
			if err != nil {
				continue // the store is down
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

// Whatever the network loses, callers of all instances see one counter that never exceeds its
// limit. A single instance refuses nothing that fits. Several refuse nothing that fits once
// unused leases have been returned.
func TestHistoriesAreLinearizable(t *testing.T) {
	actions, undecided, timeouts := 0, 0, 0
	for _, instances := range []int{1, 3} {
		for seed := range uint64(100) {
			h := record(t, seed, instances, false)
			actions, undecided = actions+len(h.ops), undecided+h.undecided
			switch porcupine.CheckOperationsTimeout(linearModel(instances == 1), h.ops, 10*time.Second) {
			case porcupine.Illegal:
				t.Errorf("%d instances, seed %d: got a history that no order of its actions explains, want it linearizable", instances, seed)
				logHistory(t, h)
			case porcupine.Unknown:
				timeouts++
			}
		}
	}
	t.Logf("200 histories of %d actions, with %d undecided calls; %d histories took too long to check", actions, undecided, timeouts)
	if timeouts > 10 || undecided == 0 {
		t.Errorf("got %d histories that took too long to check and %d undecided calls, want at most 10 and at least 1", timeouts, undecided)
	}
}

func logHistory(t *testing.T, h *history) {
	for _, op := range h.ops {
		t.Logf("client %d %d-%d: %+v %v", op.ClientId, op.Call, op.Return, op.Input, op.Output)
	}
}

// This test shows that the check of TestHistoriesAreLinearizable can fail.
func TestALostUpdateIsNotLinearizable(t *testing.T) {
	for seed := range uint64(50) {
		h := record(t, seed, 3, true)
		if porcupine.CheckOperationsTimeout(linearModel(false), h.ops, 10*time.Second) == porcupine.Illegal {
			return
		}
	}
	t.Error("50 histories over a store that ignores versions: got all linearizable, want one that is not")
}

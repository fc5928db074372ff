//go:build figures

package counter_test

import (
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"tollgate/handler/counter/countertest"
	"tollgate/handler/lease"
	"tollgate/handler/limit"
)

// runNaive runs the load on gateways without leases: each call reads the row and writes it back
// under its ETag, once before the model is called and once after it. After a conflict it
// tries again after a random pause, for 2 s at most.
func (l load) runNaive(t *testing.T, seed uint64) *measured {
	m := &measured{}
	synctest.Test(t, func(t *testing.T) {
		network, limits := timedNetwork(seed), limit.Limits{PerMinute: l.limit, Version: 1}
		if _, _, err := network.Store.Swap(t.Context(), "key", lease.New(limits, time.Now(), "epoch"), ""); err != nil {
			t.Error(err)
		}
		n := naiveGateway{network.Link(), limits}
		end := time.Now().Add(time.Duration(l.minutes) * time.Minute)
		var calls sync.WaitGroup
		for time.Sleep(0); time.Now().Before(end); time.Sleep(network.Interval(l.perSecond)) {
			amount := network.Between(l.fewest, l.most)
			calls.Go(func() {
				admitted, ok := n.swapOnce(t, amount)
				if admitted {
					_, settled := n.swapOnce(t, 0)
					ok = ok && settled
				}
				m.mu.Lock()
				defer m.mu.Unlock()
				m.calls++
				if !ok {
					m.failed++
				}
			})
		}
		calls.Wait()
		m.operations = network.Begun()
	})
	return m
}

// A naiveGateway has no leases.
type naiveGateway struct {
	*countertest.Link
	limits limit.Limits
}

// swapOnce charges tokens if the counter has them. It reports false for ok if all its attempts
// within 2 s conflict.
func (n naiveGateway) swapOnce(t *testing.T, amount int64) (admitted, ok bool) {
	for began := time.Now(); time.Since(began) < 2*time.Second; time.Sleep(rand.N(100 * time.Millisecond)) {
		row, version, _, err := n.Load(t.Context(), "key")
		if err != nil {
			t.Error(err)
		}
		row.Advance(n.limits, time.Now())
		if row.Credit-row.Spent < amount {
			return false, true
		}
		row.Spent += amount
		if _, _, err = n.Swap(t.Context(), "key", row, version); err == nil {
			return true, true
		}
	}
	return false, false
}

package counter_test

import (
	"context"
	"io"
	"log/slog"
	"math/rand/v2"
	"runtime"
	"sync"
	"time"

	"tollgate/handler/counter"
	"tollgate/handler/counter/memstore"
	"tollgate/handler/limit"
)

// A quietNetwork connects instances to one store in virtual time, without
// faults, and counts their operations. An operation takes 5-20 ms, half of it
// each way.
type quietNetwork struct {
	terms  counter.Terms
	shared *memstore.Store

	mu     sync.Mutex
	random *rand.Rand
	ops    int64
}

const (
	fastestOperation = 5 * time.Millisecond
	slowestOperation = 20 * time.Millisecond
	meanOperation    = (fastestOperation + slowestOperation) / 2
)

func newQuietNetwork(seed uint64, limits limit.Limits) *quietNetwork {
	return &quietNetwork{terms: counter.Terms{Limits: limits}, shared: memstore.New(nil), random: rand.New(rand.NewPCG(seed, 1))}
}

// below returns a random number from 0 to n-1.
func (r *quietNetwork) below(n int64) int64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.random.Int64N(n)
}

// pause returns a random pause between calls that come at this rate.
func (r *quietNetwork) pause(perSecond float64) time.Duration {
	r.mu.Lock()
	defer r.mu.Unlock()
	return time.Duration(r.random.ExpFloat64() / perSecond * float64(time.Second))
}

func (r *quietNetwork) begin() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.ops++
}

// begun returns the number of operations begun.
func (r *quietNetwork) begun() int64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.ops
}

// A quietInstance is one instance with its own connection to the store.
type quietInstance struct {
	*counter.Counter
	*quietNetwork
	dead chan struct{} // closed when it is killed
}

func (r *quietNetwork) instance() *quietInstance {
	m := &quietInstance{quietNetwork: r, dead: make(chan struct{})}
	m.Counter = counter.New(counter.Config{Store: m, Log: slog.New(slog.NewTextHandler(io.Discard, nil))})
	return m
}

// kill ends the instance: it begins and ends no more operations.
func (m *quietInstance) kill() { close(m.dead) }

func (m *quietInstance) alive() bool {
	select {
	case <-m.dead:
		return false
	default:
		return true
	}
}

// travel waits for half an operation.
func (m *quietInstance) travel() {
	if m.alive() {
		time.Sleep((fastestOperation + time.Duration(m.below(int64(slowestOperation-fastestOperation)))) / 2)
	}
	if !m.alive() {
		runtime.Goexit()
	}
}

// date returns an answer's time, in whole seconds as in HTTP.
func date() time.Time { return time.Now().Truncate(time.Second) }

// Load implements counter.Store.
func (m *quietInstance) Load(ctx context.Context, key string) (limit.State, counter.Version, time.Time, error) {
	m.begin()
	m.travel()
	state, version, _, err := m.shared.Load(ctx, key)
	date := date()
	m.travel()
	return state, version, date, err
}

// Swap implements counter.Store.
func (m *quietInstance) Swap(ctx context.Context, key string, state limit.State, version counter.Version) (counter.Version, time.Time, error) {
	m.begin()
	m.travel()
	next, _, err := m.shared.Swap(ctx, key, state, version)
	date := date()
	m.travel()
	return next, date, err
}

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

// rig is a store that instances reach in virtual time, and which counts what
// they ask of it. An operation takes 5-20 ms, half of it there and half back.
type rig struct {
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

func newRig(seed uint64, limits limit.Limits) *rig {
	return &rig{terms: counter.Terms{Limits: limits}, shared: memstore.New(nil), random: rand.New(rand.NewPCG(seed, 1))}
}

// below is a random number from 0.
func (r *rig) below(n int64) int64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.random.Int64N(n)
}

// pause is a random time between calls that come so many a second.
func (r *rig) pause(perSecond float64) time.Duration {
	r.mu.Lock()
	defer r.mu.Unlock()
	return time.Duration(r.random.ExpFloat64() / perSecond * float64(time.Second))
}

func (r *rig) begin() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.ops++
}

// begun is how many operations were begun.
func (r *rig) begun() int64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.ops
}

// member is one instance with its own way to the store.
type member struct {
	*counter.Counter
	*rig
	dead chan struct{} // closed when it is killed
}

func (r *rig) member() *member {
	m := &member{rig: r, dead: make(chan struct{})}
	m.Counter = counter.New(counter.Config{Store: m, Log: slog.New(slog.NewTextHandler(io.Discard, nil))})
	return m
}

// kill ends the instance: no operation of its begins or ends any more.
func (m *member) kill() { close(m.dead) }

func (m *member) alive() bool {
	select {
	case <-m.dead:
		return false
	default:
		return true
	}
}

// travel is half an operation.
func (m *member) travel() {
	if m.alive() {
		time.Sleep((fastestOperation + time.Duration(m.below(int64(slowestOperation-fastestOperation)))) / 2)
	}
	if !m.alive() {
		runtime.Goexit()
	}
}

// date is the time of an answer, in whole seconds as HTTP has it.
func date() time.Time { return time.Now().Truncate(time.Second) }

// Load implements counter.Store.
func (m *member) Load(ctx context.Context, key string) (limit.State, counter.Version, time.Time, error) {
	m.begin()
	m.travel()
	state, version, _, err := m.shared.Load(ctx, key)
	date := date()
	m.travel()
	return state, version, date, err
}

// Swap implements counter.Store.
func (m *member) Swap(ctx context.Context, key string, state limit.State, version counter.Version) (counter.Version, time.Time, error) {
	m.begin()
	m.travel()
	next, _, err := m.shared.Swap(ctx, key, state, version)
	date := date()
	m.travel()
	return next, date, err
}

package counter_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"tollgate/handler/counter"
	"tollgate/handler/counter/memstore"
	"tollgate/handler/limit"
)

// A faultyNetwork connects instances to one store in the virtual time of a
// synctest bubble; its operations fail, come late or arrive twice.
type faultyNetwork struct {
	store   *memstore.Store
	history *rows
	seed    uint64

	mu     sync.Mutex
	random *rand.Rand
	late   sync.WaitGroup // messages still under way
	ops    int            // operations on tables
	// faults is the number of operations in a thousand that meet a fault.
	faults int
	// fastest and slowest bound an operation's time.
	fastest, slowest time.Duration
}

func newFaultyNetwork(seed uint64) *faultyNetwork {
	return &faultyNetwork{store: memstore.New(nil), history: &rows{closed: make(map[rowKey]limit.Closed)}, seed: seed,
		random: rand.New(rand.NewPCG(seed, 1)), fastest: 5 * time.Millisecond, slowest: 20 * time.Millisecond}
}

// between returns a random number from low to high, both included.
func (w *faultyNetwork) between(low, high int64) int64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	return low + w.random.Int64N(high-low+1)
}

// half returns the time of half an operation.
func (w *faultyNetwork) half() time.Duration {
	return time.Duration(w.between(int64(w.fastest), int64(w.slowest))) / 2
}

// rows is a history that records whether a row was ever changed.
type rows struct {
	mu      sync.Mutex
	closed  map[rowKey]limit.Closed
	changed bool
}

type rowKey struct {
	key, epoch string
	minute     int64
}

// PutClosed implements counter.History.
func (r *rows) PutClosed(_ context.Context, key, epoch string, row limit.Closed) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	at := rowKey{key, epoch, row.Minute}
	if before, there := r.closed[at]; there && before != row {
		r.changed = true
	}
	r.closed[at] = row
	return nil
}

// sum adds up all rows.
func (r *rows) sum() (all limit.Closed) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, row := range r.closed {
		all.PromptTokens += row.PromptTokens
		all.CompletionTokens += row.CompletionTokens
		all.Requests += row.Requests
		all.Forfeited += row.Forfeited
		all.Charged += row.Charged
	}
	return all
}

// A fate is an operation's outcome.
type fate int

const (
	fine  fate = iota
	busy       // 503, not applied
	lost       // never arrives; the caller times out
	deaf       // applied; the answer is lost
	slow       // applied after the caller has timed out
	twice      // applied, and arrives once more later
	fates
)

var errBusy = errors.New("503 Server Busy")

// A faultyLink is one instance's connection to the network's store. It
// implements counter.Store and counter.History.
type faultyLink struct {
	network *faultyNetwork
	// skew is the error of the times in its answers.
	skew time.Duration

	mu     sync.Mutex
	dead   *memstore.Store // receives a killed instance's operations
	paused time.Time       // until then, nothing is sent or received
}

// kill cuts an instance off for good: its later operations have no effect, but
// messages that it has sent may still arrive.
func (l *faultyLink) kill() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.dead = memstore.New(nil)
}

func (l *faultyLink) pause(d time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.paused = time.Now().Add(d)
}

func (l *faultyLink) where() (store *memstore.Store, dead bool, pause time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.dead != nil {
		return l.dead, true, 0
	}
	return l.network.store, false, time.Until(l.paused)
}

// through runs an operation on the store, and returns its answer unless a fault
// prevents it.
func (l *faultyLink) through(ctx context.Context, do func(*memstore.Store) error) error {
	w := l.network
	store, dead, pause := l.where()
	if dead {
		return do(store)
	}
	time.Sleep(max(0, pause))
	w.mu.Lock()
	w.ops++
	f := fine
	if w.faults > 0 && w.random.IntN(1000) < w.faults {
		f = 1 + fate(w.random.IntN(int(fates)-1))
	}
	w.mu.Unlock()
	time.Sleep(w.half())
	var err error
	switch f {
	case busy:
		err = errBusy
	case lost:
	case slow:
		l.later(store, do)
	default:
		err = do(store)
	}
	if f == twice {
		l.later(store, do)
	}
	if f == lost || f == deaf || f == slow {
		<-ctx.Done()
		return ctx.Err()
	}
	time.Sleep(w.half())
	return err
}

// later runs an operation some time after its caller has given up.
func (l *faultyLink) later(store *memstore.Store, do func(*memstore.Store) error) {
	after := time.Second + time.Duration(l.network.between(0, int64(4*time.Second)))
	l.network.late.Go(func() {
		time.Sleep(after)
		_ = do(store) // no one receives the answer
	})
}

// Load implements counter.Store.
func (l *faultyLink) Load(ctx context.Context, key string) (state limit.State, version counter.Version, date time.Time, err error) {
	type answer struct {
		state   limit.State
		version counter.Version
	}
	answers := make(chan answer, 2)
	err = l.through(ctx, func(s *memstore.Store) error {
		state, version, _, err := s.Load(ctx, key)
		answers <- answer{state, version}
		return err
	})
	if err != nil {
		return limit.State{}, "", l.date(), err
	}
	got := <-answers
	return got.state, got.version, l.date(), nil
}

// Swap implements counter.Store.
func (l *faultyLink) Swap(ctx context.Context, key string, state limit.State, version counter.Version) (next counter.Version, date time.Time, err error) {
	answers := make(chan counter.Version, 2)
	err = l.through(ctx, func(s *memstore.Store) error {
		next, _, err := s.Swap(ctx, key, state, version)
		answers <- next
		return err
	})
	if err == nil {
		next = <-answers
	}
	return next, l.date(), err
}

// PutClosed implements counter.History.
func (l *faultyLink) PutClosed(ctx context.Context, key, epoch string, row limit.Closed) error {
	return l.through(ctx, func(s *memstore.Store) error {
		if s != l.network.store {
			return nil // of a killed instance
		}
		return l.network.history.PutClosed(ctx, key, epoch, row)
	})
}

// date returns the time of the service's Date header, in whole seconds.
func (l *faultyLink) date() time.Time { return time.Now().Add(l.skew).Truncate(time.Second) }

// A faultyInstance is one instance of the gateway.
type faultyInstance struct {
	*counter.Counter
	link *faultyLink

	mu     sync.Mutex
	killed bool
	ends   []end // of calls
}

// end is the end of a call that had reserved tokens.
type end struct {
	at       time.Time
	reserved int64
}

func (m *faultyInstance) ended(reserved int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.ends = append(m.ends, end{time.Now(), reserved})
}

func (w *faultyNetwork) instance(skew time.Duration) *faultyInstance {
	l := &faultyLink{network: w, skew: skew}
	return &faultyInstance{link: l, Counter: counter.New(counter.Config{Store: l, History: l, Log: slog.New(slog.NewTextHandler(io.Discard, nil))})}
}

// unreportedFor bounds how long a call's end may stay unwritten while operations
// fail.
const unreportedFor = 30 * time.Second

// kill ends an instance as SIGKILL does, and returns the reservations of calls
// whose end it may not have written.
func (m *faultyInstance) kill() (unreported int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.killed = true
	m.link.kill()
	for _, end := range m.ends {
		if time.Since(end.at) < unreportedFor {
			unreported += end.reserved
		}
	}
	return unreported
}

func (m *faultyInstance) gone() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.killed
}

// close closes an instance and expects no error.
func (m *faultyInstance) close(t *testing.T) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Minute)
	defer cancel()
	if err := m.Close(ctx); err != nil {
		t.Errorf("close: got %v, want no error", err)
	}
}

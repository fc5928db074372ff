package countertest

import (
	"context"
	"errors"
	"math/rand/v2"
	"runtime"
	"sync"
	"time"

	"tollgate/handler/counter"
	"tollgate/handler/counter/memstore"
	"tollgate/handler/lease"
)

// A Network connects instances to one store. Its operations take time, and may
// fail, come late or arrive twice. Make one with NewNetwork.
type Network struct {
	Store counter.Store
	// Fastest and Slowest bound an operation's time, half of it each way.
	Fastest, Slowest time.Duration

	mu     sync.Mutex
	random *rand.Rand
	faults int // operations in a thousand that meet a fault
	begun  int64
	late   sync.WaitGroup // messages still under way
}

// NewNetwork returns a network without faults whose operations take no time.
// Its random numbers follow from the seed.
func NewNetwork(seed uint64) *Network {
	return &Network{Store: memstore.New(), random: rand.New(rand.NewPCG(seed, 1))}
}

// SetFaults makes perThousand of every 1,000 operations fail from now on, on average.
func (n *Network) SetFaults(perThousand int) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.faults = perThousand
}

// Begun returns the number of operations begun.
func (n *Network) Begun() int64 {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.begun
}

// Between returns a random number from low to high, both included.
func (n *Network) Between(low, high int64) int64 {
	n.mu.Lock()
	defer n.mu.Unlock()
	return low + n.random.Int64N(high-low+1)
}

// Pause returns a random pause between events that come at this rate.
func (n *Network) Pause(perSecond float64) time.Duration {
	n.mu.Lock()
	defer n.mu.Unlock()
	return time.Duration(n.random.ExpFloat64() / perSecond * float64(time.Second))
}

// Wait waits for the messages still under way.
func (n *Network) Wait() { n.late.Wait() }

// travel waits for half an operation.
func (n *Network) travel() {
	if n.Slowest > 0 {
		time.Sleep(time.Duration(n.Between(int64(n.Fastest), int64(n.Slowest))) / 2)
	}
}

// begin counts an operation, and draws its fate.
func (n *Network) begin() Fate {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.begun++
	if n.faults > 0 && n.random.IntN(1000) < n.faults {
		return 1 + Fate(n.random.IntN(int(fates)-1))
	}
	return Fine
}

// A Fate is the outcome of an operation.
type Fate int

// The fates.
const (
	Fine   Fate = iota
	Busy        // it is refused, and not applied
	Failed      // it is applied, and answered with an error
	Lost        // it never arrives, and its caller waits in vain
	Deaf        // it is applied, and the answer is lost
	Slow        // it is applied after its caller has given up
	Twice       // it is applied, and arrives once more later
	fates
)

// ErrBusy is the answer to an operation that is Busy or Failed.
var ErrBusy = errors.New("503 Server Busy")

// A Link is one instance's connection to the network's store.
type Link struct {
	network *Network
	// Fate, unless nil, decides the fate of an operation, "load" or "swap", in
	// place of the network.
	Fate func(operation string) Fate
	// Date, unless nil, returns the time in an answer, in place of this machine's
	// in whole seconds.
	Date func() time.Time

	mu     sync.Mutex
	dead   bool
	paused time.Time // until then, nothing is sent or received
}

var _ counter.Store = (*Link)(nil)

// Link returns a new connection.
func (n *Network) Link() *Link { return &Link{network: n} }

// Kill ends the link: goroutines end where they use it, but messages that it
// has sent may still arrive.
func (l *Link) Kill() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.dead = true
}

// Killed reports whether the link was killed.
func (l *Link) Killed() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.dead
}

// Pause stops the link for a time.
func (l *Link) Pause(d time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.paused = time.Now().Add(d)
}

func (l *Link) pause() time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	return time.Until(l.paused)
}

// date returns the time of an answer.
func (l *Link) date() time.Time {
	if l.Date != nil {
		return l.Date()
	}
	return time.Now().Truncate(time.Second)
}

// through runs an operation on the store, and returns its answer unless a
// fault prevents it.
func (l *Link) through(ctx context.Context, operation string, do func() error) error {
	l.live()
	if pause := l.pause(); pause > 0 {
		time.Sleep(pause)
	}
	fate := l.network.begin()
	if l.Fate != nil {
		fate = l.Fate(operation)
	}
	l.network.travel()
	var err error
	switch fate {
	case Busy:
		err = ErrBusy
	case Lost:
	case Slow:
		l.later(do)
	default:
		err = do()
	}
	if fate == Failed && err == nil {
		err = ErrBusy
	}
	if fate == Twice {
		l.later(do)
	}
	if fate == Lost || fate == Deaf || fate == Slow {
		<-ctx.Done()
		err = ctx.Err()
	} else {
		l.network.travel()
	}
	l.live()
	return err
}

// live ends the goroutine if the link was killed, as its process would.
func (l *Link) live() {
	if l.Killed() {
		runtime.Goexit()
	}
}

// later runs an operation some time after its caller has given up.
func (l *Link) later(do func() error) {
	after := time.Second + time.Duration(l.network.Between(0, int64(4*time.Second)))
	l.network.late.Go(func() {
		time.Sleep(after)
		_ = do() // no one receives the answer
	})
}

// Load implements counter.Store.
func (l *Link) Load(ctx context.Context, key string) (lease.Row, counter.Version, time.Time, error) {
	type answer struct {
		row     lease.Row
		version counter.Version
	}
	answers := make(chan answer, 2)
	err := l.through(ctx, "load", func() error {
		row, version, _, err := l.network.Store.Load(ctx, key)
		answers <- answer{row, version}
		return err
	})
	if err != nil {
		return lease.Row{}, "", l.date(), err
	}
	got := <-answers
	return got.row, got.version, l.date(), nil
}

// Swap implements counter.Store.
func (l *Link) Swap(ctx context.Context, key string, row lease.Row, version counter.Version) (next counter.Version, date time.Time, err error) {
	answers := make(chan counter.Version, 2)
	err = l.through(ctx, "swap", func() error {
		next, _, err := l.network.Store.Swap(ctx, key, row, version)
		answers <- next
		return err
	})
	if err == nil {
		next = <-answers
	}
	return next, l.date(), err
}

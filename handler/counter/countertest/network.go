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

// A Network connects instances to one store. Its operations take time, and may fail, arrive
// late or arrive twice. Make one with NewNetwork.
type Network struct {
	Store counter.Store
	// Fastest and Slowest bound the time of an operation. Half of it passes on each way.
	Fastest, Slowest time.Duration

	mu     sync.Mutex
	random *rand.Rand
	faults int // operations in a thousand that meet a fault
	begun  int64
	late   sync.WaitGroup // messages still under way
}

// NewNetwork returns a network of an empty store, without faults, whose operations take no
// time. The seed determines its random numbers.
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

// Interval returns a random interval between events that happen independently, perSecond
// times a second on average.
func (n *Network) Interval(perSecond float64) time.Duration {
	n.mu.Lock()
	defer n.mu.Unlock()
	return time.Duration(n.random.ExpFloat64() / perSecond * float64(time.Second))
}

// Wait waits for the messages still under way.
func (n *Network) Wait() { n.late.Wait() }

// travel takes the time of one way.
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

// A Fate determines whether an operation is applied and whether its answer arrives.
type Fate int

// The fates.
const (
	Fine         Fate = iota
	Busy              // not applied, and answered with ErrBusy
	AppliedBusy       // applied, and answered with ErrBusy
	RequestLost       // not applied, and never answered
	AnswerLost        // applied, and never answered
	AppliedLate       // applied after its caller has given up
	AppliedTwice      // applied and answered, and applied once more later
	fates
)

// ErrBusy is the store's answer to an operation that is Busy or AppliedBusy.
var ErrBusy = errors.New("503 Server Busy")

// An Operation is one use of a store.
type Operation struct {
	Swap bool // else it is a load
	Key  string
}

// An Answer holds the results of an operation except the time.
type Answer struct {
	Row     lease.Row // of a load
	Version counter.Version
	Err     error
}

// A Link is one instance's connection to the network's store. Make one with Network.Link.
type Link struct {
	network *Network
	// Fate, unless nil, decides the fate of each operation in place of the network. The time
	// that it takes is added to the operation's.
	Fate func(Operation) Fate
	// Edit, unless nil, may change each answer that arrives.
	Edit func(Operation, *Answer)
	// Date, unless nil, returns the time in an answer. Otherwise that is this machine's
	// time in whole seconds.
	Date func() time.Time

	mu     sync.Mutex
	dead   bool
	paused time.Time // until then, nothing is sent or received
}

var _ counter.Store = (*Link)(nil)

// Link returns a new connection.
func (n *Network) Link() *Link { return &Link{network: n} }

// Kill ends the link as the end of its process would: goroutines that use it end there, but
// messages that it has sent may still arrive.
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

// awaitResume waits until the link is not paused.
func (l *Link) awaitResume() {
	l.mu.Lock()
	paused := l.paused
	l.mu.Unlock()
	if d := time.Until(paused); d > 0 {
		time.Sleep(d)
	}
}

// exitIfKilled ends the goroutine if the link was killed.
func (l *Link) exitIfKilled() {
	if l.Killed() {
		runtime.Goexit()
	}
}

// answerTime returns the time in an answer.
func (l *Link) answerTime() time.Time {
	if l.Date != nil {
		return l.Date()
	}
	return time.Now().Truncate(time.Second)
}

// Load implements counter.Store.
func (l *Link) Load(ctx context.Context, key string) (lease.Row, counter.Version, time.Time, error) {
	answer := l.carry(ctx, Operation{Key: key}, func() Answer {
		row, version, _, err := l.network.Store.Load(ctx, key)
		return Answer{row, version, err}
	})
	return answer.Row, answer.Version, l.answerTime(), answer.Err
}

// Swap implements counter.Store.
func (l *Link) Swap(ctx context.Context, key string, row lease.Row, version counter.Version) (counter.Version, time.Time, error) {
	answer := l.carry(ctx, Operation{Swap: true, Key: key}, func() Answer {
		next, _, err := l.network.Store.Swap(ctx, key, row, version)
		return Answer{Version: next, Err: err}
	})
	return answer.Version, l.answerTime(), answer.Err
}

// carry carries an operation to the store, which apply applies it to, and its answer back.
func (l *Link) carry(ctx context.Context, op Operation, apply func() Answer) Answer {
	l.exitIfKilled()
	l.awaitResume()
	fate := l.network.begin()
	if l.Fate != nil {
		fate = l.Fate(op)
	}
	l.network.travel()
	answer, arrives := l.meet(fate, apply)
	if arrives {
		l.network.travel()
	} else {
		<-ctx.Done()
		answer = Answer{Err: ctx.Err()}
	}
	l.exitIfKilled()
	if l.Edit != nil && arrives {
		l.Edit(op, &answer)
	}
	return answer
}

// meet applies an operation according to its fate. It returns its answer, and whether that
// arrives.
func (l *Link) meet(fate Fate, apply func() Answer) (answer Answer, arrives bool) {
	switch fate {
	case Busy:
		return Answer{Err: ErrBusy}, true
	case AppliedBusy:
		if answer = apply(); answer.Err == nil {
			answer = Answer{Err: ErrBusy}
		}
		return answer, true
	case RequestLost:
		return Answer{}, false
	case AnswerLost:
		apply()
		return Answer{}, false
	case AppliedLate:
		l.applyLater(apply)
		return Answer{}, false
	case AppliedTwice:
		answer = apply()
		l.applyLater(apply)
		return answer, true
	default:
		return apply(), true
	}
}

// applyLater applies an operation after its caller has given up.
func (l *Link) applyLater(apply func() Answer) {
	after := time.Second + time.Duration(l.network.Between(0, int64(4*time.Second)))
	l.network.late.Go(func() {
		time.Sleep(after)
		apply()
	})
}

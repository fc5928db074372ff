package counter

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"tollgate/handler/lease"
)

// A replica is this instance's part in one counter: its agent, and what drives the agent.
type replica struct {
	counter *Counter
	key     string

	mu      sync.Mutex
	agent   lease.Agent
	waiters map[int64]waiter // by id, of calls and questions that the agent has yet to answer
	lastErr error            // of the last operation; nil: it succeeded
	running bool             // loop is running
	timer   *time.Timer      // calls wake
	firesAt time.Duration    // uptime when the timer fires; 0: it is off
	closed  chan struct{}    // closed once the agent is closing and everything is written
}

// A waiter receives the agent's answers. The replica's lock is held meanwhile. cause is the
// reason why the store is down.
type waiter interface {
	receive(answer lease.Answer, cause error)
}

func newReplica(c *Counter, key string) *replica {
	share := lease.MinReportShare + rand.Float64()*(lease.MaxReportShare-lease.MinReportShare)
	r := &replica{counter: c, key: key, agent: lease.NewAgent(share, c.config.Patience), waiters: make(map[int64]waiter), closed: make(chan struct{})}
	r.timer = time.AfterFunc(time.Hour, r.wake)
	r.timer.Stop()
	return r
}

// do passes an event to the agent, and does what follows from it.
func (r *replica) do(event func(at lease.Moment)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	at := r.counter.moment()
	event(at)
	r.proceed(at)
}

// proceed delivers the agent's news, and sees that its next step is done: by loop at once,
// or when the timer fires. The lock is held.
func (r *replica) proceed(at lease.Moment) {
	r.agent.Expire(at)
	r.deliver()
	switch due := r.agent.Due(at); {
	case due <= 0 && r.running: // loop is about to do it
	case due <= 0:
		r.running = true
		go r.loop()
	case due < lease.Never && (r.firesAt == 0 || at.Uptime+due < r.firesAt):
		due = max(due, time.Millisecond)
		r.firesAt = at.Uptime + due
		r.timer.Reset(due)
	}
	if r.agent.Closed(at) {
		r.setClosed()
	}
}

// setClosed ends the wait of Counter.Close for this replica.
func (r *replica) setClosed() {
	select {
	case <-r.closed:
	default:
		close(r.closed)
		r.timer.Stop()
	}
}

// wake has the agent proceed when the timer fires.
func (r *replica) wake() {
	r.do(func(lease.Moment) { r.firesAt = 0 })
}

// loop does the agent's steps, one after the other, until it rests.
func (r *replica) loop() {
	for {
		switch step := r.next(); step.Action {
		case lease.Read:
			r.read()
		case lease.Send:
			r.write(step)
		case lease.Rest:
			return
		}
	}
}

// next returns the agent's next step. If that is to rest, loop ends.
func (r *replica) next() lease.Step {
	r.mu.Lock()
	defer r.mu.Unlock()
	at := r.counter.moment()
	step := r.agent.Next(at, newSlotID)
	r.running = step.Action != lease.Rest
	r.proceed(at) // during an operation, the timer is for calls whose time ends before it
	return step
}

// read loads the row, and passes it to the agent.
func (r *replica) read() {
	row, version, date, err := r.counter.load(context.Background(), r.key)
	edited := errors.Is(err, ErrEdited)
	if edited || errors.Is(err, ErrNotFound) {
		err = nil
	}
	r.complete(err, func(at lease.Moment) {
		r.agent.Loaded(at, lease.Found{Row: row, Version: version, Date: date, Edited: edited, Unsure: r.counter.clock.unsure(), Epoch: newEpoch()})
	})
}

// write swaps the row, and passes the outcome to the agent.
func (r *replica) write(step lease.Step) {
	next, err := r.counter.swap(context.Background(), r.key, &step.Write.Row, step.Version)
	r.complete(err, func(at lease.Moment) { r.agent.Written(at, next) })
}

// complete ends an operation: it passes a failure, or by succeeded a success, to the agent,
// and an alert that comes of it to Config.Alert.
func (r *replica) complete(err error, succeeded func(at lease.Moment)) {
	r.mu.Lock()
	at := r.counter.moment()
	if r.lastErr = err; err == nil {
		succeeded(at)
	} else {
		r.agent.Failed(at, failureOf(err), rand.Float64())
	}
	alert := r.deliver()
	r.mu.Unlock()
	if alert.Percent > 0 {
		r.counter.config.Alert(Alert{Key: r.key, Alert: alert})
	}
}

func failureOf(err error) lease.Failure {
	switch {
	case errors.Is(err, ErrConflict):
		return lease.Conflict
	case errors.Is(err, ErrNewer):
		return lease.Newer
	}
	return lease.NoAnswer
}

// deliver passes the agent's news to the log, to Stats and to the waiters. It returns the
// alert, because that must be passed on without the lock, which is held; only the end of an
// operation brings one.
func (r *replica) deliver() lease.Alert {
	news, cause := r.agent.News(), r.lastErr
	if news.Full {
		cause = lease.ErrFull
	}
	r.logNews(&news, cause)
	tallies := &r.counter.tallies
	tallies.forfeitedLeases.Add(news.Forfeited.Leases)
	tallies.forfeited.Add(news.Forfeited.Amount)
	if news.Unknown > 0 {
		tallies.unwritten.Add(1)
	}
	for _, answer := range news.Answers {
		w := r.waiters[answer.ID]
		if !answer.DecideAgain {
			delete(r.waiters, answer.ID)
		}
		w.receive(answer, cause)
	}
	return news.Alert
}

// logNews logs what an operator must know of the agent's news.
func (r *replica) logNews(news *lease.News, cause error) {
	log := r.counter.config.Log
	if news.Repaired {
		log.Warn("a counter's row was edited, or written by a clock far ahead: it grants nothing more this minute", "counter", r.key)
	}
	if news.Unusable {
		log.Error("a counter can't be used: its calls are decided as if the store were down", "counter", r.key, "error", fmt.Sprint(cause))
	}
	if news.Unknown > 0 {
		log.Error("charges may be lost: the outcome of a write stayed unknown for an hour", "counter", r.key, "amount", news.Unknown)
	}
}

// unwritten returns the amount of charges that the agent has not written.
func (r *replica) unwritten() (amount int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.agent.Unwritten()
}

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

// A replica drives this instance's agent of one counter.
type replica struct {
	counter *Counter
	key     string

	mu      sync.Mutex
	agent   lease.Agent
	waiters map[int64]waiter // calls and questions that the agent has yet to answer
	running bool             // loop is running
	cause   error            // of the operation that failed last
	timer   *time.Timer      // wakes loop
	firesAt time.Duration    // uptime when the timer fires; 0: it is off
	closed  chan struct{}    // closed when the agent is closing and has written everything
}

// A waiter waits for the agent's answers. hear is called with the replica's lock
// held; cause says why the store is down.
type waiter interface {
	hear(answer lease.Answer, cause error)
}

func newReplica(c *Counter, key string) *replica {
	share := lease.MinReportShare + rand.Float64()*(lease.MaxReportShare-lease.MinReportShare)
	r := &replica{counter: c, key: key, agent: lease.NewAgent(share, c.config.Patience), waiters: make(map[int64]waiter), closed: make(chan struct{})}
	r.timer = time.AfterFunc(time.Hour, r.wake)
	r.timer.Stop()
	return r
}

// do gives the agent an event, and does what follows from it.
func (r *replica) do(event func(at lease.Moment)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	at := r.counter.now()
	event(at)
	r.follow(at)
}

// A caller waits for one answer.
type caller struct {
	answer lease.Answer
	cause  error
	done   chan struct{}
}

func (w *caller) hear(answer lease.Answer, cause error) {
	w.answer, w.cause = answer, cause
	close(w.done)
}

// ask gives the agent a call or a question, and waits for the answer.
func (r *replica) ask(ctx context.Context, event func(at lease.Moment, id int64) (lease.Answer, bool)) (lease.Answer, error) {
	var id int64
	var answer lease.Answer
	var w *caller
	r.do(func(at lease.Moment) {
		id = r.counter.lastID.Add(1)
		var decided bool
		if answer, decided = event(at, id); !decided {
			w = &caller{done: make(chan struct{})}
			r.waiters[id] = w
		}
	})
	if w == nil {
		return checked(answer, nil)
	}
	select {
	case <-w.done:
		return checked(w.answer, w.cause)
	case <-ctx.Done():
		r.do(func(at lease.Moment) { r.leave(at, id, w) })
		return lease.Answer{}, ctx.Err()
	}
}

// checked returns an answer, or the error of one that decides nothing.
func checked(answer lease.Answer, cause error) (lease.Answer, error) {
	if answer.Down {
		return answer, unavailable(cause)
	}
	return answer, nil
}

// unavailable returns the error of a call that the store's being down leaves
// undecided.
func unavailable(cause error) error {
	if cause == nil {
		return ErrUnavailable
	}
	return fmt.Errorf("%w: %w", ErrUnavailable, cause)
}

// leave takes a caller out of the queue. What was granted to it meanwhile goes
// back.
func (r *replica) leave(at lease.Moment, id int64, w *caller) {
	if r.agent.Leave(at, id) {
		delete(r.waiters, id)
	} else if w.answer.Held {
		r.agent.Cancel(at, w.answer.Hold)
	}
}

// follow delivers the agent's news, and starts loop or sets the timer for what
// the agent has to do. The lock is held.
func (r *replica) follow(at lease.Moment) {
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
		r.finish()
	}
}

// finish tells Close that everything is written.
func (r *replica) finish() {
	select {
	case <-r.closed:
	default:
		close(r.closed)
		r.timer.Stop()
	}
}

// wake runs when the timer fires.
func (r *replica) wake() {
	r.do(func(lease.Moment) { r.firesAt = 0 })
}

// loop does what the agent says until it rests.
func (r *replica) loop() {
	for {
		r.mu.Lock()
		at := r.counter.now()
		step := r.agent.Next(at, slotID)
		if step.Action == lease.Rest {
			r.running = false
			r.follow(at)
			r.mu.Unlock()
			return
		}
		r.deliver()
		r.mu.Unlock()
		if step.Action == lease.Read {
			r.read()
		} else {
			r.send(step)
		}
	}
}

// read reads the row.
func (r *replica) read() {
	row, version, date, err := r.counter.read(context.Background(), r.key)
	edited := errors.Is(err, ErrEdited)
	if edited || errors.Is(err, ErrNotFound) {
		err = nil
	}
	r.done(err, func(at lease.Moment) {
		r.agent.Loaded(at, lease.Found{Row: row, Version: version, Date: date, Edited: edited, Unsure: r.counter.clock.unsure(), Epoch: epochID()})
	})
}

// send sends a write.
func (r *replica) send(step lease.Step) {
	next, err := r.counter.swap(context.Background(), r.key, &step.Write.Row, step.Version)
	r.done(err, func(at lease.Moment) { r.agent.Written(at, next) })
}

// done tells the agent what became of an operation, and whom it concerns that a
// percent of the quota is used.
func (r *replica) done(err error, succeeded func(at lease.Moment)) {
	if alert := r.conclude(err, succeeded); alert.Percent > 0 {
		r.counter.config.Alert(Alert{Key: r.key, Alert: alert})
	}
}

func (r *replica) conclude(err error, succeeded func(at lease.Moment)) lease.Alert {
	r.mu.Lock()
	defer r.mu.Unlock()
	at := r.counter.now()
	if r.cause = err; err == nil {
		succeeded(at)
	} else {
		r.agent.Failed(at, failureOf(err), rand.Float64())
	}
	return r.deliver()
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

// deliver passes the agent's news on, but for an alert, which only an operation
// brings. The lock is held.
func (r *replica) deliver() lease.Alert {
	news := r.agent.News()
	cause, log := r.cause, r.counter.config.Log
	if news.Full {
		cause = lease.ErrFull
	}
	if news.Repaired {
		log.Warn("a counter's row was edited, or written by a clock far ahead: nothing more this minute", "counter", r.key)
	}
	if news.Unusable {
		log.Error("a counter can't be used: its calls are decided as if the store were down", "counter", r.key, "error", fmt.Sprint(cause))
	}
	if news.Unknown > 0 {
		log.Error("charges may be lost: the outcome of a write stayed unknown for an hour", "counter", r.key, "amount", news.Unknown)
		r.counter.stats.unwritten.Add(1)
	}
	r.counter.stats.forfeitedLeases.Add(news.Forfeited.Leases)
	r.counter.stats.forfeited.Add(news.Forfeited.Amount)
	for _, answer := range news.Answers {
		w := r.waiters[answer.ID]
		if !answer.Again {
			delete(r.waiters, answer.ID)
		}
		w.hear(answer, cause)
	}
	return news.Alert
}

// unwritten returns what the agent has not written.
func (r *replica) unwritten() (amount int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.agent.Unwritten()
}

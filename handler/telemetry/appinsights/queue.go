package appinsights

import (
	"math"
	"sync"
	"time"
)

// A queue holds payloads until they are sent. When it is full it drops the oldest first:
// alerts need recent values, and older minutes can be sent again from the usage table.
type queue struct {
	capacity int // bytes
	drop     func(payload)

	mu      sync.Mutex
	fresh   []payload // not sent yet, in order
	retries []payload // failed at least once
	size    int       // bytes of all payloads
	closed  bool
	ready   chan struct{} // has one element after a change
}

func newQueue(capacity int, drop func(payload)) *queue {
	return &queue{capacity: capacity, drop: drop, ready: make(chan struct{}, 1)}
}

// put adds new payloads.
func (q *queue) put(payloads ...payload) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.fresh = append(q.fresh, payloads...)
	q.makeRoom(payloads)
}

// putRetry adds a payload that failed.
func (q *queue) putRetry(p payload) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.retries = append(q.retries, p)
	q.makeRoom([]payload{p})
}

// makeRoom counts added payloads and drops the oldest ones beyond the capacity. The lock
// is held.
func (q *queue) makeRoom(payloads []payload) {
	for _, p := range payloads {
		q.size += len(p.packed)
	}
	for q.size > q.capacity && len(q.fresh)+len(q.retries) > 1 {
		q.drop(q.removeOldest())
	}
	q.wake()
}

// removeOldest removes the payload with the oldest items. The lock is held.
func (q *queue) removeOldest() payload {
	from, at := &q.fresh, 0
	if len(q.fresh) == 0 {
		from = &q.retries
	}
	for _, list := range []*[]payload{&q.retries, &q.fresh} {
		for i, p := range *list {
			if p.at.Before((*from)[at].at) {
				from, at = list, i
			}
		}
	}
	return q.remove(from, at)
}

// remove removes a payload from a list and releases its memory. The lock is held.
func (q *queue) remove(from *[]payload, at int) payload {
	list := *from
	p := list[at]
	if at == 0 {
		list[0] = payload{}
		*from = list[1:]
	} else {
		copy(list[at:], list[at+1:])
		list[len(list)-1] = payload{}
		*from = list[:len(list)-1]
	}
	q.size -= len(p.packed)
	return p
}

func (q *queue) wake() {
	select {
	case q.ready <- struct{}{}:
	default:
	}
}

// close makes take return false once the queue is empty.
func (q *queue) close() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed = true
	q.wake()
}

// hasDue reports whether take(accepted, …) would return a payload at once.
func (q *queue) hasDue(accepted int64) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	at, _ := q.due(accepted, time.Now())
	return len(q.fresh) > 0 || at >= 0
}

// due returns the index of the first retry that may be sent now, or -1 and the time until
// there is one. The lock is held.
func (q *queue) due(accepted int64, now time.Time) (at int, wait time.Duration) {
	wait = time.Hour
	for i, p := range q.retries {
		if !p.retryAt.After(now) || p.accepted < accepted {
			return i, 0
		}
		wait = min(wait, p.retryAt.Sub(now))
	}
	return -1, wait
}

// take waits for a payload to send: a fresh one, or else a retry whose time has come or
// that failed before the service accepted another payload. accepted is the number of
// requests that the service has accepted. take returns false when the queue is closed and
// empty. Once done is closed, take doesn't wait.
func (q *queue) take(accepted int64, done <-chan struct{}) (p payload, ok bool) {
	for {
		p, found, wait := q.next(accepted, time.Now())
		if found || wait == 0 {
			return p, found
		}
		timer := time.NewTimer(wait)
		select {
		case <-q.ready:
		case <-timer.C:
		case <-done:
			accepted = math.MaxInt64 // makes every payload due
		}
		timer.Stop()
	}
}

// next returns take's result, or how long to wait for one; 0 if the queue is closed and
// empty.
func (q *queue) next(accepted int64, now time.Time) (p payload, found bool, wait time.Duration) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.fresh) > 0 {
		return q.remove(&q.fresh, 0), true, 0
	}
	if len(q.retries) == 0 && q.closed {
		return payload{}, false, 0
	}
	at, wait := q.due(accepted, now)
	if at >= 0 {
		return q.remove(&q.retries, at), true, 0
	}
	return payload{}, false, wait
}

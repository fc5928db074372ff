package counter

import (
	"sync"
	"sync/atomic"
	"time"
)

// clock tells the service's time: never later than it is there, and late by a
// second and a round trip at most. All instances open a minute by this time,
// so that none opens it early however wrong its own clock runs. It goes on by
// monotonic time, so that setting this machine's clock changes nothing.
type clock struct {
	base  time.Time    // with its monotonic reading
	ahead atomic.Int64 // of the service's time over base's clock, at least; ns

	mu     sync.Mutex
	known  bool
	since  time.Duration // when ahead was learnt, from base
	recent time.Duration // the same over the last while only, to take ahead's place
	begun  time.Duration
}

// clockKept is how long an observation holds: clocks drift.
const clockKept = 10 * time.Minute

func (c *clock) start() { c.base = time.Now() }

// observe learns from the time that the service gave an answer.
func (c *clock) observe(date time.Time) {
	if date.IsZero() {
		return
	}
	elapsed := time.Since(c.base)
	ahead := date.Round(0).Sub(c.base.Round(0)) - elapsed
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.known || elapsed-c.begun > clockKept/2 {
		c.recent, c.begun = ahead, elapsed
	}
	c.recent = max(c.recent, ahead)
	switch {
	case !c.known || ahead >= time.Duration(c.ahead.Load()):
		c.ahead.Store(int64(ahead))
		c.since, c.known = elapsed, true
	case elapsed-c.since > clockKept:
		c.ahead.Store(int64(c.recent))
		c.since = elapsed
	}
}

// now is the service's time.
func (c *clock) now() time.Time {
	return c.base.Add(time.Since(c.base) + time.Duration(c.ahead.Load())).Round(0)
}

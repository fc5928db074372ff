package counter

import (
	"sync"
	"time"
)

// clock tells the service's time: never later than it is there, and late by a
// second and a round trip at most. All instances open a minute by this time,
// so that none opens it early however wrong its own clock runs.
type clock struct {
	mu     sync.Mutex
	ahead  time.Duration // of the service's time over this process's, at least
	since  time.Time     // when ahead was learnt
	recent time.Duration // the same over the last while only, to take ahead's place
	begun  time.Time
}

// clockKept is how long an observation holds: clocks drift.
const clockKept = 10 * time.Minute

// observe learns from the time that the service gave an answer.
func (c *clock) observe(date time.Time) {
	if date.IsZero() {
		return
	}
	now := time.Now()
	ahead := date.Sub(now)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.begun.IsZero() || now.Sub(c.begun) > clockKept/2 {
		c.recent, c.begun = ahead, now
	}
	c.recent = max(c.recent, ahead)
	switch {
	case c.since.IsZero() || ahead >= c.ahead:
		c.ahead, c.since = ahead, now
	case now.Sub(c.since) > clockKept:
		c.ahead, c.since = c.recent, now
	}
}

// now is the service's time.
func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return time.Now().Add(c.ahead)
}

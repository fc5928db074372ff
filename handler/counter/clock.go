package counter

import (
	"sync"
	"sync/atomic"
	"time"
)

// A clock returns Table Storage's time, never ahead of the service's clock, and
// behind it by at most a second and a round trip. All instances open a minute
// by this time, so none opens it early, however wrong its own clock is. It
// advances by monotonic time, so setting this machine's clock changes
// nothing, and no single answer of the service moves it far.
type clock struct {
	local func() time.Time // this machine's time, with a monotonic reading
	base  time.Time        // local's at the start
	ahead atomic.Int64     // ns that the service's time is ahead of base's clock, at least

	mu      sync.Mutex
	known   bool // an answer has been believed
	answers int
	since   time.Duration // when ahead was learnt, since base
	recent  time.Duration // like ahead, of the last minutes only; replaces it when it is old
	begun   time.Duration
	doubt   doubt
}

// doubt is a time far from the known one that successive answers agree on.
type doubt struct {
	answers int           // 0: none
	ahead   time.Duration // the greatest of them
}

const (
	// maxClockAge: an observation is replaced after it, as clocks drift.
	maxClockAge = 10 * time.Minute
	// maxStep is the furthest that one answer may move the clock. A Date has
	// whole seconds, and an answer takes one second at most.
	maxStep = 3 * time.Second
	// confirmations is the number of successive answers that must agree, within
	// maxStep, to move the clock further.
	confirmations = 3
)

func (c *clock) start(local func() time.Time) {
	if local == nil {
		local = time.Now
	}
	c.local, c.base = local, local()
}

// observe learns from the date of an answer.
func (c *clock) observe(date time.Time) {
	if date.IsZero() {
		return
	}
	elapsed := c.local().Sub(c.base)
	ahead := date.Round(0).Sub(c.base.Round(0)) - elapsed
	c.mu.Lock()
	defer c.mu.Unlock()
	c.answers++
	known := time.Duration(c.ahead.Load())
	switch {
	case near(ahead, known):
		c.doubt = doubt{}
		c.learn(ahead, elapsed)
	case c.doubt.confirm(ahead):
		c.set(c.doubt.ahead, elapsed)
	}
}

// unsure reports whether the first answers contradict this machine's clock,
// and more are needed to know which is wrong.
func (c *clock) unsure() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return !c.known && c.doubt.answers > 0 && c.answers < 2*confirmations
}

func near(a, b time.Duration) bool { return (a - b).Abs() <= maxStep }

// confirm adds an answer, and reports whether enough of them agree.
func (d *doubt) confirm(ahead time.Duration) bool {
	if d.answers == 0 || !near(ahead, d.ahead) {
		*d = doubt{1, ahead}
		return false
	}
	d.answers++
	d.ahead = max(d.ahead, ahead)
	return d.answers >= confirmations
}

// set makes a time the service's, whatever was known.
func (c *clock) set(ahead, elapsed time.Duration) {
	c.ahead.Store(int64(ahead))
	c.known, c.since, c.recent, c.begun, c.doubt = true, elapsed, ahead, elapsed, doubt{}
}

// learn refines the known time.
func (c *clock) learn(ahead, elapsed time.Duration) {
	if !c.known || elapsed-c.begun > maxClockAge/2 {
		c.recent, c.begun = ahead, elapsed
	}
	c.recent = max(c.recent, ahead)
	switch {
	case !c.known || ahead >= time.Duration(c.ahead.Load()):
		c.ahead.Store(int64(ahead))
		c.since, c.known = elapsed, true
	case elapsed-c.since > maxClockAge:
		c.ahead.Store(int64(c.recent))
		c.since = elapsed
	}
}

// now returns the service's time.
func (c *clock) now() time.Time {
	return c.base.Add(c.local().Sub(c.base) + time.Duration(c.ahead.Load())).Round(0)
}

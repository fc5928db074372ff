package counter

import (
	"sync"
	"sync/atomic"
	"time"
)

// clock tells the service's time: never later than it is there, and late by a
// second and a round trip at most. All instances open a minute by this time,
// so that none opens it early however wrong its own clock runs. It goes on by
// monotonic time, so that setting this machine's clock changes nothing, and
// no single answer of the service moves it far.
type clock struct {
	local func() time.Time // this machine's time, with a monotonic reading
	base  time.Time        // local's at the start
	ahead atomic.Int64     // of the service's time over base's clock, at least; ns

	mu      sync.Mutex
	known   bool // an answer was believed
	answers int
	since   time.Duration // when ahead was learnt, from base
	recent  time.Duration // the same over the last while only, to take ahead's place
	begun   time.Duration
	doubt   doubt
}

// doubt is a time that is far from the one known, told by answers in a row.
type doubt struct {
	answers int           // 0: none
	ahead   time.Duration // the latest that they told
}

const (
	// clockKept is how long an observation holds: clocks drift.
	maxClockAge = 10 * time.Minute
	// maxStep is how far one answer may move the clock. A Date has whole seconds, and
	// an answer takes one second at most.
	maxStep = 3 * time.Second
	// confirmed is how many answers in a row must tell the same time, within maxStep,
	// to move the clock further.
	confirmations = 3
)

func (c *clock) start(local func() time.Time) {
	if local == nil {
		local = time.Now
	}
	c.local, c.base = local, local()
}

// observe learns from the time that the service gave an answer.
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

// unsure says that the first answers tell another time than this machine's clock,
// and that more are wanted: which of them is wrong isn't known.
func (c *clock) unsure() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return !c.known && c.doubt.answers > 0 && c.answers < 2*confirmations
}

func near(a, b time.Duration) bool { return (a - b).Abs() <= maxStep }

// confirm takes in an answer, and says whether enough of them agree.
func (d *doubt) confirm(ahead time.Duration) bool {
	if d.answers == 0 || !near(ahead, d.ahead) {
		*d = doubt{1, ahead}
		return false
	}
	d.answers++
	d.ahead = max(d.ahead, ahead)
	return d.answers >= confirmations
}

// set takes a time for the service's, whatever was known.
func (c *clock) set(ahead, elapsed time.Duration) {
	c.ahead.Store(int64(ahead))
	c.known, c.since, c.recent, c.begun, c.doubt = true, elapsed, ahead, elapsed, doubt{}
}

// learn refines the time that is known.
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

// now is the service's time.
func (c *clock) now() time.Time {
	return c.base.Add(c.local().Sub(c.base) + time.Duration(c.ahead.Load())).Round(0)
}

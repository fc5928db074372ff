package counter

import (
	"sync"
	"sync/atomic"
	"time"
)

// A clock follows the store's clock by the dates of its answers. It is never ahead of the
// store's, and at most a second and a round trip behind. Every instance opens a minute by
// this time, so none opens it early, however wrong its machine's clock is.
//
// Between answers the clock advances by monotonic time, so setting the machine's clock
// changes nothing. No single answer moves it by more than maxStep.
type clock struct {
	local func() time.Time // this machine's time, with a monotonic reading
	base  time.Time        // local's at the start
	ahead atomic.Int64     // ns that the store's clock is ahead of this machine's, at least

	mu          sync.Mutex
	answers     int           // dates observed
	set         bool          // ahead was learned from an answer
	learnedAt   time.Duration // since base, when ahead was learned
	recent      time.Duration // the greatest lead observed since recentSince; it replaces ahead when that is old
	recentSince time.Duration
	candidate   candidate
}

// A candidate is a lead of the store's clock far from the one that is believed. It is adopted
// once enough successive answers agree on it.
type candidate struct {
	answers int           // 0: there is none
	ahead   time.Duration // the greatest of theirs
}

const (
	// maxClockAge is the age at which ahead is replaced, because clocks drift.
	maxClockAge = 10 * time.Minute
	// maxStep is the most by which one answer may move the clock. A date has whole
	// seconds, and an answer takes a second at most.
	maxStep = 3 * time.Second
	// confirmations is the number of successive answers that must agree within maxStep to
	// move the clock further.
	confirmations = 3
)

func (c *clock) start(local func() time.Time) {
	if local == nil {
		local = time.Now
	}
	c.local, c.base = local, local()
}

// observe learns from the date of an answer; zero: the answer had none.
func (c *clock) observe(date time.Time) {
	if date.IsZero() {
		return
	}
	elapsed := c.local().Sub(c.base)
	ahead := date.Round(0).Sub(c.base.Round(0)) - elapsed
	c.mu.Lock()
	defer c.mu.Unlock()
	c.answers++
	switch {
	case near(ahead, time.Duration(c.ahead.Load())):
		c.candidate = candidate{}
		c.refine(ahead, elapsed)
	case c.candidate.confirm(ahead):
		c.adopt(c.candidate.ahead, elapsed)
	}
}

// unsure reports whether the first answers contradict this machine's clock, and more are
// needed to know which is wrong.
func (c *clock) unsure() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return !c.set && c.candidate.answers > 0 && c.answers < 2*confirmations
}

func near(a, b time.Duration) bool { return (a - b).Abs() <= maxStep }

// confirm adds an answer, and reports whether enough of them agree.
func (d *candidate) confirm(ahead time.Duration) bool {
	if d.answers == 0 || !near(ahead, d.ahead) {
		*d = candidate{1, ahead}
		return false
	}
	d.answers++
	d.ahead = max(d.ahead, ahead)
	return d.answers >= confirmations
}

// adopt sets the clock to a confirmed candidate.
func (c *clock) adopt(ahead, elapsed time.Duration) {
	c.ahead.Store(int64(ahead))
	c.set, c.learnedAt, c.candidate = true, elapsed, candidate{}
	c.recent, c.recentSince = ahead, elapsed
}

// refine moves the clock by an answer that is near it. A greater lead is closer to the truth:
// dates are cut to seconds and arrive late. A smaller one counts only once ahead is old.
func (c *clock) refine(ahead, elapsed time.Duration) {
	if !c.set || elapsed-c.recentSince > maxClockAge/2 {
		c.recent, c.recentSince = ahead, elapsed
	}
	c.recent = max(c.recent, ahead)
	switch {
	case !c.set || ahead >= time.Duration(c.ahead.Load()):
		c.ahead.Store(int64(ahead))
		c.learnedAt, c.set = elapsed, true
	case elapsed-c.learnedAt > maxClockAge:
		c.ahead.Store(int64(c.recent))
		c.learnedAt = elapsed
	}
}

// now returns the store's time.
func (c *clock) now() time.Time {
	return c.base.Add(c.local().Sub(c.base) + time.Duration(c.ahead.Load())).Round(0)
}

package model

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"tollgate/handler/limit"
)

// A state is a world at one moment: the stored counter, the instances, the
// messages under way, the calls, and separate books that the checked code
// can't see.
type state struct {
	world  *World
	broken string // the rule that the last step broke

	stored  limit.State
	exists  bool
	version int // of stored, as an ETag is

	instances []instance
	calls     []call
	orphans   []orphan // writes of instances that crashed, still on their way
	history   []row

	late, answers, crashes, reclaims, purges, deletes, misled int

	books books
}

// An instance is one process of the gateway, or a successor in its place.
type instance struct {
	ticks  int // of its clock
	astray int // ticks that the time it was given is ahead, or behind if negative
	tier   int // how many of the newer limits it knows
	ids    int // of slots, made so far
	builds int
	holder limit.Holder
	tells  []int // settled calls that the next write reports
	raised []int // calls whose raise the next write charges
	excess int64 // that the next write charges
	write  *sent // built, and not known to have landed or failed
	aged   bool  // the write's tombstone is gone: its outcome can't be found out any more
	known  *limit.State
	at     int // the version of known
	shadow *limit.Holder
}

// A sent is a write under way. It is applied only upon the version that it
// names.
type sent struct {
	body    *limit.Write
	id      string
	version int
	copies  int
	applied bool
	told    bool // its answer may yet come
	calls   []int
	raised  []int // calls whose raise it charges
	excess  int64
	landed  int // the version that it made
}

// An orphan is a write whose instance has crashed.
type orphan struct {
	sent
	open int64 // tokens that it reports
}

// A call is one call.
type call struct {
	stage    stage
	owner    int
	charge   limit.Charge
	reserved int64
	raised   bool
	beyond   int64 // charged by the raise, over the lease
	charged  int   // the minute that was charged with it, from 0; -1: none yet
	used     int64
	minute   int64
	epoch    string
	applied  bool   // it was reported to the counter
	within   string // the epoch of that counter
	free     bool   // it is charged to no limit
	lost     bool   // its instance crashed before reporting it, or the outcome can't be known
}

type stage int

const (
	open stage = iota
	settled
	cancelled
)

// net returns the tokens that a call is charged: its reservation, and once
// its usage is known, no more than that.
func (c *call) net() int64 {
	switch c.stage {
	case settled:
		return min(c.used, c.reserved)
	case cancelled:
		return 0
	}
	return c.reserved
}

// books hold the sums that the counter's numbers are checked against.
type books struct {
	covered []int64 // excess taken from the lease, by the minute charged
	excess  []int64 // excess written, by the minute charged
	tpm     []int64 // the highest limit of each minute
	highest int64   // of the minute in which newer limits were adopted last
	dropped int64   // tokens never reported: the instance ended, or its lease was reclaimed and is charged
	deleted bool
	mended  bool // an instance replaced a counter that wasn't plausible
}

func begin(w *World) *state {
	s := &state{world: w, instances: make([]instance, w.Instances)}
	minutes := w.Minutes + int(time.Duration(max(0, w.Astray+1))*w.tick()/time.Minute)
	s.books = books{covered: make([]int64, minutes), excess: make([]int64, minutes), tpm: make([]int64, minutes)}
	s.books.highest = w.Limits.TokensPerMinute
	for m := range s.books.tpm {
		s.books.tpm[m] = w.Limits.TokensPerMinute
	}
	if !w.Absent {
		s.stored, s.exists = limit.New(w.Limits, w.Start, "first"), true
		s.stored.Credit = w.credit()
	}
	return s
}

// credit returns the first minute's credit.
func (w *World) credit() int64 {
	if w.Full {
		return w.Limits.TokensPerMinute + w.Limits.Burst
	}
	return w.Limits.TokensPerMinute
}

// freshEpoch returns the epoch of a counter that an instance is about to
// make.
func (s *state) freshEpoch(i int) string {
	if s.world.Wrong == NoEpoch {
		return "first"
	}
	return fmt.Sprintf("%c%d", 'a'+i, s.instances[i].builds)
}

// clone copies what a step may change, except holders: see instance.own.
func (s *state) clone() *state {
	c := *s
	c.instances, c.calls = slices.Clone(s.instances), slices.Clone(s.calls)
	c.orphans, c.history = slices.Clone(s.orphans), slices.Clone(s.history)
	for i := range c.instances {
		c.instances[i].tells = slices.Clone(c.instances[i].tells)
		c.instances[i].raised = slices.Clone(c.instances[i].raised)
		if w := c.instances[i].write; w != nil {
			copied := *w
			c.instances[i].write = &copied
		}
	}
	c.books.covered, c.books.excess, c.books.tpm = slices.Clone(s.books.covered), slices.Clone(s.books.excess), slices.Clone(s.books.tpm)
	return &c
}

// own replaces an instance's holder by a copy that this state may change.
func (s *state) own(i int) *instance {
	p := &s.instances[i]
	p.holder = p.holder.Clone()
	if p.shadow != nil {
		shadow := p.shadow.Clone()
		p.shadow = &shadow
	}
	return p
}

// now returns an instance's time: a few seconds into a tick.
func (s *state) now(i int) time.Time {
	return s.world.time(s.instances[i].ticks + s.instances[i].astray)
}

func (w *World) tick() time.Duration {
	if w.Tick == 0 {
		return time.Minute
	}
	return w.Tick
}

func (w *World) time(ticks int) time.Time {
	return w.Start.Add(time.Duration(ticks)*w.tick() + 5*time.Second)
}

// minute returns a minute's number in the world, from 0.
func (w *World) minute(window int64) int { return int(window - limit.Minute(w.Start)) }

func (s *state) limits(i int) limit.Limits {
	if tier := s.instances[i].tier; tier > 0 {
		return s.world.Newer[tier-1]
	}
	return s.world.Limits
}

// etag returns the stored version; -1: there is none.
func (s *state) etag() int {
	if !s.exists {
		return -1
	}
	return s.version
}

// read returns the stored counter, or a new one if there is none, or a
// repaired one if it is implausible.
func (s *state) read(i int) limit.State {
	if !s.exists {
		return limit.New(s.limits(i), s.now(i), s.freshEpoch(i))
	}
	if !s.stored.Plausible(s.now(i)) {
		s.books.mended = true
		s.file()
		repaired := s.stored.Repaired(s.limits(i), s.now(i), s.freshEpoch(i))
		if s.world.Wrong == GivenTwice {
			repaired.Given = nil
		}
		return repaired
	}
	return s.stored
}

// fail records that an invariant is broken. In a world that looks for one
// harm, others don't count.
func (s *state) fail(invariant, format string, args ...any) {
	if s.broken == "" && (s.world.Harm == "" || s.world.Harm == invariant) {
		s.broken = invariant + ": " + fmt.Sprintf(format, args...)
	}
}

// String describes a state in a line.
func (s *state) String() string {
	var text strings.Builder
	st := &s.stored
	fmt.Fprintf(&text, "window %d credit %d spent %d period %d slots [%s]", s.world.minute(st.Window), st.Credit, st.Spent, st.PeriodSpent,
		limit.FormatSlots(st.Slots, st.Window))
	for i := range s.instances {
		h := look(&s.instances[i].holder)
		fmt.Fprintf(&text, " | %d: at %d left %d consumed %d refunds %d excess %d", i, s.instances[i].ticks, h.left, h.consumed, h.refunds, h.excess)
		if s.instances[i].write != nil {
			text.WriteString(" writing")
		}
	}
	return text.String()
}

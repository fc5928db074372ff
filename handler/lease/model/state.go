package model

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"tollgate/handler/lease"
	"tollgate/handler/limit"
)

// A state is a world at one moment: the stored rows, the instances with their agents,
// the messages on their way, the calls, and the books, which the code that is checked
// can't see.
type state struct {
	world  *World
	broken string // the promise that the last step broke

	rows      []stored
	instances []instance
	calls     []call
	messages  []message // writes that nobody waits for any more
	down      bool      // the store is
	tries     int       // operations that have failed because the store was down
	happened  Trouble   // number of each fault so far
	books     []books   // one a counter
	outage    outage
	questions []question
}

// stored is a row as the store has it.
type stored struct {
	row     lease.Row
	exists  bool
	version int // changes with each write, as an ETag does
}

// etag returns the row's version; empty: there is no row.
func (s *stored) etag() lease.Version {
	if !s.exists {
		return ""
	}
	return lease.Version(strconv.Itoa(s.version))
}

// put stores a row, which gets a new version.
func (s *stored) put(row lease.Row) {
	s.row, s.exists = row, true
	s.version++
}

// An instance is one process of the gateway; after a crash, the one in its place.
type instance struct {
	at         int           // index of its clock's time in the world's Times
	clockError time.Duration // by which its time is ahead
	uptime     time.Duration
	tier       int // number of the world's Newer limits that it knows
	ids        int // number of slot ids and epochs that it has made
	stage      stage
	parts      []part // one a counter
	aged       bool   // an hour has passed since it built its write in flight
}

// A stage says how far an instance has come in stopping.
type stage int

const (
	serving stage = iota
	closing
	closed
)

// A part is an instance's part in one counter.
type part struct {
	agent    lease.Agent
	op       *operation   // under way
	landed   bool         // the write in flight has taken effect
	unfrozen *lease.Agent // in the variant NoFreeze: the agent before it built the write in flight
}

// An operation is under way, and its instance waits for the answer.
type operation struct {
	action lease.Action
	write  *lease.Write
	upon   lease.Version
	done   bool          // it has taken effect at the store, and its answer is on its way
	made   lease.Version // the version that a write gave the row; empty: it conflicted
	found  lease.Found   // what a read found
}

// A message is a write that nobody waits for any more and that may still arrive.
type message struct {
	counter, instance int
	write             *lease.Write
	upon              lease.Version
	orphan            int64 // amount that it charges, if its instance has crashed
}

// A call is one call, at one or more counters.
type call struct {
	owner     int
	ask       int64
	arrivedAt int // index of the instance's time in the world's Times
	wait      time.Duration
	onDown    limit.StoreDown
	phase     phase
	needs     []need // one a counter
	raised    bool
	used      int64
	crashed   bool             // its instance has crashed
	joint     *lease.JointCall // if it needs several counters; nil: it needs one
	woken     bool             // an agent has answered it, so it must decide again
}

// A phase says what has become of a call.
type phase int

const (
	waiting phase = iota
	open
	refused // or undecidable, or cancelled
	left
	settled
)

// A need is a call's part in one counter.
type need struct {
	heard       []lease.Answer // answers to a joint call since it last decided
	refusalSeen bool           // one of these said that it doesn't fit
	answered    bool
	hold        lease.Hold
	held        bool
	degraded    bool
	reserved    int64 // amount reserved without the store, or by a raise
	minute      int64 // the minute that is charged
	uncharged   bool  // it goes on in shadow, charged to no limit
}

// books are the sums that a counter's numbers are checked against.
type books struct {
	covered    map[int64]int64 // excess taken from leases, by minute
	excess     map[int64]int64 // excess written, by minute
	perMinutes []adoption      // the limits of the minute, as they were adopted
	forfeited  int64           // amount of leases that stay spent
	dropped    int64           // amount never reported: its instance ended, or its lease was reclaimed and is charged
	alerts     []int           // percents of the quota for which there was an alert
	deleted    bool            // someone deleted the row
	repaired   bool            // an instance replaced a row that wasn't plausible
}

// An adoption is a limit of the minute, and the first minute for which it applied.
type adoption struct{ from, perMinute int64 }

// begin returns the first state of a world.
func begin(w *World) *state {
	n := max(1, w.Counters)
	s := &state{world: w, instances: make([]instance, w.Instances), rows: make([]stored, n), books: make([]books, n)}
	for c := range s.rows {
		s.books[c] = books{covered: map[int64]int64{}, excess: map[int64]int64{}, perMinutes: []adoption{{0, w.Limits.PerMinute}}}
		if !w.Absent {
			row := lease.New(w.Limits, w.Start, "first")
			row.Credit = w.credit()
			s.rows[c] = stored{row: row, exists: true}
		}
	}
	for i := range s.instances {
		s.start(i)
	}
	return s
}

// start starts an instance's agents.
func (s *state) start(i int) {
	s.instances[i].parts = make([]part, len(s.rows))
	for c := range s.instances[i].parts {
		s.instances[i].parts[c].agent = lease.NewAgent(0.75, s.world.patience())
	}
}

// patience returns the agents' patience.
func (w *World) patience() time.Duration {
	if w.Patience == 0 {
		return time.Hour
	}
	return w.Patience
}

// credit returns the first minute's credit.
func (w *World) credit() int64 {
	if w.Full || w.Absent && w.Trouble.ClockError < 0 { // a row that is made by a clock that is behind may carry the burst
		return w.Limits.PerMinute + w.Limits.Burst
	}
	return w.Limits.PerMinute
}

// clone copies what a step may change, except agents and books: see own and bookOf.
func (s *state) clone() *state {
	c := *s
	c.rows, c.calls, c.messages, c.instances = slices.Clone(s.rows), slices.Clone(s.calls), slices.Clone(s.messages), slices.Clone(s.instances)
	for i := range c.instances {
		c.instances[i].parts = slices.Clone(c.instances[i].parts)
	}
	for i := range c.calls {
		c.calls[i].needs = slices.Clone(c.calls[i].needs)
	}
	c.books, c.questions = slices.Clone(s.books), slices.Clone(s.questions)
	return &c
}

// bookOf returns a counter's books, which this state may change.
func (s *state) bookOf(c int) *books {
	b := &s.books[c]
	covered, excess := make(map[int64]int64, len(b.covered)), make(map[int64]int64, len(b.excess))
	for k, v := range b.covered {
		covered[k] = v
	}
	for k, v := range b.excess {
		excess[k] = v
	}
	b.covered, b.excess, b.perMinutes = covered, excess, slices.Clone(b.perMinutes)
	return b
}

// own replaces an instance's agent and operation by copies that this state may change.
func (s *state) own(i, c int) *part {
	p := &s.instances[i].parts[c]
	p.agent = p.agent.Clone()
	if p.unfrozen != nil {
		shadow := p.unfrozen.Clone()
		p.unfrozen = &shadow
	}
	if p.op != nil {
		op := *p.op
		p.op = &op
	}
	return p
}

// moment returns the Moment of an event at an instance.
func (s *state) moment(i int) lease.Moment {
	n := &s.instances[i]
	return lease.Moment{Time: s.world.time(n.at).Add(n.clockError), Uptime: n.uptime + s.world.Times[n.at], Store: lease.StoreState{Down: s.down}}
}

// time returns one of the times that clocks can show.
func (w *World) time(at int) time.Time { return w.Start.Add(w.Times[at]) }

// last returns the latest time that a clock can show.
func (w *World) last() time.Time { return w.time(len(w.Times) - 1) }

// minute returns a minute's number, counted from the world's first minute.
func (w *World) minute(window int64) int64 { return window - limit.Minute(w.Start) }

// limits returns the limits that an instance knows.
func (s *state) limits(i int) limit.Limits {
	if tier := s.instances[i].tier; tier > 0 {
		return s.world.Newer[tier-1]
	}
	return s.world.Limits
}

// freshID returns an id that was never used.
func (s *state) freshID(i int) string {
	if s.world.Wrong != ReusedID {
		s.instances[i].ids++
	}
	return fmt.Sprintf("%c%d", 'a'+i, s.instances[i].ids)
}

// epoch returns the epoch of a row that an instance is about to make.
func (s *state) epoch(i int) string {
	if s.world.Wrong == NoEpoch {
		return "first"
	}
	return "e" + s.freshID(i)
}

// fail records that a check failed. In a world that looks for one harm, other checks
// don't count.
func (s *state) fail(invariant, format string, args ...any) {
	if s.broken == "" && (s.world.Harm == "" || s.world.Harm == invariant) {
		s.broken = invariant + ": " + fmt.Sprintf(format, args...)
	}
}

// String describes a state in one line.
func (s *state) String() string {
	var text strings.Builder
	for c := range s.rows {
		r := &s.rows[c].row
		fmt.Fprintf(&text, "[minute %d credit %d spent %d period %d slots %s] ", s.world.minute(r.Window), r.Credit, r.Spent, r.PeriodSpent,
			lease.FormatSlots(r.Slots, r.Window))
		for i := range s.instances {
			h := holdingOf(&s.instances[i].parts[c].agent)
			fmt.Fprintf(&text, "| %d: at %d left %d consumed %d refunds %d excess %d open %d ", i, s.instances[i].at, h.left, h.reserved, h.refunds, h.excess, h.open)
			if op := s.instances[i].parts[c].op; op != nil {
				fmt.Fprintf(&text, "(%s) ", []string{"rest", "reading", "writing"}[op.action])
			}
		}
	}
	for i := range s.calls {
		fmt.Fprintf(&text, "| call %d: %s ", i, []string{"waits", "open", "refused", "left", "settled"}[s.calls[i].phase])
	}
	return text.String()
}

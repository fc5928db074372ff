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

// A state is a world at one moment: the stored rows, the instances with their
// agents, the messages under way, the calls, and separate books that the
// checked code can't see.
type state struct {
	world  *World
	broken string // the rule that the last step broke

	rows      []stored
	instances []instance
	calls     []call
	messages  []message // writes that nobody waits for any more
	down      bool      // the store
	tries     int       // operations that have failed because it is down
	happened  Trouble   // what has happened so far
	books     []books   // of each counter
	outage    outage
	questions []question
}

// A stored counter.
type stored struct {
	row     lease.Row
	exists  bool
	version int // as an ETag is
}

// etag returns the version; empty: there is no row.
func (s *stored) etag() lease.Version {
	if !s.exists {
		return ""
	}
	return lease.Version(strconv.Itoa(s.version))
}

func (s *stored) put(row lease.Row) {
	s.row, s.exists = row, true
	s.version++
}

// A node is one process of the gateway, or a successor in its place.
type instance struct {
	at         int           // of its clock, in the world's times
	clockError time.Duration // that the time it is given is ahead
	uptime     time.Duration
	tier       int // how many of the newer limits it knows
	ids        int // of slots and epochs, made so far
	stage      stage
	parts      []part // one a counter
	aged       bool   // an hour has passed since its write in flight
}

type stage int

const (
	serving stage = iota
	closing
	closed
)

// A part is a node's part in one counter.
type part struct {
	agent    lease.Agent
	op       *operation // under way
	landed   bool       // the write in flight has taken effect
	unfrozen *lease.Agent
}

// An operation is under way, and its node waits for the answer.
type operation struct {
	action lease.Action
	write  *lease.Write
	upon   lease.Version
	done   bool          // it has taken effect at the store, and the answer is under way
	made   lease.Version // by a write; empty: it conflicted
	found  lease.Found   // by a read
}

// A message is a write that may still arrive.
type message struct {
	counter, instance int
	write             *lease.Write
	upon              lease.Version
	orphan            int64 // tokens that it charges, if its node has crashed
}

// A call is one call, at one or more counters.
type call struct {
	owner     int
	ask       int64
	arrivedAt int // the node's place in time
	wait      time.Duration
	onDown    limit.StoreDown
	phase     phase
	needs     []need // one a counter
	raised    bool
	used      int64
	crashed   bool             // its node has crashed
	joint     *lease.JointCall // what it needs of several counters; nil: it needs one
	woken     bool             // an agent has told it to decide again
}

type phase int

const (
	waiting phase = iota
	open
	refused // or not decided, or cancelled for another counter's refusal
	left
	settled
)

// A need is what a call asks of one counter.
type need struct {
	heard       []lease.Answer // to a joint call, since it last decided
	refusalSeen bool           // such an answer said that it does not fit
	answered    bool
	hold        lease.Hold
	held        bool
	degraded    bool
	reserved    int64 // net of what a lease covers later
	minute      int64 // that is charged
	uncharged   bool  // by a variant
}

// books hold the sums that a counter's numbers are checked against.
type books struct {
	covered    map[int64]int64 // excess taken from leases, by minute
	excess     map[int64]int64 // excess written, by minute
	perMinutes []adoption      // limits, as they were adopted
	forfeited  int64           // tokens of leases that count as spent for good
	dropped    int64           // tokens never reported: the instance ended, or its lease was reclaimed and is charged
	alerts     []int           // percents of the quota
	deleted    bool
	repaired   bool // an instance replaced a counter that wasn't plausible
}

// An adoption of the limit of a minute.
type adoption struct{ from, perMinute int64 }

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

// start starts a node's agents.
func (s *state) start(i int) {
	s.instances[i].parts = make([]part, len(s.rows))
	for c := range s.instances[i].parts {
		s.instances[i].parts[c].agent = lease.NewAgent(0.75, s.world.patience())
	}
}

func (w *World) patience() time.Duration {
	if w.Patience == 0 {
		return time.Hour
	}
	return w.Patience
}

// credit returns the first minute's credit.
func (w *World) credit() int64 {
	if w.Full || w.Absent && w.Trouble.ClockError < 0 { // a row made by a clock that is behind may carry the burst
		return w.Limits.PerMinute + w.Limits.Burst
	}
	return w.Limits.PerMinute
}

// clone copies what a step may change, except agents: see state.own.
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

// own replaces a node's agent by a copy that this state may change. The write in
// flight is copied with it, so the operation's must be looked up again.
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

// moment returns when an event happens at a node.
func (s *state) moment(i int) lease.Moment {
	n := &s.instances[i]
	return lease.Moment{Time: s.world.time(n.at).Add(n.clockError), Uptime: n.uptime + s.world.Times[n.at], Store: lease.StoreState{Down: s.down}}
}

func (w *World) time(at int) time.Time { return w.Start.Add(w.Times[at]) }

// last returns the latest time that a clock may show.
func (w *World) last() time.Time { return w.time(len(w.Times) - 1) }

// minute returns a minute's number in the world, from 0.
func (w *World) minute(window int64) int64 { return window - limit.Minute(w.Start) }

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

// epoch returns the epoch of a counter that a node is about to make.
func (s *state) epoch(i int) string {
	if s.world.Wrong == NoEpoch {
		return "first"
	}
	return "e" + s.freshID(i)
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

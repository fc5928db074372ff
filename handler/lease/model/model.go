// Package model proves package lease in small worlds. A breadth-first search
// drives the agents that instances run, through every interleaving of calls,
// queues, reads, writes, lost and late answers, outages, stops, crashes and
// clock errors that a world allows, and checks the promises in every state it
// reaches. In worlds that leave a rule out (Wrong), the same search must find
// the harm: that shows that it can.
//
// Start with World and Search; worlds.go lists the worlds, steps.go what may
// happen, check.go what must hold.
package model

import (
	"fmt"
	"runtime"
	"strings"
	"sync"
	"time"

	"tollgate/handler/limit"
)

// A World bounds a search: what exists, and how often each thing may happen.
type World struct {
	Name      string
	Counters  int // that each call needs, 0 for 1: all have the same limits
	Instances int
	Clocks
	Tiers

	Callers  Callers
	Trouble  Trouble
	Full     bool // the first minute begins with all that may be carried
	Absent   bool // the counters aren't there at first
	Patience time.Duration

	Wrong Wrong  // the rule that is left out
	Harm  string // the only invariant that counts; empty: all do
}

// Clocks are how far times go.
type Clocks struct {
	Start time.Time       // of the first minute
	Times []time.Duration // since Start, to which clocks go one by one
	Skew  int             // steps that two clocks may be apart
}

// Tiers are the limits.
type Tiers struct {
	Limits limit.Limits
	Newer  []limit.Limits // the tier as it is changed later
}

// Manners are a tier's rules for calls that don't fit.
type Policy struct {
	MaxWait time.Duration
	OnDown  []limit.StoreDown // empty: closed
	Shadow  bool              // calls that are refused go on, charged to no limit
}

// Callers are what calls do.
type Callers struct {
	Policy
	Calls     int     // in all
	Questions int     // for standings, in all
	Asks      []int64 // that a call may reserve
	// Elsewhere is what a call that needs several counters asks of all but the
	// first; 0: the same.
	AskElsewhere int64
	MinAsk       int64   // that a call can do with; 0: it needs all
	AlertAt      []int   // percents of the quota that are told
	Uses         []int64 // that a call may use; empty: each amount up to what it holds
	Excess       int64   // that a call may take beyond its hold
	Raise        int64   // that an open call may be charged beyond its hold
	Cancel       bool    // calls may be given up
	Leave        bool    // callers may leave while they wait
}

// Trouble is how often each fault may happen.
type Trouble struct {
	Faults     int           // operations without an answer; their writes may land later, or never
	Slow       int           // operations whose answer comes later than they take effect
	Outages    int           // of the store
	Stops      int           // of instances, as on SIGTERM
	Crashes    int           // each is followed by a start anew
	Reclaims   int           // of a slot at any time, whatever its expiry
	Purges     int           // of a tombstone
	Deletes    int           // of the whole counter
	WrongTimes int           // times that an instance is given a wrong time
	ClockError time.Duration // by which such a time is ahead, or behind where below zero
}

// A Result is the outcome of a search.
type Result struct {
	States    int      // distinct ones
	Depth     int      // the most steps to one
	Violation string   // the first; empty: none
	Path      []string // the steps to it
}

func (r Result) String() string {
	if r.Violation == "" {
		return fmt.Sprintf("%d states, %d steps deep, no rule broken", r.States, r.Depth)
	}
	return fmt.Sprintf("%s, after %d states and the steps\n\t%s", r.Violation, r.States, strings.Join(r.Path, "\n\t"))
}

// An origin is the step that led to a state, to show the path to a violation.
type origin struct {
	parent int32
	step   step
}

// Search visits every reachable state of a world, and stops at the first that
// breaks a rule.
func (w *World) Search() Result {
	first := begin(w)
	seen := map[uint64]struct{}{first.key(): {}}
	origins := []origin{{parent: -1}}
	level, ids := []*state{first}, []int32{0}
	result := Result{}
	for len(level) > 0 {
		var next []*state
		var nextIDs []int32
		for i, s := range level {
			for _, step := range s.steps() {
				after, done := s.after(step)
				if !done {
					continue
				}
				if after.broken == "" {
					after.check()
				}
				if key := after.key(); after.broken == "" {
					if _, known := seen[key]; known {
						continue
					}
					seen[key] = struct{}{}
				}
				origins = append(origins, origin{ids[i], step})
				if after.broken != "" {
					result.States, result.Violation = len(seen), after.broken
					result.Path = pathToLast(first, origins)
					return result
				}
				next, nextIDs = append(next, after), append(nextIDs, int32(len(origins)-1))
			}
			level[i] = nil
		}
		if len(next) > 0 {
			result.Depth++
		}
		level, ids = next, nextIDs
	}
	result.States = len(seen)
	return result
}

// way returns the steps to the last state found.
func pathToLast(first *state, origins []origin) []string {
	var steps []step
	for at := int32(len(origins) - 1); at > 0; at = origins[at].parent {
		steps = append(steps, origins[at].step)
	}
	var told []string
	s := first
	for i := len(steps) - 1; i >= 0; i-- {
		s, _ = s.after(steps[i])
		told = append(told, fmt.Sprintf("%-22v %v", steps[i], s))
	}
	return told
}

// Exhaust searches worlds, as many at a time as there are processors. It
// returns each result, and the number of distinct states in all.
func Exhaust(worlds []World) (results []Result, states int) {
	results = make([]Result, len(worlds))
	var group sync.WaitGroup
	slots := make(chan struct{}, runtime.GOMAXPROCS(0))
	for i := range worlds {
		group.Go(func() {
			slots <- struct{}{}
			results[i] = worlds[i].Search()
			<-slots
		})
	}
	group.Wait()
	for _, r := range results {
		states += r.States
	}
	return results, states
}

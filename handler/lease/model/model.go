// Package model proves package lease in small worlds. A world has a few instances,
// calls and faults. A breadth-first search drives the agents that instances run through
// every interleaving of calls, queues, reads, writes, lost and late answers, outages,
// stops, crashes and clock errors that the world allows, and checks the promises in each
// state that it reaches. To show that the search can find harm, it must find some in
// each world that leaves out a rule (Wrong).
//
// Start with World and Search. worlds.go lists the worlds, steps.go the steps from one
// state to the next, and check.go what must hold in each state: checks named I1 to I7 are
// of amounts, Q1 to Q5 of queues, S1 and S2 of standings. progress.go checks Q5, that agents
// come to rest.
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
	Counters  int // that each call needs, with the same limits; 0: one
	Instances int
	Clocks
	Tiers

	Callers  Callers
	Trouble  Trouble
	Full     bool          // the first minute begins with the burst
	Absent   bool          // the counters don't exist at first
	Patience time.Duration // of the agents; 0: an hour

	Wrong Wrong  // the rule that is left out
	Harm  string // the only check that is made; empty: all are
}

// Clocks are the times that the instances' clocks can show.
type Clocks struct {
	Start time.Time       // of the first minute
	Times []time.Duration // since Start; each clock goes from one to the next
	Skew  int             // the most of these steps between two clocks
}

// Tiers are the counters' limits, and how they change.
type Tiers struct {
	Limits limit.Limits
	Newer  []limit.Limits // that replace them, one after the other
}

// Policy is a tier's rules for calls that don't fit.
type Policy struct {
	MaxWait time.Duration
	OnDown  []limit.StoreDown // empty: closed
	Shadow  bool              // refused calls go on, charged to no limit
}

// Callers says what calls do.
type Callers struct {
	Policy
	Calls     int     // number of calls
	Questions int     // number of questions for standings
	Asks      []int64 // amounts that a call may ask for
	// AskElsewhere is the amount that a call that needs several counters asks of all
	// but the first; 0: the same.
	AskElsewhere int64
	MinAsk       int64   // smallest amount that a call can do with; 0: it needs all
	AlertAt      []int   // percents of the quota that have an alert
	Uses         []int64 // amounts that a call may use; empty: each up to what it holds
	Excess       int64   // most that a call may use beyond its hold
	Raise        int64   // amount that an open call may be charged beyond its hold
	Cancel       bool    // open calls may be cancelled
	Leave        bool    // callers may leave while they wait
}

// Trouble says how often each fault may happen.
type Trouble struct {
	Faults     int           // operations without an answer; their writes may be applied later, or never
	Slow       int           // operations whose answer comes some steps after they take effect
	Outages    int           // of the store
	Stops      int           // of instances, as on SIGTERM
	Crashes    int           // of instances; another one starts in the place of each
	Reclaims   int           // of a slot at any time, whatever its expiry
	Purges     int           // of a tombstone that has expired
	Deletes    int           // of a counter's row
	WrongTimes int           // of an instance's clock
	ClockError time.Duration // by which a wrong time is ahead; below zero: behind
}

// A Result is the outcome of a search.
type Result struct {
	States    int      // number of distinct states
	Depth     int      // the most steps to any of them
	Violation string   // the first promise that was broken, and how; empty: none
	Path      []string // the steps to it, with the states that they lead to
}

// String describes the result: the violation with its path, or the size of the search.
func (r Result) String() string {
	if r.Violation == "" {
		return fmt.Sprintf("%d states, %d steps deep, no promise broken", r.States, r.Depth)
	}
	return fmt.Sprintf("%s, after %d states and the steps\n\t%s", r.Violation, r.States, strings.Join(r.Path, "\n\t"))
}

// An origin is the step that led to a state, and the state before it.
type origin struct {
	parent int32
	step   step
}

// Search visits every reachable state of a world, and stops at the first that breaks a
// promise.
func (w *World) Search() Result {
	first := begin(w)
	seen := map[uint64]int32{first.key(): 0} // states by their keys
	origins := []origin{{parent: -1}}        // of each state
	level, numbers := []*state{first}, []int32{0}
	result, graph := Result{}, &moveGraph{}
	for len(level) > 0 {
		var next []*state
		var nextNumbers []int32
		for i, s := range level {
			for _, step := range s.steps() {
				after, done := s.after(step)
				if !done {
					continue
				}
				if after.broken == "" {
					after.check()
				}
				number := int32(len(origins))
				if after.broken == "" {
					key := after.key()
					known, visited := seen[key]
					if visited {
						graph.add(numbers[i], step, known)
						continue
					}
					seen[key] = number
					graph.add(numbers[i], step, number)
				}
				origins = append(origins, origin{numbers[i], step})
				if after.broken != "" {
					result.States, result.Violation = len(seen), after.broken
					result.Path = pathTo(first, origins)
					return result
				}
				next, nextNumbers = append(next, after), append(nextNumbers, number)
			}
			level[i] = nil
		}
		if len(next) > 0 {
			result.Depth++
		}
		if result.Depth > maxDepth {
			result.Violation, result.Path = fmt.Sprintf("Q5: got more than %d steps", maxDepth), pathTo(first, origins)
			return result
		}
		level, numbers = next, nextNumbers
	}
	result.States = len(seen)
	result.checkRest(w, first, origins, graph)
	return result
}

// pathTo returns the steps to the last of these states.
func pathTo(first *state, origins []origin) []string {
	var steps []step
	for at := int32(len(origins) - 1); at > 0; at = origins[at].parent {
		steps = append(steps, origins[at].step)
	}
	var lines []string
	s := first
	for i := len(steps) - 1; i >= 0; i-- {
		s, _ = s.after(steps[i])
		lines = append(lines, fmt.Sprintf("%-22v %v", steps[i], s))
	}
	return lines
}

// Exhaust searches worlds, as many at a time as there are processors. It returns the
// result of each, and the sum of their states.
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

package model

import (
	"fmt"
	"slices"
	"time"
)

// maxDepth bounds the steps to a state. In a world whose agents never come to rest, and
// count something meanwhile, a search would not end.
const maxDepth = 200

// urgent reports whether the driver of an agent makes such a step at once. No time passes
// meanwhile.
func (k kind) urgent() bool {
	return slices.Contains([]kind{decide, proceed, complete, answer}, k)
}

// A move is an urgent step to the state with this number.
type move struct {
	step step
	to   int32
}

// A moveGraph holds the urgent steps between the states of a search. It shows whether
// agents come to rest (Q5): if its moves form no circle, they do so after a bounded number
// of steps from any state, in whichever order these are made.
type moveGraph struct {
	moves [][]move // from each state
	seen  []bool   // states from which a circle was looked for
	path  []move   // to the state being looked at
}

// add adds a step between two states, if it is urgent.
func (g *moveGraph) add(from int32, step step, to int32) {
	for len(g.moves) <= int(max(from, to)) {
		g.moves = append(g.moves, nil)
	}
	if step.kind.urgent() {
		g.moves[from] = append(g.moves[from], move{step, to})
	}
}

// circle looks for a circle of moves. It returns the number of a state on it, and the
// steps from there; none: there is no circle.
func (g *moveGraph) circle() (state int32, steps []step) {
	g.seen = make([]bool, len(g.moves))
	for from := range g.moves {
		g.path = []move{{to: int32(from)}}
		if g.circleFrom(int32(from)) {
			last := g.path[len(g.path)-1]
			begin := slices.IndexFunc(g.path, func(m move) bool { return m.to == last.to })
			for _, m := range g.path[begin+1:] {
				steps = append(steps, m.step)
			}
			return last.to, steps
		}
	}
	return 0, nil
}

// circleFrom reports whether the moves from a state, the last of the path, lead into a
// circle. If so, the path ends where the circle closes.
func (g *moveGraph) circleFrom(from int32) bool {
	if g.seen[from] {
		return false
	}
	for _, m := range g.moves[from] {
		closed := slices.ContainsFunc(g.path, func(before move) bool { return before.to == m.to })
		g.path = append(g.path, m)
		if closed || g.circleFrom(m.to) {
			return true
		}
		g.path = g.path[:len(g.path)-1]
	}
	g.seen[from] = true
	return false
}

// checkRest checks Q5 after a search: from each state, all agents come to rest if nothing
// but time is missing.
func (r *Result) checkRest(w *World, first *state, origins []origin, g *moveGraph) {
	at, steps := g.circle()
	if len(steps) == 0 || w.Harm != "" && w.Harm != "Q5" {
		return
	}
	r.Violation = fmt.Sprintf("Q5: the steps %v change nothing, and can be made for ever", steps)
	r.Path = pathTo(first, origins[:at+1])
}

// due returns the time until an agent has something to do; 0: now.
func (s *state) due(i, c int) time.Duration {
	p := &s.instances[i].parts[c]
	late := func(e entry) bool { return e.blocked && s.overdue(e) }
	if s.world.Wrong == DeadlineBehindClaim && p.op == nil && slices.ContainsFunc(queueOf(&p.agent), late) {
		return 0
	}
	return p.agent.Due(s.moment(i))
}

// overdue reports whether a queued call has waited for its time.
func (s *state) overdue(e entry) bool {
	k := &s.calls[e.id]
	return k.wait > 0 && !s.moment(k.owner).Time.Before(s.world.time(k.arrivedAt).Add(k.wait))
}

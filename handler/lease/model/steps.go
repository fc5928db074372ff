package model

import (
	"fmt"
	"reflect"
	"slices"
	"time"

	"tollgate/handler/lease"
)

// A kind is a kind of step.
type kind int

const (
	tick         kind = iota // a node's clock goes on
	pause                    // a node's pause before another attempt is over
	setWrongTime             // a node is given a wrong time
	setRightTime             // and the right one again
	inquire                  // someone asks for a counter's standing
	giveUp                   // and leaves before the answer
	change                   // a node hears of newer limits
	reserve                  // a call asks its counters
	decide                   // a joint call decides again
	leave                    // a caller leaves
	raise                    // an open call is charged more
	settle                   // a call ends
	cancel                   // a call is given up
	proceed                  // an agent is asked what to do next
	expire                   // while its operation is under way, a call's time is over
	complete                 // its operation takes effect and is answered
	effect                   // its operation takes effect, and the answer is under way
	answer                   // that comes
	lose                     // no answer will come; a write may still arrive
	deliver                  // a write that nobody waits for arrives
	vanish                   // or it never does
	storeFails               // the store goes down
	storeReturns             // and comes back
	stop                     // a node stops, as on SIGTERM
	exit                     // and ends, once its agents are done
	crash                    // a node ends, and another takes its place
	reclaim                  // someone takes an instance for dead
	purge                    // a tombstone is over
	remove                   // someone deletes a counter
)

var kindNames = []string{"tick", "pause", "mislead", "correct", "inquire", "give up", "change tier", "reserve", "decide", "leave", "raise", "settle", "cancel", "proceed", "expire", "complete",
	"take effect", "answer", "lose", "deliver", "vanish", "fall", "rise", "stop", "exit", "crash", "reclaim", "purge", "delete"}

// A step is one event, at the node, call or message i, and the counter or way
// c, with n tokens.
type step struct {
	kind    kind
	i, c, n int
}

func (s step) String() string { return fmt.Sprintf("%s %d/%d, %d", kindNames[s.kind], s.i, s.c, s.n) }

// steps returns the steps that may be possible in a state.
func (s *state) steps() []step {
	var all []step
	add := func(possible bool, kind kind, i, c, n int) {
		if possible {
			all = append(all, step{kind, i, c, n})
		}
	}
	for i := range s.instances {
		s.stepsOfInstance(i, add)
	}
	for c := range s.calls {
		s.stepsOfCall(c, add)
	}
	s.stepsOfQuestions(add)
	w, had := s.world, &s.happened
	for c := range s.rows {
		for i, slot := range s.rows[c].row.Slots {
			add(!slot.Gone && had.Reclaims < w.Trouble.Reclaims, reclaim, i, c, 0)
			add(slot.Gone && had.Purges < w.Trouble.Purges, purge, i, c, 0)
		}
		add(s.rows[c].exists && had.Deletes < w.Trouble.Deletes, remove, 0, c, 0)
	}
	for i := range s.messages {
		add(true, deliver, i, 0, 0)
		add(true, vanish, i, 0, 0)
	}
	add(!s.down && had.Outages < w.Trouble.Outages, storeFails, 0, 0, 0)
	add(s.down, storeReturns, 0, 0, 0)
	return all
}

// maxTries bounds the operations that fail because the store is down: agents go on
// trying for ever.
const maxTries = 2

func (s *state) stepsOfInstance(i int, add func(bool, kind, int, int, int)) {
	w, n, had := s.world, &s.instances[i], &s.happened
	// Nodes are alike: where one of them meets one such fault, let it be the first.
	chosen := i == 0 || w.Trouble.WrongTimes+w.Trouble.Stops+w.Trouble.Crashes > 1
	add(s.mayTick(i), tick, i, 0, 0)
	if n.stage == closed {
		return
	}
	add(chosen && had.WrongTimes < w.Trouble.WrongTimes && n.clockError == 0, setWrongTime, i, 0, 0)
	add(n.clockError != 0, setRightTime, i, 0, 0)
	add(n.tier < len(w.Newer), change, i, 0, 0)
	for _, ask := range w.Callers.Asks {
		for way := range max(1, len(w.Callers.OnDown)) {
			add(n.stage == serving && len(s.calls) < w.Callers.Calls, reserve, i, way, int(ask))
		}
	}
	for c := range n.parts {
		op := n.parts[c].op
		due := n.parts[c].agent.Due(s.moment(i))
		tries := !s.down || s.tries < maxTries
		add(op == nil && tries && due <= 0, proceed, i, c, 0)
		add(op == nil && tries && due > 0 && due <= longestPause && s.pausing(i, c) > 0, pause, i, c, 0)
		if op == nil {
			continue
		}
		add(due <= 0, expire, i, c, 0)
		add(!op.done, complete, i, c, 0)
		add(!op.done && !s.down && had.Slow < w.Trouble.Slow, effect, i, c, 0)
		add(op.done, answer, i, c, 0)
		add(!s.down && had.Faults < w.Trouble.Faults, lose, i, c, 0)
	}
	add(chosen && n.stage == serving && had.Stops < w.Trouble.Stops, stop, i, 0, 0)
	add(n.stage == closing, exit, i, 0, 0)
	add(chosen && had.Crashes < w.Trouble.Crashes, crash, i, 0, 0)
}

func (s *state) stepsOfCall(n int, add func(bool, kind, int, int, int)) {
	w, c := s.world, &s.calls[n]
	if c.crashed {
		return
	}
	add(c.phase == waiting && c.woken, decide, n, 0, 0)
	add(c.phase == waiting && w.Callers.Leave, leave, n, 0, 0)
	if c.phase != open {
		return
	}
	add(w.Callers.Raise > 0 && !c.raised, raise, n, 0, int(w.Callers.Raise))
	most := c.most() + w.Callers.Excess
	for _, used := range w.Callers.Uses {
		add(used >= 0 && used <= most, settle, n, 0, int(used))
	}
	for used := int64(0); len(w.Callers.Uses) == 0 && used <= most; used++ {
		add(true, settle, n, 0, int(used))
	}
	add(w.Callers.Cancel, cancel, n, 0, 0)
}

// most returns what a call is held for in any counter.
func (c *call) most() (most int64) {
	for i := range c.needs {
		most = max(most, c.needs[i].counted())
	}
	return most
}

func (s *state) mayTick(i int) bool {
	next := s.instances[i].at + 1
	if next >= len(s.world.Times) {
		return false
	}
	return !slices.ContainsFunc(s.instances, func(n instance) bool { return next > n.at+s.world.Skew })
}

// longestPause is longer than any pause of an agent before another attempt.
const longestPause = 6 * time.Second

// pausing returns the time, by a node's uptime alone, until an agent tries
// again; 0: it doesn't wait for that.
func (s *state) pausing(i, c int) time.Duration {
	a, at := &s.instances[i].parts[c].agent, s.moment(i)
	for _, d := range []time.Duration{100 * time.Millisecond, longestPause} {
		later := at
		later.Uptime += d
		if a.Due(later) <= 0 {
			return d
		}
	}
	return 0
}

// after returns the state that a step leads to. done: the step was possible
// and changed something.
func (s *state) after(step step) (after *state, done bool) {
	c := s.clone()
	defer func() {
		if problem := recover(); problem != nil {
			c.broken = fmt.Sprint("panic: ", problem)
			after, done = c, true
		}
	}()
	return c, c.do(step)
}

func (s *state) do(step step) bool {
	i, c := step.i, step.c
	switch step.kind {
	case tick:
		s.instances[i].at++
	case pause:
		s.instances[i].uptime += s.pausing(i, c)
	case setWrongTime:
		s.happened.WrongTimes++
		s.instances[i].clockError = s.world.Trouble.ClockError
	case setRightTime:
		s.instances[i].clockError = 0
	case inquire:
		s.inquire(i, c)
	case giveUp:
		s.giveUp(i)
	case change:
		s.instances[i].tier++
	case reserve:
		s.reserve(i, int64(step.n), c)
	case decide:
		s.decide(i)
	case leave:
		s.leave(i)
	case raise:
		s.raise(i, int64(step.n))
	case settle:
		s.settle(i, int64(step.n))
	case cancel:
		s.cancel(i)
	case proceed:
		return s.proceed(i, c)
	case expire:
		s.own(i, c).agent.Expire(s.moment(i))
		s.hear(i, c)
	case complete:
		s.effect(i, c)
		s.answer(i, c)
	case effect:
		s.happened.Slow++
		s.effect(i, c)
	case answer:
		s.answer(i, c)
	case lose:
		s.happened.Faults++
		s.lose(i, c)
	case deliver:
		return s.deliver(i)
	case vanish:
		s.drop(i)
	case storeFails:
		s.storeFails()
	case storeReturns:
		s.down = false
	case stop:
		s.stop(i)
	case exit:
		return s.exit(i)
	case crash:
		s.crash(i)
	case reclaim:
		s.reclaim(c, i)
	case purge:
		return s.purge(c, i)
	case remove:
		s.remove(c)
	}
	return true
}

// proceed asks an agent what to do next.
func (s *state) proceed(i, c int) bool {
	p := s.own(i, c)
	before := p.agent.Clone()
	next := p.agent.Next(s.moment(i), func() string { return s.freshID(i) })
	if next.Action != lease.Rest {
		p.op = &operation{action: next.Action, write: next.Write, upon: next.Version}
	}
	if s.world.Wrong == AlertsEarly && next.Action == lease.Send {
		s.noteAlert(c, int(reflect.ValueOf(next.Write).Elem().FieldByIndex(writeAlert).Int()))
	}
	if s.world.Wrong == NoFreeze && next.Action == lease.Send {
		p.unfrozen = &before
	}
	s.hear(i, c)
	if p := &s.instances[i].parts[c]; p.op != nil && p.op.action == lease.Read && !s.mayTrouble() {
		s.effect(i, c)
		s.answer(i, c)
	}
	return true
}

// mayTrouble reports whether an operation may yet be slow or fail. Where none
// may, a read is one step: what happens while it is under way could as well
// happen before it.
func (s *state) mayTrouble() bool {
	may, had := &s.world.Trouble, &s.happened
	return had.Slow < may.Slow || had.Faults < may.Faults || s.down || had.Outages < may.Outages
}

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
	tick         kind = iota // an instance's clock moves to its next time
	pause                    // an agent's pause before another attempt ends
	setWrongTime             // an instance's clock gets a wrong time
	setRightTime             // it gets the right time again
	inquire                  // someone asks for a counter's standing
	giveUp                   // the asker leaves before the answer
	change                   // an instance learns of newer limits
	reserve                  // a call asks its counters
	decide                   // a joint call decides again
	leave                    // a caller leaves
	raise                    // an open call is charged more
	settle                   // a call ends
	cancel                   // an open call is cancelled
	proceed                  // Next is called on an agent
	expire                   // a call's time is over while its agent's operation is under way
	complete                 // an operation takes effect and is answered
	effect                   // an operation takes effect, and its answer is on its way
	answer                   // that answer comes
	lose                     // an operation's answer is lost; a write may still arrive
	deliver                  // a write arrives that nobody waits for
	vanish                   // such a write is lost
	storeFails               // the store goes down
	storeReturns             // the store comes back
	stop                     // an instance begins to stop, as on SIGTERM
	exit                     // a stopping instance ends, once its agents are done
	crash                    // an instance ends at once, and another takes its place
	reclaim                  // someone declares an instance dead
	purge                    // a tombstone is dropped
	remove                   // someone deletes a counter's row
)

var kindNames = []string{"tick", "pause", "set wrong time", "set right time", "inquire", "give up", "change tier", "reserve", "decide", "leave", "raise", "settle", "cancel", "proceed", "expire", "complete",
	"take effect", "answer", "lose", "deliver", "vanish", "store fails", "store returns", "stop", "exit", "crash", "reclaim", "purge", "delete"}

// A step is one event at instance, call, question or message i. c is the counter or, of a
// call that reserves, the index of its StoreDown; n is an amount.
type step struct {
	kind    kind
	i, c, n int
}

// String names the step and its numbers.
func (s step) String() string { return fmt.Sprintf("%s %d/%d, %d", kindNames[s.kind], s.i, s.c, s.n) }

// steps returns the steps to try in a state. Some turn out to be impossible: see after.
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
	w, happened := s.world, &s.happened
	for c := range s.rows {
		for i, slot := range s.rows[c].row.Slots {
			add(!slot.Gone && happened.Reclaims < w.Trouble.Reclaims, reclaim, i, c, 0)
			add(slot.Gone && happened.Purges < w.Trouble.Purges, purge, i, c, 0)
		}
		add(s.rows[c].exists && happened.Deletes < w.Trouble.Deletes, remove, 0, c, 0)
	}
	for i := range s.messages {
		add(true, deliver, i, 0, 0)
		add(true, vanish, i, 0, 0)
	}
	add(!s.down && happened.Outages < w.Trouble.Outages, storeFails, 0, 0, 0)
	add(s.down, storeReturns, 0, 0, 0)
	return all
}

// maxTries bounds the operations that fail because the store is down, as agents never
// stop trying.
const maxTries = 2

// stepsOfInstance adds the steps of an instance and its agents.
func (s *state) stepsOfInstance(i int, add func(bool, kind, int, int, int)) {
	w, n, happened := s.world, &s.instances[i], &s.happened
	// Instances are alike: if only one such fault may happen, let it happen to the first.
	chosen := i == 0 || w.Trouble.WrongTimes+w.Trouble.Stops+w.Trouble.Crashes > 1
	add(s.mayTick(i), tick, i, 0, 0)
	if n.stage == closed {
		return
	}
	add(chosen && happened.WrongTimes < w.Trouble.WrongTimes && n.clockError == 0, setWrongTime, i, 0, 0)
	add(n.clockError != 0, setRightTime, i, 0, 0)
	add(n.tier < len(w.Newer), change, i, 0, 0)
	for _, ask := range w.Callers.Asks {
		for mode := range max(1, len(w.Callers.OnDown)) {
			add(n.stage == serving && len(s.calls) < w.Callers.Calls, reserve, i, mode, int(ask))
		}
	}
	for c := range n.parts {
		op := n.parts[c].op
		due := s.due(i, c)
		tries := !s.down || s.tries < maxTries
		add(op == nil && tries && due <= 0, proceed, i, c, 0)
		add(op == nil && tries && due > 0 && due <= longestPause && s.pausing(i, c) > 0, pause, i, c, 0)
		if op == nil {
			continue
		}
		add(slices.ContainsFunc(queueOf(&n.parts[c].agent), s.overdue), expire, i, c, 0)
		add(!op.done, complete, i, c, 0)
		add(!op.done && !s.down && happened.Slow < w.Trouble.Slow, effect, i, c, 0)
		add(op.done, answer, i, c, 0)
		add(!s.down && happened.Faults < w.Trouble.Faults, lose, i, c, 0)
	}
	add(chosen && n.stage == serving && happened.Stops < w.Trouble.Stops, stop, i, 0, 0)
	add(n.stage == closing, exit, i, 0, 0)
	add(chosen && happened.Crashes < w.Trouble.Crashes, crash, i, 0, 0)
}

// stepsOfCall adds the steps of a call.
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

// most returns the most that a call holds in any counter.
func (c *call) most() (most int64) {
	for i := range c.needs {
		most = max(most, c.needs[i].counted())
	}
	return most
}

// mayTick reports whether an instance's clock may move to its next time.
func (s *state) mayTick(i int) bool {
	next := s.instances[i].at + 1
	if next >= len(s.world.Times) {
		return false
	}
	return !slices.ContainsFunc(s.instances, func(n instance) bool { return next > n.at+s.world.Skew })
}

// longestPause is longer than any pause of an agent before another attempt.
const longestPause = 6 * time.Second

// pausing returns the uptime that must pass until an agent tries an operation again; 0:
// it isn't waiting for that.
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

// after returns the state that a step leads to. done reports whether the step was
// possible.
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

// do makes a step. It returns false if the step is impossible.
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
		s.checkOverdue(i, c)
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

// proceed calls Next on an agent, and begins the operation that it returns.
func (s *state) proceed(i, c int) bool {
	p := s.own(i, c)
	before := p.agent.Clone()
	next := p.agent.Next(s.moment(i), func() string { return s.freshID(i) })
	switch {
	case next.Action != lease.Rest:
		p.op = &operation{action: next.Action, write: next.Write, upon: next.Version}
	case s.due(i, c) <= 0:
		s.fail("Q5", "an agent rests, and has something to do at once")
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

// mayTrouble reports whether an operation may yet be slow or fail. If none may, a read
// is a single step: whatever happens while it is under way could as well happen before
// it.
func (s *state) mayTrouble() bool {
	may, happened := &s.world.Trouble, &s.happened
	return happened.Slow < may.Slow || happened.Faults < may.Faults || s.down || happened.Outages < may.Outages
}

package model

import (
	"reflect"
	"slices"

	"tollgate/handler/lease"
)

// effect makes an operation take effect at the store.
func (s *state) effect(i, c int) {
	op := s.own(i, c).op
	op.done = true
	if s.down {
		return
	}
	if op.action == lease.Read {
		op.found = s.find(i, c)
	} else if s.land(c, i, op.write, op.upon) {
		op.made = s.rows[c].etag()
		s.instances[i].parts[c].landed = true
	}
}

// find returns what an instance finds when it reads a counter.
func (s *state) find(i, c int) lease.Found {
	at := s.moment(i)
	found := lease.Found{Date: at.Time, Epoch: s.epoch(i)}
	if s.rows[c].exists {
		found.Row, found.Version = s.misread(i, c, s.rows[c].row), s.rows[c].etag()
	}
	return found
}

// land stores a write if the counter is still the version that it names.
func (s *state) land(c, i int, w *lease.Write, upon lease.Version) bool {
	at := &s.rows[c]
	if upon != at.etag() {
		return false
	}
	next, b := w.Row, s.bookOf(c)
	if at.exists && next.Window < at.row.Window && next.Epoch == at.row.Epoch {
		s.fail("I6", "got a write of minute %d, want at least the row's minute %d", s.world.minute(next.Window), s.world.minute(at.row.Window))
	}
	switch from := s.world.minute(next.Window); {
	case next.Version <= at.row.Version:
	case at.exists:
		b.perMinutes = append(b.perMinutes, adoption{min(s.world.minute(at.row.Window), from), next.PerMinute})
	case next.Version > s.world.Limits.Version:
		b.perMinutes = append(b.perMinutes, adoption{0, next.PerMinute}) // its maker may have read long ago that there is no row
	}
	amounts := amountsOf(w)
	b.excess[s.world.minute(next.Window)] += amounts.excess - amounts.undone
	b.forfeited += w.Forfeited.Amount
	if s.world.Wrong == GivenTwice {
		next.Given = nil
	}
	at.put(next)
	s.invalidate(c)
	return true
}

// answer gives an agent the answer to its operation.
func (s *state) answer(i, c int) {
	p, at := s.own(i, c), s.moment(i)
	op := p.op
	p.op = nil
	s.handle(i, c, func() {
		switch {
		case op.action == lease.Read && op.found.Date.IsZero(), op.action == lease.Send && op.made == "" && s.down:
			s.tries++
			p.agent.Failed(at, lease.NoAnswer, 0)
		case op.action == lease.Read:
			if implausible(op.found) {
				s.bookOf(c).repaired = true
			}
			p.agent.Loaded(at, op.found)
		case op.made == "":
			p.agent.Failed(at, lease.Conflict, 0)
		default:
			p.agent.Written(at, op.made)
		}
	})
}

// implausible reports whether the agent that found a row will repair it.
func implausible(found lease.Found) bool {
	return found.Version != "" && !found.Row.Plausible(found.Date)
}

// lose loses an operation's answer. A write may still arrive.
func (s *state) lose(i, c int) {
	p, at := s.own(i, c), s.moment(i)
	op := p.op
	p.op = nil
	if op.action == lease.Send && !op.done && op.upon == s.rows[c].etag() {
		s.messages = append(s.messages, message{counter: c, instance: i, write: op.write, upon: op.upon})
	}
	p.agent.Failed(at, lease.NoAnswer, 0)
	if s.world.Wrong == DoubtForgotten && op.action == lease.Send {
		s.forgetDoubt(i, c)
	}
	s.hear(i, c)
}

// deliver makes a write arrive that nobody waits for. It returns false if that changes
// nothing.
func (s *state) deliver(m int) bool {
	one := s.messages[m]
	s.messages = slices.Delete(slices.Clone(s.messages), m, m+1)
	if s.down {
		s.bookOf(one.counter).dropped += one.orphan
		return true
	}
	if p := &s.instances[one.instance].parts; one.orphan == 0 && len(*p) > 0 {
		if a := &(*p)[one.counter]; sameFlight(&a.agent, one.write) {
			a.landed = true
		}
	}
	return s.land(one.counter, one.instance, one.write, one.upon)
}

// sameFlight reports whether an agent's write in flight is this one.
func sameFlight(a *lease.Agent, w *lease.Write) bool {
	f := reflect.ValueOf(a).Elem().FieldByIndex(flight)
	return !f.IsNil() && f.Elem().FieldByIndex(writeID).String() == idOf(w) && f.Elem().FieldByIndex(writeSeq).Int() == reflect.ValueOf(w).Elem().FieldByIndex(writeSeq).Int()
}

// drop drops a write that is on its way.
func (s *state) drop(m int) {
	one := s.messages[m]
	s.messages = slices.Delete(slices.Clone(s.messages), m, m+1)
	if one.orphan != 0 {
		s.bookOf(one.counter).dropped += one.orphan
	}
}

// invalidate drops the writes on their way that can't be applied any more, as the row has
// another version.
func (s *state) invalidate(c int) {
	for m := len(s.messages) - 1; m >= 0; m-- {
		if one := &s.messages[m]; one.counter == c && one.upon != s.rows[c].etag() {
			s.drop(m)
		}
	}
}

// handle makes a change of an agent's holder, and takes the agent's News. What the agent
// drops of its amounts to report must have been charged already, or be too old to report.
func (s *state) handle(i, c int, change func()) {
	p := &s.instances[i].parts[c]
	held, before := holdingOf(&p.agent), s.unreported(i, c)-s.charges(c)
	change()
	s.noteShare(i, c)
	if !holdingOf(&p.agent).flying {
		p.landed, p.unfrozen = false, nil
	}
	s.hear(i, c)
	dropped := before - (s.unreported(i, c) - s.charges(c))
	if dropped == 0 {
		return
	}
	b := s.bookOf(c)
	b.dropped += dropped
	if b.deleted || b.repaired || s.instances[i].aged {
		return
	}
	alive := slices.ContainsFunc(s.rows[c].row.Slots, func(slot lease.Slot) bool { return slot.ID == held.id && !slot.Gone })
	if dropped > 0 && alive || dropped < 0 {
		s.fail("I2", "got %d to report dropped for no reason, want it kept", dropped)
	}
}

// charges returns what all calls are charged in a counter.
func (s *state) charges(c int) (sum int64) {
	for i := range s.calls {
		sum += s.calls[i].charge(c)
	}
	return sum
}

// unreported returns what an agent has to report that the row doesn't have yet.
func (s *state) unreported(i, c int) int64 {
	p := &s.instances[i].parts[c]
	h := holdingOf(&p.agent)
	sum := h.reserved - h.refunds + h.excess
	if h.flying {
		sum -= h.flight.undone
		if !p.landed {
			sum += h.flight.sum()
		}
	}
	return sum
}

package model

import (
	"slices"
	"time"

	"tollgate/handler/lease"
)

// crash ends a node, and starts another in its place. Its writes may still
// arrive.
func (s *state) crash(i int) {
	s.happened.Crashes++
	for c := range s.instances[i].parts {
		s.orphan(i, c)
	}
	for n := range s.calls {
		if k := &s.calls[n]; k.owner == i && !k.crashed {
			k.crashed = true
		}
	}
	for q := range s.questions {
		s.questions[q].open = s.questions[q].open && s.questions[q].owner != i
	}
	s.start(i)
	s.instances[i].stage, s.instances[i].aged = serving, false
}

// orphan gives up what a node's agent had to report. One write of its may be
// on its way.
func (s *state) orphan(i, c int) {
	p := &s.instances[i].parts[c]
	dropped, h := s.unreported(i, c), holdingOf(&p.agent)
	if h.flying && !p.landed {
		says := h.flight.sum() - h.flight.undone
		carried := slices.IndexFunc(s.messages, func(m message) bool { return m.counter == c && m.instance == i })
		if op := p.op; carried < 0 && op != nil && op.action == lease.Send && !op.done && op.upon == s.rows[c].etag() {
			s.messages = append(s.messages, message{counter: c, instance: i, write: op.write, upon: op.upon})
			carried = len(s.messages) - 1
		}
		if carried >= 0 {
			s.messages[carried].orphan = says + h.flight.undone // its node can't take that back any more
			dropped -= s.messages[carried].orphan
			for m := len(s.messages) - 1; m > carried; m-- { // copies change nothing
				if s.messages[m].counter == c && s.messages[m].instance == i {
					s.messages = slices.Delete(s.messages, m, m+1)
				}
			}
		}
	}
	s.bookOf(c).dropped += dropped
}

// stop begins to stop a node, as on SIGTERM.
func (s *state) stop(i int) {
	s.happened.Stops++
	s.instances[i].stage = closing
	for c := range s.instances[i].parts {
		s.own(i, c).agent.Close(s.moment(i))
		s.hear(i, c)
	}
}

// exit ends a node that has stopped, if it has nothing left to do.
func (s *state) exit(i int) bool {
	at := s.moment(i)
	for c := range s.instances[i].parts {
		if s.world.Wrong != NoLastWrite && !s.instances[i].parts[c].agent.Closed(at) {
			return false
		}
	}
	busy := func(k call) bool { return k.owner == i && (k.phase == open || k.woken) && !k.crashed }
	if s.world.Wrong != NoLastWrite && slices.ContainsFunc(s.calls, busy) {
		return false
	}
	for c := range s.instances[i].parts {
		if a := &s.instances[i].parts[c].agent; a.Unwritten() != 0 || holdingOf(a).left != 0 || len(queueOf(a)) > 0 {
			s.fail("SIGTERM", "node %d ended with %d tokens unwritten, %d leased, %d calls in its queue", i, a.Unwritten(), holdingOf(a).left, len(queueOf(a)))
		}
	}
	s.instances[i].stage = closed
	return true
}

// fall takes the store down. Operations under way fail.
func (s *state) storeFails() {
	s.happened.Outages++
	s.down = true
	s.outage = s.shares()
}

// reclaim lets another instance declare one dead at any time, as if its lease
// had expired long ago.
func (s *state) reclaim(c, slot int) {
	s.happened.Reclaims++
	next := s.rows[c].row.Clone()
	leased := next.Slots[slot]
	next.Slots[slot].Expiry = 0
	s.bookOf(c).forfeited += next.Reclaim("", s.world.time(0)).Amount
	switch s.world.Wrong {
	case ReclaimReturns:
		if leased.Window == next.Window {
			next.Spent -= leased.Leased
		}
		next.PeriodSpent -= leased.Leased
	case NoTombstone:
		next.SetSlots(slices.DeleteFunc(next.Slots, func(slot lease.Slot) bool { return slot.Gone }))
	}
	s.rows[c].put(next)
	s.invalidate(c)
}

// purge drops a tombstone, an hour after its instance was declared dead.
func (s *state) purge(c, slot int) bool {
	s.happened.Purges++
	next := s.rows[c].row.Clone()
	for i := range s.instances {
		p := &s.instances[i].parts[c]
		if h := holdingOf(&p.agent); h.flying && h.id == next.Slots[slot].ID {
			if p.op != nil && p.op.action == lease.Send { // no answer takes an hour
				return false
			}
			s.instances[i].aged = true
			if s.world.Callers.Raise > 0 { // nobody knows then where a raise was charged, so it can't be taken back
				s.bookOf(c).repaired = true
			}
			s.instances[i].uptime += 2 * lease.MaxDoubt
		}
	}
	next.Slots[slot].Expiry = 0
	next.Reclaim("", s.world.time(0).Add(-time.Hour))
	s.rows[c].put(next)
	s.invalidate(c)
	return true
}

// remove deletes a counter. A write that is still in doubt will be reported to
// the next one.
func (s *state) remove(c int) {
	for i := range s.instances {
		if p := &s.instances[i].parts[c]; p.landed && (p.op == nil || !p.op.done) {
			p.landed = false
		}
	}
	s.happened.Deletes++
	s.bookOf(c).deleted = true
	s.rows[c].row, s.rows[c].exists = lease.Row{}, false
	s.rows[c].version++
	s.invalidate(c)
}

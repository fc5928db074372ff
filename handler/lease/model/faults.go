package model

import (
	"slices"
	"time"

	"tollgate/handler/lease"
)

// crash ends an instance, and starts another in its place. The writes of the first may
// still arrive.
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

// orphan drops what an agent has to report, as its instance crashes. One of its writes
// may still be on its way.
func (s *state) orphan(i, c int) {
	p := &s.instances[i].parts[c]
	dropped, h := s.unreported(i, c), holdingOf(&p.agent)
	if h.flying && !p.landed {
		charged := h.flight.sum() - h.flight.undone
		carried := slices.IndexFunc(s.messages, func(m message) bool { return m.counter == c && m.instance == i })
		if op := p.op; carried < 0 && op != nil && op.action == lease.Send && !op.done && op.upon == s.rows[c].etag() {
			s.messages = append(s.messages, message{counter: c, instance: i, write: op.write, upon: op.upon})
			carried = len(s.messages) - 1
		}
		if carried >= 0 {
			s.messages[carried].orphan = charged + h.flight.undone // the instance can't take back the excess any more
			dropped -= s.messages[carried].orphan
			for m := len(s.messages) - 1; m > carried; m-- { // further copies of the write change nothing
				if s.messages[m].counter == c && s.messages[m].instance == i {
					s.messages = slices.Delete(s.messages, m, m+1)
				}
			}
		}
	}
	s.bookOf(c).dropped += dropped
}

// stop begins to stop an instance, as on SIGTERM.
func (s *state) stop(i int) {
	s.happened.Stops++
	s.instances[i].stage = closing
	for c := range s.instances[i].parts {
		s.own(i, c).agent.Close(s.moment(i))
		s.hear(i, c)
	}
}

// exit ends a stopping instance, if it has nothing left to do.
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
			s.fail("SIGTERM", "instance %d ended with %d unwritten, %d leased and %d queued calls, want none of these", i, a.Unwritten(), holdingOf(a).left, len(queueOf(a)))
		}
	}
	s.instances[i].stage = closed
	return true
}

// storeFails takes the store down. Operations under way fail.
func (s *state) storeFails() {
	s.happened.Outages++
	s.down = true
	s.outage = s.shares()
}

// reclaim declares an instance dead, as if its lease had expired long ago.
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

// purge drops a tombstone, as happens an hour after it was made. It returns false if that
// is impossible.
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
			if s.world.Callers.Raise > 0 { // nobody knows whether the raise was charged, so it can't be taken back
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

// remove deletes a counter's row. What a write of unknown outcome reported will be
// reported to the next row.
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

package model

import (
	"slices"

	"tollgate/handler/limit"
)

// crash ends an instance, and starts another in its place. Its write may
// still be applied.
func (s *state) crash(i int) {
	s.crashes++
	p := &s.instances[i]
	dropped := s.untold(i).open()
	if w := p.write; w != nil && !w.applied && w.copies > 0 {
		tells := tell(p.holder.InFlight())
		carried := tells.open()
		s.orphans = append(s.orphans, orphan{sent: *w, open: carried})
		s.orphans[len(s.orphans)-1].excess += tells.undone // its instance can't take it back any more
		dropped -= carried
	}
	s.books.dropped += dropped
	for c := range s.calls {
		if s.calls[c].owner == i && !s.calls[c].applied {
			s.calls[c].lost = true
		}
	}
	s.instances[i] = instance{ticks: p.ticks, tier: p.tier, ids: p.ids, builds: p.builds}
}

// reclaim lets another instance declare one dead at any time, as if its lease
// had expired long ago.
func (s *state) reclaim(slot int) {
	s.reclaims++
	next := s.stored.Clone()
	leased := next.Slots[slot]
	next.Slots[slot].Expiry = 0
	next.Reclaim("", s.world.time(0))
	switch s.world.Wrong {
	case ReclaimReturns:
		if leased.Window == next.Window {
			next.Spent -= leased.Leased
		}
		next.PeriodSpent -= leased.Leased
	case NoTombstone:
		next.Slots = slices.DeleteFunc(next.Slots, func(slot limit.Slot) bool { return slot.Gone })
	}
	s.store(next)
	s.invalidate()
}

// purge drops a tombstone, an hour after its instance was declared dead.
func (s *state) purge(slot int) bool {
	s.purges++
	next := s.stored.Clone()
	for i := range s.instances {
		if w := s.instances[i].write; w != nil && w.id == next.Slots[slot].ID {
			if w.told { // no answer takes an hour
				return false
			}
			s.instances[i].aged = true
		}
	}
	next.Slots[slot].Expiry = 0
	next.Reclaim("", s.world.time(0))
	s.store(next)
	s.invalidate()
	return true
}

// remove deletes the counter. A write that is still in doubt will be reported
// to the next one.
func (s *state) remove() {
	for i := range s.instances {
		if w := s.instances[i].write; w != nil && !w.told && w.applied {
			w.applied = false
			for _, c := range w.calls {
				s.calls[c].applied = false
			}
			for _, c := range w.raised {
				s.calls[c].charged = -1
			}
		}
	}
	s.deletes++
	s.books.deleted = true
	s.stored, s.exists = limit.State{}, false
	s.version++
	s.invalidate()
}

package model

import (
	"slices"

	"tollgate/handler/limit"
)

// handle lets the code change an instance's holder. Tokens to report that it
// drops must have been charged by others, or be too old to report.
func (s *state) handle(i int, change func()) {
	h := &s.instances[i].holder
	held, before := look(h), s.untold(i)
	change()
	after := s.untold(i)
	dropped := before.open() - after.open()
	s.books.dropped += dropped
	if s.books.deleted || s.books.mended || s.instances[i].aged {
		return
	}
	alive := slices.ContainsFunc(s.stored.Slots, func(slot limit.Slot) bool { return slot.ID == held.id && !slot.Gone })
	if dropped > 0 && alive || dropped < 0 {
		s.fail("I2", "%d reserved tokens were dropped without a cause", dropped)
	}
}

// untold returns what an instance still has to report.
func (s *state) untold(i int) told {
	p := &s.instances[i]
	held := look(&p.holder)
	t := told{consumed: held.consumed, refunds: held.refunds, excess: held.excess, requests: held.requests}
	flight := p.holder.InFlight()
	if flight != nil && p.write.applied {
		t.refunds += tell(flight).undone
	}
	if flight != nil && !p.write.applied {
		carried := tell(flight)
		t.consumed += carried.consumed
		t.given += carried.given
		t.refunds += carried.refunds
		t.excess += carried.excess
		t.requests += carried.requests
	}
	return t
}

// check checks all invariants.
func (s *state) check() {
	s.checkLimits()
	s.checkCalls()
	for i := range s.instances {
		s.checkLease(i)
	}
	if !s.exists {
		return
	}
	if st := &s.stored; !st.Plausible(s.world.time(1 << 20)) {
		s.fail("I2", "the counter is implausible: %+v", *st)
	}
	s.checkHistory()
	s.checkPeriod()
}

// checkLimits checks I1: the charges of a minute, of successive minutes, and
// of a period.
func (s *state) checkLimits() {
	if s.books.deleted {
		return
	}
	w := s.world
	charged := slices.Clone(s.books.covered)
	periods := make(map[int64]int64)
	for i := range s.calls {
		charged[w.minute(s.calls[i].minute)] += s.calls[i].net()
	}
	credit := w.credit()
	for m, n := range charged {
		periods[w.Limits.Period.Start(limit.MinuteStart(limit.Minute(w.Start)+int64(m))).Unix()] += n
		if w.Limits.TokensPerMinute == 0 {
			continue
		}
		if m > 0 {
			debt := s.books.excess[m-1]
			if s.books.mended { // a repaired counter may be charged a debt after a later minute was spent
				debt = 0
			}
			credit = min(s.books.tpm[m]+w.Limits.Burst, credit-charged[m-1]-debt+s.books.tpm[m])
		} else {
			credit += s.books.tpm[0] - w.Limits.TokensPerMinute
		}
		if n > max(0, credit) {
			s.fail("I1", "minute %d was charged %d of a credit of %d", m, n, credit)
		}
		sum, most := int64(0), w.Limits.Burst
		for k := m; k >= 0; k-- {
			sum += charged[k]
			most += s.books.tpm[k]
			if sum > most {
				s.fail("I1", "minutes %d to %d were charged %d, and may be %d", k, m, sum, most)
			}
		}
	}
	for _, n := range periods {
		if n > w.Limits.Quota {
			s.fail("I1", "a period was charged %d of a quota of %d", n, w.Limits.Quota)
		}
	}
}

// checkCalls checks I4 and I8: an instance reports each settled call, and no
// other.
func (s *state) checkCalls() {
	waits := make([]int, len(s.instances))
	for i := range s.calls {
		if c := &s.calls[i]; c.stage == settled && !c.applied && !c.lost {
			waits[c.owner]++
		}
	}
	for i := range s.instances {
		p := &s.instances[i]
		tells := len(p.tells)
		if p.write != nil && !p.write.applied {
			tells += len(p.write.calls)
		}
		if told := s.untold(i).requests; told != int64(tells) || tells != waits[i] {
			s.fail("I8", "instance %d has %d settlements to tell, and would tell %d", i, waits[i], told)
		}
	}
}

// checkLease is I3: what an instance holds was leased to it, and it has spent no
// more.
func (s *state) checkLease(i int) {
	p := &s.instances[i]
	held := look(&p.holder)
	if held.excess != p.excess {
		s.fail("I2", "instance %d has an excess of %d to tell, and would tell %d", i, p.excess, held.excess)
	}
	if held.left < 0 {
		s.fail("I3", "instance %d holds %d tokens", i, held.left)
	}
	if !s.exists || p.holder.LeasedTokens() == 0 {
		return
	}
	untold := s.untold(i)
	for _, slot := range s.stored.Slots {
		if slot.ID == held.id && !slot.Gone && held.left+untold.consumed+untold.given > slot.Leased {
			s.fail("I3", "instance %d holds %d and reserved %d of a lease of %d", i, held.left+untold.given, untold.consumed, slot.Leased)
		}
	}
}

// checkHistory checks I8: whatever was reported is in the counter, its outbox
// and the history exactly once.
func (s *state) checkHistory() {
	if s.books.deleted && s.books.mended { // a repaired counter has the usage of another epoch's calls
		return
	}
	requests, tokens := s.stored.Happened.Requests, s.stored.Happened.Total()
	filed := s.filed(s.stored.Epoch)
	of := func(epoch string) bool { return epoch == s.stored.Epoch || !s.books.deleted }
	for _, closed := range s.stored.Outbox {
		if !filed(closed.Minute) {
			requests, tokens = requests+closed.Requests, tokens+closed.Total()
		}
	}
	for _, row := range s.history {
		if of(row.epoch) {
			requests, tokens = requests+row.Requests, tokens+row.Total()
		}
	}
	for i := range s.calls {
		if c := &s.calls[i]; c.applied && of(c.within) {
			requests, tokens = requests-1, tokens-c.used
		}
	}
	if requests != 0 || tokens != 0 {
		s.fail("I8", "the counter and its history have %d requests and %d tokens more than were reported", requests, tokens)
	}
}

// forfeited returns all tokens that the counter counted as spent with dead
// instances.
func (s *state) forfeited() int64 {
	sum := s.stored.Happened.Forfeited
	filed := s.filed(s.stored.Epoch)
	for _, closed := range s.stored.Outbox {
		if !filed(closed.Minute) {
			sum += closed.Forfeited
		}
	}
	for _, row := range s.history {
		sum += row.Forfeited
	}
	return sum
}

// checkPeriod checks I2 with the quota's account, which knows no minutes:
// charges less refunds equal what was settled, reserved and forfeited, less
// what isn't reported yet.
func (s *state) checkPeriod() {
	if s.books.deleted || s.books.mended || s.world.turnsPeriod() {
		return
	}
	must := s.forfeited() - s.books.dropped
	for i := range s.calls {
		must += s.calls[i].net()
	}
	for m := range s.books.excess {
		must += s.books.excess[m] + s.books.covered[m]
	}
	for i := range s.instances {
		must -= s.untold(i).open()
	}
	for _, o := range s.orphans {
		must -= o.open
	}
	if s.stored.PeriodSpent != must {
		s.fail("I2", "the period was charged %d, want %d", s.stored.PeriodSpent, must)
	}
}

// turnsPeriod reports whether the world spans more than one period.
func (w *World) turnsPeriod() bool {
	last := limit.MinuteStart(limit.Minute(w.Start) + int64(w.Minutes) - 1)
	return !w.Limits.Period.Start(w.Start).Equal(w.Limits.Period.Start(last))
}

// checkDecision checks I7: a refusal means that the tokens aren't there, a
// grant that they are. It applies only while everything is known exactly: in
// the first minute, with no write in doubt and nothing forfeited.
func (s *state) checkDecision(i int, counter *limit.State, ask int64, d limit.Decision) {
	never := d.Verdict == limit.NeverFitsRate || d.Verdict == limit.NeverFitsQuota
	forfeited := s.crashes > 0 || s.forfeited()+counter.Happened.Forfeited > 0
	changed := s.books.deleted || s.books.mended || s.misled > 0 || counter.Version > s.world.Limits.Version || s.world.turnsPeriod()
	if s.world.minute(counter.Window) != 0 || never || forfeited || changed {
		return
	}
	charged := s.books.covered[0] + s.books.excess[0] + look(&s.instances[i].holder).excess
	for c := range s.calls {
		charged += s.calls[c].net()
	}
	for j := range s.instances {
		if s.instances[j].write != nil {
			return
		}
		if j != i {
			held := look(&s.instances[j].holder)
			charged += held.left + held.refunds
		}
	}
	left := min(s.world.credit(), counter.Quota) - charged
	if (d.Verdict == limit.Granted) != (ask <= left) {
		s.fail("I7", "%d tokens were decided %v while %d were left", ask, d.Verdict, left)
	}
}

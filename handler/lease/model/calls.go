package model

import (
	"slices"

	"tollgate/handler/lease"
	"tollgate/handler/limit"
)

// counted returns the amount that a call counts for in a counter until it is settled.
func (n *need) counted() int64 {
	if !n.held || n.uncharged {
		return 0
	}
	if n.degraded {
		return max(n.reserved, n.hold.Held())
	}
	return n.hold.Held()
}

// reserve begins a call, which asks all of its counters.
func (s *state) reserve(i int, ask int64, mode int) {
	w := s.world
	onDown := limit.FailClosed
	if len(w.Callers.OnDown) > 0 {
		onDown = w.Callers.OnDown[mode]
	}
	n := len(s.calls)
	s.calls = append(s.calls, call{owner: i, ask: ask, arrivedAt: s.instances[i].at, wait: w.Callers.MaxWait, onDown: onDown, needs: make([]need, len(s.rows))})
	if len(s.rows) > 1 && w.Wrong != RefusedHolds && w.Wrong != Piecemeal {
		s.reserveAll(n)
		return
	}
	for c := range s.rows {
		if s.calls[n].phase != waiting {
			break
		}
		s.ask(n, c)
	}
}

// ask asks one counter for a call.
func (s *state) ask(n, c int) {
	w, k := s.world, s.calls[n]
	at, p := s.moment(k.owner), s.own(k.owner, c)
	terms := lease.Terms{Limits: s.limits(k.owner), OnStoreDown: k.onDown, MaxWait: k.wait, AlertAt: w.Callers.AlertAt}
	asked := limit.Ask{Amount: s.asks(int64(n), c), Min: w.Callers.MinAsk, Shadow: w.Callers.Shadow}
	switch w.Wrong {
	case CheckFirst:
		s.askUnseen(n, c, terms, asked)
		return
	case WaitsTooLong:
		terms.MaxWait *= 3
	case TakesAll:
		if s.down {
			terms.PerMinute *= 4 // so that its quarter of a limit that it doesn't know is all of it
		}
	case RefusedForGood:
		if s.refusedBefore(n) {
			s.partDecided(n, c, lease.Answer{Decision: limit.Decision{Verdict: limit.RateExceeded}})
			return
		}
	case Overtakes:
		s.reserveOvertaking(n, c, terms, asked)
		return
	}
	reply, decided := p.agent.Reserve(at, int64(n), terms, asked)
	if !reply.Held && p.unfrozen != nil {
		if unfrozen, ok := p.unfrozen.Reserve(at, int64(n), terms, asked); ok && unfrozen.Held {
			p.agent.Leave(at, int64(n))
			reply, decided = unfrozen, true
		}
	}
	s.hear(k.owner, c)
	if decided {
		s.partDecided(n, c, reply)
	}
}

// hear takes an agent's News, as its driver does after each event.
func (s *state) hear(i, c int) {
	p := &s.instances[i].parts[c]
	p.agent.Expire(s.moment(i))
	news := p.agent.News()
	s.noteAlert(c, news.Alert.Percent)
	for _, reply := range news.Answers {
		if n := int(reply.ID); n >= firstQuestionID {
			s.answered(n, reply)
		} else if s.calls[n].joint == nil {
			s.partDecided(n, c, reply)
		} else if s.world.Wrong != NotWoken || !reply.DecideAgain {
			s.wake(n, c, reply)
		}
	}
}

// noteAlert records an alert for a percent of the quota.
func (s *state) noteAlert(c, percent int) {
	if percent == 0 {
		return
	}
	b := s.bookOf(c)
	if slices.Contains(b.alerts, percent) {
		s.fail("alerts", "got a second alert for %d percent, want one", percent)
	}
	b.alerts = append(slices.Clone(b.alerts), percent)
}

// partDecided handles the Answer that decides a call's part at one counter.
func (s *state) partDecided(n, c int, reply lease.Answer) {
	k := &s.calls[n]
	need := &k.needs[c]
	need.answered, need.hold, need.held = true, reply.Hold, reply.Held
	need.degraded, need.reserved = reply.Decision.Degraded, reply.Decision.Amount
	need.minute, need.uncharged = reply.Hold.Window, reply.Decision.Verdict != limit.Granted
	if need.degraded {
		need.minute = limit.Minute(s.moment(k.owner).Time)
	}
	s.checkAnswer(n, c, reply)
	switch {
	case k.phase == left && reply.Held && s.world.Wrong != LeftHolds:
		s.giveBack(n, c)
	case k.phase != waiting:
	case !reply.Held:
		k.phase = refused
		s.withdraw(n, c)
	case s.allHeld(n):
		s.calls[n].phase = open
	}
}

// allHeld reports whether a call has all of its holds.
func (s *state) allHeld(n int) bool {
	for i := range s.calls[n].needs {
		if !s.calls[n].needs[i].held {
			return false
		}
	}
	return true
}

// withdraw gives back what a call was granted by other counters than this one, and takes
// it out of their queues.
func (s *state) withdraw(n, but int) {
	for c := range s.calls[n].needs {
		switch need := s.calls[n].needs[c]; {
		case c == but:
		case need.held:
			if s.world.Wrong != RefusedHolds {
				s.giveBack(n, c)
			}
		case !need.answered:
			s.own(s.calls[n].owner, c).agent.Leave(s.moment(s.calls[n].owner), int64(n))
			s.hear(s.calls[n].owner, c)
		}
	}
}

// giveBack cancels a call's hold in one counter.
func (s *state) giveBack(n, c int) {
	k := &s.calls[n]
	hold := k.needs[c].hold
	k.needs[c].held = false
	s.own(k.owner, c).agent.Cancel(s.moment(k.owner), hold)
	s.hear(k.owner, c)
}

// leave has a caller leave while its call waits.
func (s *state) leave(n int) {
	s.calls[n].phase = left
	i := s.calls[n].owner
	if s.calls[n].joint != nil && s.world.Wrong != LeftHolds {
		s.leaveAll(n)
		return
	}
	for c := range s.calls[n].needs {
		need := s.calls[n].needs[c]
		switch {
		case need.held && s.world.Wrong != LeftHolds:
			s.giveBack(n, c)
		case !need.answered && s.world.Wrong != LeftHolds:
			s.own(i, c).agent.Leave(s.moment(i), int64(n))
			s.hear(i, c)
		}
	}
}

// settle ends a call that used this much.
func (s *state) settle(n int, used int64) {
	s.calls[n].phase, s.calls[n].used = settled, used
	i := s.calls[n].owner
	for c := range s.calls[n].needs {
		need := &s.calls[n].needs[c]
		p := s.own(i, c)
		before := holdingOf(&p.agent)
		if s.world.Wrong == OwedForgotten && need.degraded {
			p.agent.Cancel(s.moment(i), need.hold)
		} else {
			p.agent.Settle(s.moment(i), need.hold, used)
		}
		over := used - need.hold.Held()
		if covered := over - (holdingOf(&p.agent).allExcess() - before.allExcess()); over > 0 && covered > 0 && !need.uncharged {
			s.bookOf(c).covered[s.world.minute(before.window)] += covered
		}
		s.hear(i, c)
	}
}

// allExcess returns the excess that no write is known to have delivered.
func (h holding) allExcess() int64 { return h.excess + h.flight.excess - h.flight.undone }

// raise charges an open call this much more than it holds.
func (s *state) raise(n int, more int64) {
	s.calls[n].raised = true
	i := s.calls[n].owner
	for c := range s.calls[n].needs {
		need := &s.calls[n].needs[c]
		if need.uncharged {
			continue
		}
		to := need.counted() + more
		p := s.own(i, c)
		need.hold, _ = p.agent.Raise(s.moment(i), need.hold, to)
		need.reserved = max(need.reserved, to)
		s.hear(i, c)
	}
}

// cancel cancels an open call.
func (s *state) cancel(n int) {
	s.calls[n].phase = refused
	for c := range s.calls[n].needs {
		s.giveBack(n, c)
	}
}

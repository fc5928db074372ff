package model

import (
	"slices"

	"tollgate/handler/lease"
	"tollgate/handler/limit"
)

// Wrong is a rule that a world leaves out. The code stays right: the model
// falsifies what it reads, writes, asks and tells.
type Wrong int

// The rules that can be left out.
const (
	Right          Wrong = iota
	CheckFirst           // a call is checked against what is stored, and counted after it
	CarryForgets         // a new minute's credit forgets what was leased in the last
	ReclaimReturns       // a dead instance's lease is given to others
	DoubtForgotten       // a write without an answer counts as failed
	NoTombstone          // a dead instance leaves no tombstone
	NoFreeze             // what a write returns is spent until it is answered
	ReusedID             // a new instance reuses its predecessor's slot id
	RefundAnyAge         // refunds of any age are added to the minute's credit
	WindowBack           // an instance whose clock is behind sets the minute back
	NoEpoch              // a new counter can't be distinguished from the old one
	GivenTwice           // a minute that a wrong clock has given out is given again when it comes
	Overtakes            // a call that fits is served before those that queue
	WaitsTooLong         // a call waits longer than it may
	LeftHolds            // a caller that left keeps what its call is granted
	RefusedForGood       // a refusal is remembered whatever comes back
	OwedForgotten        // what was admitted without the store is not charged later
	TakesAll             // each instance takes itself for the only one
	NoLastWrite          // an instance stops without a last write
	RefusedHolds         // a call that one counter refused keeps what another granted
	Piecemeal            // a call holds what one counter grants while it asks the next
	AlertsEarly          // an instance tells what its write reaches before it is applied
	OldStanding          // a question is answered by what was known before it
	NotWoken             // a call isn't told that it can take what it waits for
)

// mistaken returns a row as a mistaken instance would read it.
func (s *state) misread(i, c int, row lease.Row) lease.Row {
	switch s.world.Wrong {
	case CarryForgets:
		row = row.Clone()
		window, leased := row.Window, row.Leased
		row.Advance(s.limits(i), s.moment(i).Time)
		if row.Window > window {
			row.Credit = min(row.Credit+leased, row.PerMinute+row.Burst)
		}
	case WindowBack:
		if minute := limit.Minute(s.moment(i).Time); minute < row.Window {
			row = row.Clone()
			row.Window, row.Credit, row.Spent = minute, row.PerMinute, 0
		}
	case RefundAnyAge:
		if h := holdingOf(&s.instances[i].parts[c].agent); h.joined && h.window < limit.Minute(s.moment(i).Time)-1 {
			row.Credit += h.left + h.flight.returned
			row.Burst += h.left + h.flight.returned
		}
	}
	return row
}

// forgetDoubt makes an agent take its write without an answer for failed.
func (s *state) forgetDoubt(i, c int) {
	p := &s.instances[i].parts[c]
	if p.landed || !holdingOf(&p.agent).flying {
		return
	}
	found := s.find(i, c)
	found.Version += "x" // another version than the write names: so it never took effect
	s.handle(i, c, func() { p.agent.Loaded(s.moment(i), found) })
}

// askUnseen admits a call that fits what is stored now, and counts it when it
// ends.
func (s *state) askUnseen(n, c int, terms lease.Terms, ask limit.Ask) {
	k := &s.calls[n]
	at := s.moment(k.owner)
	row := s.rows[c].row
	balance := row.At(row.Limits, at.Time)
	if balance.Left(row.Limits, 0) < ask.Amount {
		s.settleAnswer(n, c, lease.Answer{})
		return
	}
	at.Store.Down, terms.OnStoreDown = true, limit.FailOpen
	reply, _ := s.instances[k.owner].parts[c].agent.Reserve(at, int64(n), terms, ask)
	reply.Decision.Degraded = false
	reply.Hold.Amount, reply.Hold.Window = ask.Amount, limit.Minute(at.Time)
	s.settleAnswer(n, c, reply)
}

// overtake lets a call go before those that queue, if it can.
func (s *state) reserveOvertaking(n, c int, terms lease.Terms, ask limit.Ask) {
	k := &s.calls[n]
	a, at := &s.instances[k.owner].parts[c].agent, s.moment(k.owner)
	queue := queueOf(a)
	for _, other := range queue {
		a.Leave(at, other.id)
	}
	reply, decided := a.Reserve(at, int64(n), terms, ask)
	for _, other := range queue {
		a.Reserve(at, other.id, terms, limit.Ask{Amount: s.calls[other.id].ask})
	}
	s.hear(k.owner, c)
	if decided {
		s.settleAnswer(n, c, reply)
	}
}

// refusedBefore reports whether a call of the same node that asked for as many
// tokens or fewer was refused in this minute.
func (s *state) refusedBefore(n int) bool {
	k := &s.calls[n]
	return slices.ContainsFunc(s.calls[:n], func(o call) bool {
		return o.phase == refused && o.owner == k.owner && o.ask <= k.ask && !o.needs[0].held
	})
}

package model

import (
	"slices"

	"tollgate/handler/lease"
	"tollgate/handler/limit"
)

// Wrong is a rule that a world leaves out. The code of lease stays right: the model
// falsifies what the agents read and write, how they are called, or what they answer.
type Wrong int

// The rules that can be left out.
const (
	Right               Wrong = iota // no rule is left out
	CheckFirst                       // a call is checked against the stored row, and counted when it ends
	CarryForgets                     // a new minute's credit ignores what was leased in the last
	ReclaimReturns                   // a dead instance's lease is given to others
	DoubtForgotten                   // a write without an answer is taken for failed
	NoTombstone                      // a dead instance leaves no tombstone
	NoFreeze                         // what a write returns can be spent until the write is answered
	ReusedID                         // a new instance reuses its predecessor's slot id
	RefundAnyAge                     // refunds of any age are added to the minute's credit
	WindowBack                       // an instance whose clock is behind sets the minute back
	NoEpoch                          // a new row can't be told from the deleted one
	GivenTwice                       // a minute that a wrong clock has given out is given out again when it comes
	Overtakes                        // a call that fits is served before those that queue
	WaitsTooLong                     // a call waits longer than it may
	LeftHolds                        // a call whose caller left keeps what it is granted
	RefusedForGood                   // a refusal holds whatever comes back
	OwedForgotten                    // what was admitted without the store is never charged
	TakesAll                         // without the store, each instance admits all of a limit that it doesn't know
	NoLastWrite                      // an instance stops without a last write
	RefusedHolds                     // a call that one counter refused keeps what another granted
	Piecemeal                        // a call holds what one counter grants while it asks the next
	AlertsEarly                      // an instance gives an alert before its write is applied
	OldStanding                      // a question is answered by what was known before it was asked
	NotWoken                         // a joint call doesn't learn that it may take what it waits for
	DeadlineBehindClaim              // a call's deadline is work to do although it waits for a claim to end
)

// misread returns a row as an instance reads it that ignores the world's Wrong rule.
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

// forgetDoubt makes an agent take its write in flight for failed.
func (s *state) forgetDoubt(i, c int) {
	p := &s.instances[i].parts[c]
	if p.landed || !holdingOf(&p.agent).flying {
		return
	}
	found := s.find(i, c)
	found.Version += "x" // as if another write had been applied first
	s.handle(i, c, func() { p.agent.Loaded(s.moment(i), found) })
}

// askUnseen admits a call if it fits the stored row, and counts it when it ends.
func (s *state) askUnseen(n, c int, terms lease.Terms, ask limit.Ask) {
	k := &s.calls[n]
	at := s.moment(k.owner)
	row := s.rows[c].row
	balance := row.At(row.Limits, at.Time)
	if balance.Left(row.Limits, 0) < ask.Amount {
		s.partDecided(n, c, lease.Answer{})
		return
	}
	at.Store.Down, terms.OnStoreDown = true, limit.FailOpen
	reply, _ := s.instances[k.owner].parts[c].agent.Reserve(at, int64(n), terms, ask)
	reply.Decision.Degraded = false
	reply.Hold.Amount, reply.Hold.Window = ask.Amount, limit.Minute(at.Time)
	s.partDecided(n, c, reply)
}

// reserveOvertaking reserves a call ahead of those that queue.
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
		s.partDecided(n, c, reply)
	}
}

// refusedBefore reports whether an earlier call at the same instance, which asked for as
// much or less, was refused.
func (s *state) refusedBefore(n int) bool {
	k := &s.calls[n]
	return slices.ContainsFunc(s.calls[:n], func(o call) bool {
		return o.phase == refused && o.owner == k.owner && o.ask <= k.ask && !o.needs[0].held
	})
}

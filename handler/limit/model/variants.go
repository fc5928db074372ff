package model

import "tollgate/handler/limit"

// Wrong is a rule that a world leaves out. The code stays right: the model
// falsifies what it reads and writes.
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
)

// mistaken returns a counter as a mistaken instance would read it.
func (s *state) mistaken(i int, read limit.State) limit.State {
	switch s.world.Wrong {
	case CarryForgets:
		read = read.Clone()
		window, leased := read.Window, int64(0)
		for _, slot := range read.Slots {
			if slot.Window == window {
				leased += slot.Leased
			}
		}
		read.Advance(s.limits(i), s.now(i))
		if read.Window > window {
			read.Credit = min(read.Credit+leased, read.TokensPerMinute+read.Burst)
		}
	case WindowBack:
		if minute := limit.Minute(s.now(i)); minute < read.Window {
			read.Window, read.Credit, read.Spent = minute, read.TokensPerMinute, 0
		}
	}
	return read
}

// takeUnseen admits a call that fits what is stored now, and counts it when
// it ends.
func (s *state) takeUnseen(i int, tokens int64) bool {
	p := &s.instances[i]
	draft := p.holder.Draft(s.read(i), s.limits(i), s.now(i))
	if draft.Decide(limit.Ask{Tokens: tokens}).Verdict != limit.Granted {
		return false
	}
	s.calls = append(s.calls, call{owner: i, charge: limit.OwedCharge(), reserved: tokens, minute: draft.State.Window})
	return true
}

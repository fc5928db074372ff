package limit

import (
	"math"
	"slices"
	"time"
)

// A State is one counter, shared by all instances. It keeps two accounts:
// what limits were charged (Spent, PeriodSpent), and what calls used
// (Happened, Outbox). A reservation is charged, but is no usage. A State is a
// value: methods that change it work on copies of its slices.
type State struct {
	Limits
	Window int64 // the minute of Credit and Spent
	Credit int64 // tokens that the minute began with; below zero after overspending
	Spent  int64

	PeriodStart time.Time // zero without a quota
	PeriodSpent int64
	Periods     []Charged // other periods, to which time may return after a wrong clock

	Opened Spans // the latest minutes up to Window that got their credit
	Given  Spans // minutes from Window on whose credit a fast clock has given out already

	Happened  Happened
	UsageFrom int64    // the first minute counted in Happened
	Outbox    []Closed // minutes that are over and may not be in the history yet

	Slots []Slot
	Epoch string // random, made with the counter: a new counter owes nothing of an old one's
	Rev   int64  // counts writes
}

// New returns a counter to which nothing was charged.
func New(limits Limits, now time.Time, epoch string) State {
	minute := Minute(now)
	s := State{Limits: limits, Window: minute, Opened: Spans{{minute, minute}}, UsageFrom: minute, Credit: limits.TokensPerMinute, Epoch: epoch}
	if limits.Quota > 0 {
		s.PeriodStart = limits.Period.Start(now)
	}
	return s
}

// Clone returns a copy that may be changed.
func (s *State) Clone() State {
	copied := *s
	copied.Slots, copied.Outbox, copied.Periods = slices.Clone(s.Slots), slices.Clone(s.Outbox), slices.Clone(s.Periods)
	copied.Opened, copied.Given = slices.Clone(s.Opened), slices.Clone(s.Given)
	return copied
}

// Advance moves the counter to a time and to its tier's limits. Windows never
// go back, and older limits never replace newer ones.
func (s *State) Advance(limits Limits, now time.Time) {
	s.adopt(limits)
	if minute := Minute(now); minute > s.Window {
		s.openMinute(minute)
	}
	if start, later := s.periodSince(s.PeriodStart, s.Window); later {
		s.openPeriod(start)
	}
}

// openMinute opens a minute. A lease outstanding when a minute closes counts
// as spent in it; otherwise the same tokens could be had again from the new
// minute's credit.
func (s *State) openMinute(minute int64) {
	b := s.balance()
	b.openMinute(s.Limits, minute)
	s.closeMinute(minute)
	s.Window, s.Credit, s.Spent = b.Window, b.Credit, b.Spent
	s.Opened, s.Given = s.Opened.with(Span{minute, minute}), s.Given.since(minute)
}

// creditAfter returns a minute's credit: what was left or owed plus the new
// minutes' tokens, at most perMinute + burst.
func creditAfter(perMinute, burst, left, minutes int64) int64 {
	if perMinute == 0 {
		return 0
	}
	full := perMinute + burst
	if minutes > (full-min(left, 0))/perMinute { // enough to fill it up, and the product can't overflow
		return full
	}
	return min(full, left+minutes*perMinute)
}

// adopt replaces older limits by newer ones, without touching what was
// charged. A raise applies at once; a cut makes no debt. The time is the
// counter's own minute, which no slow clock sets back.
func (s *State) adopt(limits Limits) {
	if limits.Version <= s.Version {
		return
	}
	charged := s.Spent + s.leased()
	switch change := limits.TokensPerMinute - s.TokensPerMinute; {
	case limits.TokensPerMinute == 0:
		s.Credit = 0
	case s.TokensPerMinute == 0: // until now there was no limit to charge
		s.Credit = max(limits.TokensPerMinute, charged)
	case change < 0:
		s.Credit = max(s.Credit+change, min(s.Credit, charged))
	default: // what a cut could not take back is no credit for a raise
		s.Credit = max(s.Credit, min(s.Credit+change, limits.TokensPerMinute+limits.Burst))
	}
	switch {
	case limits.Quota == 0:
		s.PeriodStart, s.PeriodSpent, s.Periods = time.Time{}, 0, nil
	case limits.Period != s.Period || s.Quota == 0:
		s.Periods = nil
		s.PeriodStart = limits.Period.Start(MinuteStart(s.Window))
	}
	s.Limits = limits
}

// trim takes away credit beyond newly cut limits that was leased at the cut,
// once it has come back unspent.
func (s *State) trim() {
	if s.TokensPerMinute > 0 {
		s.Credit = min(s.Credit, max(s.TokensPerMinute+s.Burst, s.Spent+s.leased()))
	}
}

// leased returns the tokens that instances hold leased of the minute.
func (s *State) leased() int64 {
	var sum int64
	for i := range s.Slots {
		if s.Slots[i].Window == s.Window {
			sum += s.Slots[i].Leased
		}
	}
	return sum
}

// leasedOfPeriod returns the tokens that instances hold leased of the period,
// from any minute.
func (s *State) leasedOfPeriod() int64 {
	var sum int64
	for i := range s.Slots {
		if s.ofPeriod(s.Slots[i].Window) {
			sum += s.Slots[i].Leased
		}
	}
	return sum
}

// ofPeriod reports whether what was leased in a minute is charged to the
// running period.
func (s *State) ofPeriod(minute int64) bool {
	return s.Quota > 0 && minute >= Minute(s.PeriodStart)
}

// Unlimited is the tokens left where there is no limit: no sum
// of it with real amounts overflows.
const Unlimited = math.MaxInt64 / 8

// left returns the tokens left of the minute and of the period; below zero
// they are owed.
func (s *State) left() (minute, period int64) {
	b := s.balance()
	return b.left(s.Limits)
}

// charge charges tokens to the minute and to the period.
func (s *State) charge(tokens int64) {
	s.Spent += tokens
	if s.Quota > 0 {
		s.PeriodSpent += tokens
	}
}

// refund returns tokens to the minute and the period they were charged to.
func (s *State) refund(window int64, period time.Time, tokens int64) {
	s.refundMinute(window, tokens)
	if s.Quota > 0 && period.Equal(s.PeriodStart) {
		s.chargePeriod(-tokens)
	}
}

// chargePeriod charges tokens to the quota, or refunds them if negative. It
// stops at zero: lifting a quota drops what was charged before.
func (s *State) chargePeriod(tokens int64) { s.PeriodSpent = max(0, s.PeriodSpent+tokens) }

// refundMinute returns tokens to a minute. Tokens of the previous minute are
// added to this one's credit, as if they had been known at the turn. Older
// ones vanish: otherwise k minutes could exceed k limits.
func (s *State) refundMinute(window, tokens int64) {
	switch window {
	case s.Window:
		s.Spent -= tokens
	case s.Window - 1:
		if s.TokensPerMinute > 0 {
			s.Credit = max(s.Credit, min(s.Credit+tokens, s.TokensPerMinute+s.Burst))
		}
	}
}

// Deletable reports whether the row can be deleted without losing anything:
// no slots, no debt, no carried credit, nothing used up ahead, and nothing
// waiting for the history.
func (s *State) Deletable(now time.Time) bool {
	t := s.Clone()
	t.Advance(t.Limits, now)
	ahead := len(t.Given) > 0 || slices.ContainsFunc(t.Periods, func(c Charged) bool { return c.Start.After(t.PeriodStart) })
	return !ahead && len(t.Slots) == 0 && len(t.Outbox) == 0 && t.Happened == (Happened{}) && t.Spent == 0 &&
		t.Credit == t.TokensPerMinute && (t.Quota == 0 || t.PeriodSpent == 0)
}

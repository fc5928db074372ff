package limit

import (
	"math"
	"slices"
	"time"
)

// State is one counter, shared by all instances. What limits are charged
// (Spent, PeriodSpent) and what happened (the rest of the minute's counts) are
// two ledgers: a reservation is charged and is no usage. A State is a value: what
// changes one works on a copy of its slices.
type State struct {
	Limits
	Window int64 // the minute that Credit and Spent are of
	Credit int64 // what the minute began with: below zero after overspending
	Spent  int64

	PeriodStart time.Time // zero without a quota
	PeriodSpent int64
	Periods     []Charged // other periods, which a clock that was wrong may come back to

	Opened Spans // minutes up to Window that had its credit, the latest of them
	Given  Spans // minutes from Window on that a clock which ran ahead has given out

	Happened  Happened
	UsageFrom int64    // the minute since which Happened counts
	Outbox    []Closed // minutes that are over and not known to be in the history

	Slots []Slot
	Epoch string // random, made with the counter: a counter made anew owes nothing of the old one's
	Rev   int64  // counts writes
}

// New is a counter that nothing was charged to.
func New(limits Limits, now time.Time, epoch string) State {
	minute := Minute(now)
	s := State{Limits: limits, Window: minute, Opened: Spans{{minute, minute}}, UsageFrom: minute, Credit: limits.TokensPerMinute, Epoch: epoch}
	if limits.Quota > 0 {
		s.PeriodStart = limits.Period.Start(now)
	}
	return s
}

// Clone is a copy that may be changed.
func (s *State) Clone() State {
	copied := *s
	copied.Slots, copied.Outbox, copied.Periods = slices.Clone(s.Slots), slices.Clone(s.Outbox), slices.Clone(s.Periods)
	copied.Opened, copied.Given = slices.Clone(s.Opened), slices.Clone(s.Given)
	return copied
}

// Advance brings the counter to a time and to its tier's limits. Windows never
// go back, and older limits never replace newer ones.
func (s *State) Advance(limits Limits, now time.Time) {
	s.adopt(limits)
	if minute := Minute(now); minute > s.Window {
		s.openMinute(minute)
	}
	if s.Quota > 0 {
		if start := s.Period.Start(MinuteStart(s.Window)); start.After(s.PeriodStart) {
			s.openPeriod(start)
		}
	}
}

// turn opens a minute. A lease outstanding when a minute closes counts as spent
// in it, or the same tokens could be had from the new minute's credit too.
func (s *State) openMinute(minute int64) {
	left := s.Credit - s.Spent - s.leased()
	s.closeMinute(minute)
	s.Credit = s.Given.credit(s.Limits, left, s.Window, minute)
	s.Window, s.Spent = minute, 0
	s.Opened, s.Given = s.Opened.with(Span{minute, minute}), s.Given.since(minute)
}

// carried is a minute's credit: what was left, or owed, and what came since,
// up to the burst.
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

// adopt takes over newer limits without touching what was charged. A raise
// holds at once; a cut makes no debt. The counter's own minute tells the time,
// which no clock that lags sets back.
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

// trim takes away what a cut left the minute beyond the new limits because it
// was leased, once that has come back unspent.
func (s *State) trim() {
	if s.TokensPerMinute > 0 {
		s.Credit = min(s.Credit, max(s.TokensPerMinute+s.Burst, s.Spent+s.leased()))
	}
}

// leased is what instances hold of the minute.
func (s *State) leased() int64 {
	var sum int64
	for i := range s.Slots {
		if s.Slots[i].Window == s.Window {
			sum += s.Slots[i].Leased
		}
	}
	return sum
}

// leasedOfPeriod is what instances hold of the period, of whatever minute.
func (s *State) leasedOfPeriod() int64 {
	var sum int64
	for i := range s.Slots {
		if s.ofPeriod(s.Slots[i].Window) {
			sum += s.Slots[i].Leased
		}
	}
	return sum
}

// ofPeriod says whether what was taken in a minute is charged to the period.
func (s *State) ofPeriod(minute int64) bool {
	return s.Quota > 0 && minute >= Minute(s.PeriodStart)
}

// Unlimited stands for what is left where there is no limit, in tokens: no sum
// of it with real amounts overflows.
const Unlimited = math.MaxInt64 / 8

// left is what the minute and the period have; below zero it is owed.
func (s *State) left() (minute, period int64) {
	minute, period = Unlimited, Unlimited
	if s.TokensPerMinute > 0 {
		minute = s.Credit - s.Spent - s.leased()
	}
	if s.Quota > 0 {
		period = s.Quota - s.PeriodSpent - s.leasedOfPeriod()
	}
	return minute, period
}

// charge and refund move both limits. A refund of the minute before is added to
// this minute's credit, as it would have been had it been known at the turn;
// one that is older vanishes, or any k minutes could exceed k limits.
func (s *State) charge(tokens int64) {
	s.Spent += tokens
	if s.Quota > 0 {
		s.PeriodSpent += tokens
	}
}

func (s *State) refund(window int64, period time.Time, tokens int64) {
	s.refundMinute(window, tokens)
	if s.Quota > 0 && period.Equal(s.PeriodStart) {
		s.chargePeriod(-tokens)
	}
}

// chargePeriod adds to what the quota was charged, or takes from it: what was
// charged before a quota was lifted is no longer there to be taken from.
func (s *State) chargePeriod(tokens int64) { s.PeriodSpent = max(0, s.PeriodSpent+tokens) }

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

// Spare says that nothing is lost with the counter: nobody holds anything of it,
// nothing is owed, carried over or used up ahead, and nothing waits for the history.
func (s *State) Deletable(now time.Time) bool {
	t := s.Clone()
	t.Advance(t.Limits, now)
	ahead := len(t.Given) > 0 || slices.ContainsFunc(t.Periods, func(c Charged) bool { return c.Start.After(t.PeriodStart) })
	return !ahead && len(t.Slots) == 0 && len(t.Outbox) == 0 && t.Happened == (Happened{}) && t.Spent == 0 &&
		t.Credit == t.TokensPerMinute && (t.Quota == 0 || t.PeriodSpent == 0)
}

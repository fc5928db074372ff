package limit

import "time"

// A balance is what a counter's minute and period may still spend: their credit, what
// was charged to them, and what instances hold leased. State and View compute with the
// same one, so that no instance hands out what the counter wouldn't.
type balance struct {
	Window, Credit, Spent  int64
	PeriodStart            time.Time
	PeriodSpent            int64
	leased, leasedOfPeriod int64
	given                  Spans
}

// balance sums the counter up.
func (s *State) balance() balance {
	return balance{Window: s.Window, Credit: s.Credit, Spent: s.Spent, PeriodStart: s.PeriodStart, PeriodSpent: s.PeriodSpent,
		leased: s.leased(), leasedOfPeriod: s.leasedOfPeriod(), given: s.Given}
}

// left returns what the minute and the period have left, in tokens; below zero it is
// owed. It is Unlimited where there is no limit.
func (b *balance) left(l Limits) (minute, period int64) {
	minute, period = Unlimited, Unlimited
	if l.TokensPerMinute > 0 {
		minute = b.Credit - b.Spent - b.leased
	}
	if l.Quota > 0 {
		period = l.Quota - b.PeriodSpent - b.leasedOfPeriod
	}
	return minute, period
}

// openMinute opens a later minute. A lease outstanding when a minute closes counts as
// spent in it, or the same tokens could be had from the new minute's credit too.
func (b *balance) openMinute(l Limits, minute int64) {
	b.Credit = b.given.credit(l, b.Credit-b.Spent-b.leased, b.Window, minute)
	b.Window, b.Spent, b.leased = minute, 0, 0
}

// periodSince returns the start of the period that a minute is in, and whether that is a
// later period than the one that began at start.
func (l Limits) periodSince(start time.Time, minute int64) (next time.Time, later bool) {
	if l.Quota == 0 {
		return time.Time{}, false
	}
	next = l.Period.Start(MinuteStart(minute))
	return next, next.After(start)
}

package limit

import (
	"math"
	"time"
)

// State is one counter. What limits are charged (Spent, PeriodSpent) and what
// happened (the rest of the minute's counts) are two ledgers: a reservation is
// charged and is no usage.
type State struct {
	Limits
	Window int64 // the minute that Credit and Spent are of
	Credit int64 // what the minute began with: below zero after overspending
	Spent  int64

	PeriodStart time.Time // zero without a quota
	PeriodSpent int64

	Happened Happened

	Slots []Slot
	Epoch string // random, made with the counter: a counter made anew owes nothing of the old one's
	Rev   int64  // counts writes
}

// Happened is what came to pass in a minute.
type Happened struct {
	Usage
	Requests, Refused, Forfeited int64
}

// Slot is an instance's mark in a counter: the number of its last write, by
// which it knows whether a write whose answer was lost has arrived, and what
// it holds leased.
type Slot struct {
	ID     string // 48 random bits in base64url, new with every process
	Seq    int64
	Window int64 // the minute that Leased is of
	Leased int64 // tokens taken but not yet reserved by a call
	Expiry int64 // Unix seconds after which the instance counts as gone
}

// New is a counter that nothing was charged to.
func New(limits Limits, now time.Time, epoch string) State {
	s := State{Limits: limits, Window: Minute(now), Credit: limits.TokensPerMinute, Epoch: epoch}
	if limits.Quota > 0 {
		s.PeriodStart = limits.Period.Start(now)
	}
	return s
}

// Advance brings the counter to a time and to its tier's limits. Windows never
// go back, and older limits never replace newer ones.
func (s *State) Advance(limits Limits, now time.Time) {
	s.adopt(limits, now)
	if minute := Minute(now); minute > s.Window {
		s.Credit = carried(s.TokensPerMinute, s.Burst, s.Credit-s.Spent-s.leased(), minute-s.Window)
		s.Window, s.Spent, s.Happened = minute, 0, Happened{}
	}
	if s.Quota > 0 {
		if start := s.Period.Start(now); start.After(s.PeriodStart) {
			s.PeriodStart, s.PeriodSpent = start, 0
		}
	}
}

// carried is a minute's credit: what was left, or owed, and what came since,
// up to the burst.
func carried(perMinute, burst, left, minutes int64) int64 {
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
// holds at once; a cut makes no debt.
func (s *State) adopt(limits Limits, now time.Time) {
	if limits.Version <= s.Version {
		return
	}
	change := limits.TokensPerMinute - s.TokensPerMinute
	s.Credit += change
	if change < 0 {
		s.Credit = max(s.Credit, min(s.Credit-change, s.Spent+s.leased()))
	}
	switch {
	case limits.Quota == 0:
		s.PeriodStart, s.PeriodSpent = time.Time{}, 0
	case limits.Period != s.Period:
		s.PeriodStart = limits.Period.Start(now)
	}
	s.Limits = limits
}

// leased is what instances hold of the minute.
func (s *State) leased() int64 {
	var sum int64
	for _, slot := range s.Slots {
		if slot.Window == s.Window {
			sum += slot.Leased
		}
	}
	return sum
}

// leasedOfPeriod is what instances hold, of whatever minute.
func (s *State) leasedOfPeriod() int64 {
	var sum int64
	for _, slot := range s.Slots {
		sum += slot.Leased
	}
	return sum
}

// unlimited stands for what is left where there is no limit.
const unlimited = math.MaxInt64 / 4

// left is what the minute and the period have; below zero it is owed.
func (s *State) left() (minute, period int64) {
	minute, period = unlimited, unlimited
	if s.TokensPerMinute > 0 {
		minute = s.Credit - s.Spent - s.leased()
	}
	if s.Quota > 0 {
		period = s.Quota - s.PeriodSpent - s.leasedOfPeriod()
	}
	return minute, period
}

// Charge is what a reservation was charged to, kept until it is settled.
type Charge struct {
	Tokens      int64
	Window      int64
	PeriodStart time.Time
	Epoch       string
}

// Reserve decides an Ask at a time that the counter was advanced to, and
// charges what it grants.
func (s *State) Reserve(ask Ask, now time.Time) (Decision, Charge) {
	least := ask.least()
	minute, period := s.left()
	d := Decision{Least: least, Verdict: s.verdict(least, minute, period)}
	var charge Charge
	switch d.Verdict {
	case Granted:
		d.Tokens = min(ask.Tokens, minute, period)
		charge = s.charge(d.Tokens)
	case RateExceeded:
		d.RetryAfter = MinuteStart(s.Window + minutesUntil(least, minute, s.TokensPerMinute)).Sub(now)
	case NeverFitsRate:
		d.Most = s.TokensPerMinute + s.Burst
	case NeverFitsQuota:
		d.Most = s.Quota
	case QuotaExceeded:
		d.RetryAfter = s.Period.Next(s.PeriodStart).Sub(now)
	}
	d.Standing = s.Standing()
	return d, charge
}

func (s *State) verdict(least, minute, period int64) Verdict {
	switch {
	case s.TokensPerMinute > 0 && least > s.TokensPerMinute+s.Burst:
		return NeverFitsRate
	case s.Quota > 0 && least > s.Quota:
		return NeverFitsQuota
	case least > period:
		return QuotaExceeded
	case least > minute:
		return RateExceeded
	}
	return Granted
}

// minutesUntil is after how many minutes so many tokens fit, at least the next.
func minutesUntil(tokens, left, perMinute int64) int64 {
	return max(1, (tokens-left+perMinute-1)/perMinute)
}

func (s *State) charge(tokens int64) Charge {
	s.Spent += tokens
	s.PeriodSpent += tokens
	return Charge{Tokens: tokens, Window: s.Window, PeriodStart: s.PeriodStart, Epoch: s.Epoch}
}

// Settle replaces a reservation by what the call took. What was reserved in
// vain goes back to the minute it was taken from, or to the next one's credit;
// later than that it vanishes, or any k minutes could exceed k limits. What was
// taken beyond the reservation is charged to the counter's minute, and becomes
// debt where that has no room.
func (s *State) Settle(c Charge, usage Usage) {
	excess := usage.Total() - c.Tokens
	switch {
	case excess > 0 || c.Epoch != s.Epoch:
		s.Spent += max(excess, 0)
		s.PeriodSpent += max(excess, 0)
	default:
		s.refund(c, -excess)
	}
	s.Happened.PromptTokens += usage.PromptTokens
	s.Happened.CompletionTokens += usage.CompletionTokens
	s.Happened.Requests++
}

// Cancel gives a whole reservation back: the call was never made.
func (s *State) Cancel(c Charge) {
	if c.Epoch == s.Epoch {
		s.refund(c, c.Tokens)
	}
}

func (s *State) refund(c Charge, tokens int64) {
	switch c.Window {
	case s.Window:
		s.Spent -= tokens
	case s.Window - 1:
		if s.TokensPerMinute > 0 {
			s.Credit = max(s.Credit, min(s.Credit+tokens, s.TokensPerMinute+s.Burst))
		}
	}
	if c.PeriodStart.Equal(s.PeriodStart) && s.Quota > 0 {
		s.PeriodSpent -= tokens
	}
}

// Standing is where the counter stands.
func (s *State) Standing() Standing {
	minute, period := s.left()
	st := Standing{Limits: s.Limits, Used: s.Spent, Remaining: max(minute, 0), ResetAt: MinuteStart(s.Window + 1)}
	if s.Quota > 0 {
		st.QuotaUsed, st.QuotaRemaining = s.PeriodSpent, max(period, 0)
		st.QuotaResetAt = s.Period.Next(s.PeriodStart)
	}
	return st
}

// Plausible says whether the counter can have come about by itself. now is the
// store's own time: a row whose minute lies beyond the next was edited, or
// written by a clock gone wrong, and would freeze the counter until then.
func (s *State) Plausible(now time.Time) bool {
	for _, slot := range s.Slots {
		if slot.Leased < 0 || slot.Seq < 0 {
			return false
		}
	}
	return s.Window <= Minute(now)+1 && s.Spent >= 0 && s.PeriodSpent >= 0 && s.Credit <= s.TokensPerMinute+s.Burst
}

// Repaired is what takes the place of a counter that isn't plausible: nothing
// more this minute, the quota as it was where that can be, and a new epoch.
func (s *State) Repaired(limits Limits, now time.Time, epoch string) State {
	repaired := New(limits, now, epoch)
	repaired.Spent = max(repaired.Credit, 0)
	if s.PeriodStart.Equal(repaired.PeriodStart) && s.PeriodSpent > 0 {
		repaired.PeriodSpent = s.PeriodSpent
	}
	return repaired
}

package limit

import (
	"slices"
	"time"
)

// maxAmount bounds plausible amounts, so that no sum of them overflows.
const maxAmount = 1 << 53

// maxAhead: a counter's minute may lie less than this ahead of the clock.
// Then it is adopted, as minutes never go back; further ahead it would block
// the counter for too long.
const maxAhead = 15 * time.Minute

// Plausible reports whether Tollgate could have written the counter. now is
// the store's own time.
func (s *State) Plausible(now time.Time) bool {
	return !s.tooFarAhead(now) && s.plausibleAmounts() && s.plausibleSlots() && s.plausiblePeriods(now)
}

// tooFarAhead reports whether the counter's minute lies so far ahead that the
// row was edited, or written by a wrong clock.
func (s *State) tooFarAhead(now time.Time) bool { return s.Window >= Minute(now.Add(maxAhead)) }

func plausible(amounts ...int64) bool {
	return !slices.ContainsFunc(amounts, func(n int64) bool { return n < 0 || n > maxAmount })
}

func (h Happened) plausible() bool {
	return plausible(h.PromptTokens, h.CompletionTokens, h.Requests, h.Refused, h.Forfeited, h.Charged)
}

func (s *State) plausibleAmounts() bool {
	most := max(s.TokensPerMinute+s.Burst, s.Spent+s.leased()) // a cut tier leaves what was charged
	return plausible(s.TokensPerMinute, s.Burst, s.Quota, s.Spent, s.PeriodSpent) && s.Happened.plausible() &&
		s.Credit <= most && s.Credit >= -maxAmount && s.UsageFrom <= s.Window && s.plausibleSpans()
}

func (s *State) plausibleSpans() bool {
	n := len(s.Opened)
	return s.Opened.wellFormed() && s.Given.wellFormed() && (n == 0 || s.Opened[n-1].To <= s.Window)
}

func (s *State) plausibleSlots() bool {
	return !slices.ContainsFunc(s.Slots, func(slot Slot) bool {
		return !plausible(slot.Leased) || slot.Seq < 0 || slot.Window > s.Window
	})
}

// plausiblePeriods also rejects a quota whose period would never end.
func (s *State) plausiblePeriods(now time.Time) bool {
	if slices.ContainsFunc(s.Periods, func(c Charged) bool { return !plausible(c.Tokens) }) {
		return false
	}
	return s.Quota == 0 || !s.Period.Start(now).IsZero() && !s.PeriodStart.After(MinuteStart(s.Window))
}

// Repaired returns a replacement for a counter that isn't plausible. It keeps
// each part that is plausible by itself, grants nothing more this minute, and
// has a new epoch. A minute that lies ahead is adopted within maxAhead;
// beyond it, the minute brings no tokens again when it comes. Leases count as
// spent. Slots become tombstones, so that no writer repeats a write that has
// arrived. Closed minutes are not kept: they belong to the old epoch, and the
// caller files them under it.
func (s *State) Repaired(limits Limits, now time.Time, epoch string) State {
	if s.Window > Minute(now) && !s.tooFarAhead(now) {
		now = MinuteStart(s.Window)
	}
	r := New(limits, now, epoch)
	r.Credit = min(r.Credit, 0)
	s.repairSpans(&r)
	if s.Happened.plausible() {
		r.Happened = s.Happened
		r.UsageFrom = min(max(s.UsageFrom, 0), r.Window)
	}
	if s.plausibleAmounts() && s.plausibleSlots() {
		r.Happened.Charged += s.Spent + s.leased()
	}
	s.repairPeriods(&r)
	for _, slot := range s.Slots {
		if slot.Seq > 0 && len(r.Slots) < maxSlots {
			r.Slots = append(r.Slots, tombstone(slot, now))
		}
	}
	return r
}

// repairSpans keeps a repaired counter's minutes from bringing tokens a
// second time.
func (s *State) repairSpans(r *State) {
	opened := Spans{{s.Window, s.Window}}
	if s.plausibleSpans() {
		for _, span := range slices.Concat(s.Opened, s.Given) {
			opened = opened.with(span)
		}
	}
	r.Given = opened.since(r.Window + 1)
	for _, span := range opened {
		if span.From <= r.Window {
			r.Opened = r.Opened.with(Span{span.From, min(span.To, r.Window)})
		}
	}
	if len(r.Given) > 0 && r.TokensPerMinute > 0 { // the minutes until then pay for the burst that it may have had
		r.Credit -= r.Burst
	}
}

// repairPeriods copies what the quota was charged in each period.
func (s *State) repairPeriods(r *State) {
	if r.Quota == 0 || s.Quota == 0 || s.Period != r.Period {
		return
	}
	charged := append(slices.Clone(s.Periods), Charged{s.PeriodStart, s.PeriodSpent})
	if s.plausibleAmounts() && s.plausibleSlots() {
		charged[len(charged)-1].Tokens += s.leasedOfPeriod()
	}
	for _, c := range charged {
		if plausible(c.Tokens) && c.Start.Equal(s.Period.Start(c.Start)) {
			r.remember(c)
		}
	}
	r.PeriodSpent = r.takeRemembered(r.PeriodStart)
}

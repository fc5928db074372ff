package lease_test

import (
	"testing"
	"time"

	"tollgate/handler/lease"
	"tollgate/handler/limit"
)

func TestNewLimitsChangeNothingThatWasCharged(t *testing.T) {
	was := limit.Limits{PerMinute: 300, Burst: 100, Quota: 1000, Period: limit.Daily, Version: 5}
	with := func(change func(*limit.Limits)) limit.Limits {
		l := was
		l.Version++
		change(&l)
		return l
	}
	for _, c := range []struct {
		name                  string
		to                    limit.Limits
		credit, spent, leased int64 // before
		want                  int64 // credit
	}{
		{"a raise applies at once", with(func(l *limit.Limits) { l.PerMinute = 500 }), 300, 300, 0, 500},
		{"a raise reduces a debt", with(func(l *limit.Limits) { l.PerMinute = 500 }), -100, 50, 0, 100},
		{"a cut applies at once", with(func(l *limit.Limits) { l.PerMinute = 100 }), 300, 20, 30, 100},
		{"a cut makes no debt", with(func(l *limit.Limits) { l.PerMinute = 100 }), 300, 120, 30, 150},
		{"a cut forgives no debt", with(func(l *limit.Limits) { l.PerMinute = 100 }), 50, 120, 0, 50},
		{"a raise gives at most a minute and the burst", with(func(l *limit.Limits) { l.PerMinute = 500 }), 500, 500, 0, 600},
		{"a limit is removed", with(func(l *limit.Limits) { l.PerMinute, l.Burst = 0, 0 }), 300, 200, 0, 0},
		{"an older tier is ignored", limit.Limits{PerMinute: 9000, Version: 4}, 300, 0, 0, 300},
		{"the same tier is ignored", limit.Limits{PerMinute: 9000, Version: 5}, 300, 0, 0, 300},
	} {
		s := lease.New(was, noon, "epoch")
		s.Credit, s.Spent, s.PeriodSpent = c.credit, c.spent, 700
		s.SetSlots([]lease.Slot{{ID: "slot", Window: s.Window, Leased: c.leased}})
		s.Advance(c.to, noon)
		if s.Credit != c.want || s.Spent != c.spent || s.PeriodSpent != 700 || s.Slots[0].Leased != c.leased {
			t.Errorf("%s: got a credit of %d, %d and %d charged, %d leased; want %d, %d and 700, %d", c.name, s.Credit, s.Spent, s.PeriodSpent, s.Slots[0].Leased, c.want, c.spent, c.leased)
		}
		if newer := c.to.Version > was.Version; (s.Limits == c.to) != newer {
			t.Errorf("%s: got the limits %+v, want them replaced %t", c.name, s.Limits, newer)
		}
	}
}

func TestALimitForTheMinuteMakesNoDebtOfEarlierUse(t *testing.T) {
	s := lease.New(limit.Limits{Quota: 1000, Period: limit.Daily, Version: 1}, noon, "epoch")
	s.Spent = 700
	s.Advance(limit.Limits{PerMinute: 300, Quota: 1000, Period: limit.Daily, Version: 2}, noon)
	if standing := s.Standing(noon); standing.Remaining != 0 || s.Credit != 700 {
		t.Errorf("got a credit of %d, %d left; want 700 and 0", s.Credit, standing.Remaining)
	}
}

func TestAQuotaCanChangeItsPeriod(t *testing.T) {
	s := lease.New(day, noon, "epoch")
	s.PeriodSpent = 700
	monthly := day
	monthly.Period, monthly.Version = limit.Monthly, day.Version+1
	s.Advance(monthly, noon)
	if s.PeriodSpent != 700 || !s.PeriodStart.Equal(limit.Monthly.Start(noon)) {
		t.Errorf("monthly: got %d charged since %v, want 700 since the month began", s.PeriodSpent, s.PeriodStart)
	}
	none := limit.Limits{PerMinute: 300, Version: monthly.Version + 1}
	if s.Advance(none, noon); s.PeriodSpent != 0 || !s.PeriodStart.IsZero() {
		t.Errorf("without a quota: got %d charged since %v, want 0 since the zero time", s.PeriodSpent, s.PeriodStart)
	}
}

// TestAQuotaWithANewPeriodLeavesOutEarlierPeriods: charges of yesterday don't
// count against an hourly or daily quota of today.
func TestAQuotaWithANewPeriodLeavesOutEarlierPeriods(t *testing.T) {
	tomorrow := noon.AddDate(0, 0, 1)
	for period, want := range map[limit.Period]int64{limit.Hourly: 0, limit.Daily: 0, limit.Weekly: 700, limit.Monthly: 700} {
		s := lease.New(day, noon, "epoch")
		s.PeriodSpent = 700
		to := day
		to.Period, to.Version = period, day.Version+1
		if s.Advance(to, tomorrow); s.PeriodSpent != want || !s.PeriodStart.Equal(period.Start(tomorrow)) {
			t.Errorf("%s: got %d charged since %v, want %d since %v", period, s.PeriodSpent, s.PeriodStart, want, period.Start(tomorrow))
		}
	}
}

// TestARowWhoseQuotaWasLiftedAndSetAgainIsPlausible: a call that was charged to the quota
// before, and cancelled in between, doesn't make the charges negative.
func TestARowWhoseQuotaWasLiftedAndSetAgainIsPlausible(t *testing.T) {
	for _, reported := range []bool{false, true} {
		var h lease.Holder
		s := write(t, &h, lease.New(day, noon, "epoch"), 100, noon)
		hold := take(t, &h, 100, noon)
		if reported {
			s = write(t, &h, s, 0, noon)
		}
		lifted, again := limit.Limits{PerMinute: 300, Version: 2}, day
		again.Version = 3
		for _, limits := range []limit.Limits{lifted, again} {
			body, err := h.Commit(h.Draft(s, limits, noon), 0, noon, nil)
			if err != nil {
				t.Fatal(err)
			}
			h.Applied()
			if s = body.Row; limits == lifted {
				h.Settle(hold, 0)
			}
		}
		if !s.Plausible(noon) || s.PeriodSpent != 0 {
			t.Errorf("reported before %t: got plausible %t, %d of the quota charged; want plausible and 0", reported, s.Plausible(noon), s.PeriodSpent)
		}
	}
}

func TestATierCutAndRaisedWithinAMinuteGivesNoTokensTwice(t *testing.T) {
	s := lease.New(day, noon, "epoch")
	s.Spent = 300
	for version := range int64(10) {
		l := day
		l.Version = day.Version + version + 1
		if version%2 == 0 {
			l.PerMinute = 100
		}
		s.Advance(l, noon)
	}
	if s.Credit != 300 {
		t.Errorf("credit of a minute of 300: got %d, want 300", s.Credit)
	}
}

func TestARowThatTollgateCantHaveWrittenIsImplausible(t *testing.T) {
	fine := lease.New(day, noon, "epoch")
	fine.Spent, fine.PeriodSpent = 100, 900
	fine.SetSlots([]lease.Slot{{ID: "slot", Seq: 3, Window: fine.Window, Leased: 50}})
	for name, edit := range map[string]func(*lease.Row){
		"Spent below zero":       func(s *lease.Row) { s.Spent = -1 },
		"PeriodSpent below zero": func(s *lease.Row) { s.PeriodSpent = -1 },
		"a lease below zero":     func(s *lease.Row) { s.Slots[0].Leased = -1 },
		"a quota yet to begin":   func(s *lease.Row) { s.PeriodStart = noon.AddDate(50, 0, 0) },
		"a period unknown":       func(s *lease.Row) { s.Period = "Fortnightly" },
		"a limit below zero":     func(s *lease.Row) { s.PerMinute = -1 },
		"a number too large":     func(s *lease.Row) { s.PeriodSpent = 1 << 60 },
		"a minute far ahead":     func(s *lease.Row) { s.Window += 15 },
		"a minute opened later":  func(s *lease.Row) { s.Opened[0].To++ },
		"minutes given backward": func(s *lease.Row) { s.Given = limit.Spans{{From: s.Window + 2, To: s.Window + 1}} },
		"a period below zero":    func(s *lease.Row) { s.Periods = []lease.PeriodCharge{{Amount: -1}} },
		"a lease to come":        func(s *lease.Row) { s.Slots[0].Window++ },
		"too much credit":        func(s *lease.Row) { s.Credit = 301 },
		"a write below zero":     func(s *lease.Row) { s.Slots[0].Seq = -1 },
	} {
		s := fine.Clone()
		if !s.Plausible(noon) {
			t.Fatalf("the unedited row %+v: got implausible, want plausible", s)
		}
		if edit(&s); s.Plausible(noon) {
			t.Errorf("%s: got plausible, want implausible", name)
		}
	}
	ahead := fine.Clone()
	ahead.Window += 14 // as if by a clock that is ahead
	if !ahead.Plausible(noon) {
		t.Error("a minute 14 ahead: got implausible, want plausible")
	}
}

func TestARepairedCounterGrantsNothingMoreThisMinute(t *testing.T) {
	s := lease.New(day, noon, "epoch")
	s.PeriodSpent, s.Spent, s.Credit = 4000, -5, 1<<40
	s.SetSlots([]lease.Slot{{ID: "one", Seq: 3, Window: s.Window, Leased: 50}, {ID: "none"}})
	r := s.Repaired(day, noon.Add(time.Second), "newer")
	if !r.Plausible(noon) || r.Epoch != "newer" || r.PeriodSpent != 4000 {
		t.Errorf("repaired: got %+v, want a plausible row of epoch newer with 4000 of the quota charged", r)
	}
	if standing := r.Standing(noon); standing.Remaining != 0 || standing.QuotaRemaining != 6000 {
		t.Errorf("the repaired row's standing: got %+v, want 0 left of the minute and 6000 of the quota", standing)
	}
	if len(r.Slots) != 1 || !r.Slots[0].Gone || r.Slots[0].Seq != 3 {
		t.Errorf("slots of the repaired row: got %+v, want one tombstone with Seq 3", r.Slots)
	}
	if r.Advance(day, noon.Add(time.Minute)); r.Standing(noon.Add(time.Minute)).Remaining != 300 {
		t.Errorf("the next minute: got %d left, want 300", r.Standing(noon.Add(time.Minute)).Remaining)
	}
	for _, spent := range []int64{-1, 1 << 60} {
		s.PeriodSpent = spent
		if r := s.Repaired(day, noon, "newer"); r.PeriodSpent != 0 {
			t.Errorf("repaired from %d of the quota charged: got %d, want 0", spent, r.PeriodSpent)
		}
	}
}

// TestAQuotasNewPeriodBeginsByTheCountersTime, not by the clock of an instance that is
// still in the period before.
func TestAQuotasNewPeriodBeginsByTheCountersTime(t *testing.T) {
	s := lease.New(day, noon, "epoch")
	s.PeriodSpent = 700
	hourly := day
	hourly.Period, hourly.Version = limit.Hourly, day.Version+1
	if s.Advance(hourly, noon.Add(-time.Second)); s.PeriodSpent != 700 || !s.PeriodStart.Equal(noon) {
		t.Errorf("hourly, a second before noon: got %d charged since %v, want 700 since noon", s.PeriodSpent, s.PeriodStart)
	}
}

// TestAQuotaWithAShorterPeriodLeavesOutEarlierCharges: charges of earlier hours
// don't count against an hourly quota.
func TestAQuotaWithAShorterPeriodLeavesOutEarlierCharges(t *testing.T) {
	s := lease.New(day, noon, "epoch")
	s.PeriodSpent = 700
	hourly := day
	hourly.Period, hourly.Version = limit.Hourly, day.Version+1
	if s.Advance(hourly, noon.Add(time.Hour)); s.PeriodSpent != 0 || !s.PeriodStart.Equal(noon.Add(time.Hour)) {
		t.Errorf("hourly, an hour after noon: got %d charged since %v, want 0 since then", s.PeriodSpent, s.PeriodStart)
	}
}

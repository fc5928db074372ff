package limit_test

import (
	"testing"
	"time"

	"tollgate/handler/limit"
)

func at(text string) time.Time {
	t, err := time.Parse("2006-01-02 15:04:05 -0700", text)
	if err != nil {
		panic(err)
	}
	return t
}

func TestPeriodsAreFixedWindowsOfUTC(t *testing.T) {
	for _, c := range []struct {
		period            limit.Period
		now, start, after string
	}{
		{limit.Hourly, "2026-03-02 12:59:59 +0000", "2026-03-02 12:00:00 +0000", "2026-03-02 13:00:00 +0000"},
		{limit.Hourly, "2026-03-02 12:59:59 +0545", "2026-03-02 07:00:00 +0000", "2026-03-02 08:00:00 +0000"},
		{limit.Daily, "2026-12-31 23:59:59 +0000", "2026-12-31 00:00:00 +0000", "2027-01-01 00:00:00 +0000"},
		{limit.Daily, "2027-01-01 01:00:00 +0200", "2026-12-31 00:00:00 +0000", "2027-01-01 00:00:00 +0000"},
		{limit.Weekly, "2026-03-02 00:00:00 +0000", "2026-03-02 00:00:00 +0000", "2026-03-09 00:00:00 +0000"}, // a Monday
		{limit.Weekly, "2026-03-01 23:59:59 +0000", "2026-02-23 00:00:00 +0000", "2026-03-02 00:00:00 +0000"}, // a Sunday
		{limit.Weekly, "2027-01-02 12:00:00 +0000", "2026-12-28 00:00:00 +0000", "2027-01-04 00:00:00 +0000"},
		{limit.Monthly, "2026-01-31 23:59:59 +0000", "2026-01-01 00:00:00 +0000", "2026-02-01 00:00:00 +0000"},
		{limit.Monthly, "2028-02-29 12:00:00 +0000", "2028-02-01 00:00:00 +0000", "2028-03-01 00:00:00 +0000"},
		{limit.Monthly, "2026-12-31 23:30:00 -0100", "2027-01-01 00:00:00 +0000", "2027-02-01 00:00:00 +0000"},
		{limit.Yearly, "2028-12-31 23:59:59 +0000", "2028-01-01 00:00:00 +0000", "2029-01-01 00:00:00 +0000"},
	} {
		start := c.period.Start(at(c.now))
		if !start.Equal(at(c.start)) || start.Location() != time.UTC {
			t.Errorf("the start of %s of %s: got %v, want %s", c.period, c.now, start, c.start)
		}
		if next := c.period.Next(start); !next.Equal(at(c.after)) {
			t.Errorf("%s after %v: got %v, want %s", c.period, start, next, c.after)
		}
	}
}

func TestMinutesAreCountedFrom1970(t *testing.T) {
	for text, want := range map[string]int64{
		"1970-01-01 00:00:59 +0000": 0, "1970-01-01 00:01:00 +0000": 1, "1969-12-31 23:59:59 +0000": -1, "1969-12-31 23:59:00 +0000": -1,
		"1970-01-02 01:00:00 +0100": 1440,
	} {
		if got := limit.Minute(at(text)); got != want {
			t.Errorf("the minute of %s: got %d, want %d", text, got, want)
		}
	}
	if start := limit.MinuteStart(limit.Minute(noon.Add(59 * time.Second))); !start.Equal(noon) {
		t.Errorf("the start of noon's minute: got %v, want %v", start, noon)
	}
}

func TestUnusedTokensAreCarriedUpToTheBurst(t *testing.T) {
	for _, c := range []struct {
		name                                    string
		perMinute, burst, credit, spent, leased int64
		minutes                                 int64
		want                                    int64
	}{
		{"nothing without a burst", 300, 0, 300, 100, 0, 1, 300},
		{"what was left, with one", 300, 200, 300, 200, 0, 1, 400},
		{"no more than the burst", 300, 50, 300, 200, 0, 1, 350},
		{"what was leased counts as spent", 300, 200, 300, 100, 200, 1, 300},
		{"what was owed", 300, 200, 300, 500, 0, 1, 100},
		{"what is owed still", 300, 0, 300, 1500, 0, 1, -900},
		{"several minutes pay it", 300, 0, 300, 1500, 0, 5, 300},
		{"or nearly", 300, 500, 300, 1500, 0, 4, 0},
		{"debt from before", 300, 0, -700, 0, 0, 1, -400},
		{"an age fills it up", 300, 200, 300, 500, 0, 1 << 40, 500},
		{"no limit carries nothing", 0, 0, 0, 500, 0, 1, 0},
	} {
		s := limit.New(limit.Limits{TokensPerMinute: c.perMinute, Burst: c.burst, Version: 1}, noon, "epoch")
		s.Credit, s.Spent, s.Slots = c.credit, c.spent, []limit.Slot{{ID: "slot", Window: s.Window, Leased: c.leased}}
		later := limit.MinuteStart(s.Window + c.minutes)
		s.Advance(s.Limits, later)
		if s.Credit != c.want || s.Spent != 0 || s.Window != limit.Minute(later) {
			t.Errorf("%s: got a credit of %d, %d spent, minute %d; want %d, 0, minute %d", c.name, s.Credit, s.Spent, s.Window, c.want, limit.Minute(later))
		}
	}
}

func TestMinutesNeverGoBack(t *testing.T) {
	s := limit.New(day, noon, "epoch")
	s.Spent = 100
	s.Advance(day, noon.Add(-time.Hour))
	if s.Window != limit.Minute(noon) || s.Spent != 100 || s.Credit != 300 {
		t.Errorf("advanced to an hour earlier: got %+v, want noon's minute with 100 spent and a credit of 300", s)
	}
}

func TestThePeriodTurnsWithTheMinute(t *testing.T) {
	s := limit.New(day, noon, "epoch")
	s.PeriodSpent = 4000
	s.Advance(day, noon.Add(12*time.Hour-time.Second))
	if s.PeriodSpent != 4000 {
		t.Errorf("before midnight: got %d charged, want 4000", s.PeriodSpent)
	}
	s.Advance(day, noon.Add(12*time.Hour))
	if s.PeriodSpent != 0 || !s.PeriodStart.Equal(noon.Add(12*time.Hour)) {
		t.Errorf("at midnight: got %d charged since %v, want 0 since then", s.PeriodSpent, s.PeriodStart)
	}
}

// TestARefundGoesToTheMinuteItWasChargedToOrTheNext: in the same minute it lowers
// the charges, in the next it raises the credit up to the burst, and later it
// changes neither. It always lowers the charges of the quota's period.
func TestARefundGoesToTheMinuteItWasChargedToOrTheNext(t *testing.T) {
	for _, c := range []struct {
		name                string
		burst, minutes      int64
		credit, spent, used int64
	}{
		{"its own minute", 0, 0, 300, 0, 0},
		{"the next, which is full", 0, 1, 300, 0, 0},
		{"the next, with a burst", 150, 1, 450, 0, 0},
		{"the next, in part", 60, 1, 360, 0, 0},
		{"the second", 100, 2, 400, 0, 0},
		{"the second, although it has room", 1000, 2, 700, 0, 0},
		{"tomorrow", 100, 24 * 60, 400, 0, 0},
	} {
		l := day
		l.Burst = c.burst
		commit := func(h *limit.Holder, s limit.State, lease int64, now time.Time) limit.State {
			t.Helper()
			body, err := h.Commit(h.Draft(s, l, now), lease, now.Add(time.Hour), func() string { return "slot" })
			if err != nil {
				t.Fatal(err)
			}
			h.Applied()
			return body.State
		}
		var h limit.Holder
		s := commit(&h, limit.New(l, noon, "epoch"), 200, noon)
		charge := take(t, &h, 200, noon)
		s = commit(&h, s, 0, noon)
		if s.Spent != 200 || s.PeriodSpent != 200 {
			t.Fatalf("%s: got %d charged to the minute and %d to the quota, want 200 and 200", c.name, s.Spent, s.PeriodSpent)
		}
		h.Cancel(charge)
		s = commit(&h, s, 0, noon.Add(time.Duration(c.minutes)*time.Minute))
		if s.Credit != c.credit || s.Spent != c.spent || s.PeriodSpent != c.used {
			t.Errorf("%s: got a credit of %d, %d and %d charged; want %d, %d and %d", c.name, s.Credit, s.Spent, s.PeriodSpent, c.credit, c.spent, c.used)
		}
	}
}

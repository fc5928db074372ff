package lease_test

import (
	"testing"
	"time"

	"tollgate/handler/lease"
	"tollgate/handler/limit"
)

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
		s := lease.New(limit.Limits{PerMinute: c.perMinute, Burst: c.burst, Version: 1}, noon, "epoch")
		s.Credit, s.Spent = c.credit, c.spent
		s.SetSlots([]lease.Slot{{ID: "slot", Window: s.Window, Leased: c.leased}})
		later := limit.MinuteStart(s.Window + c.minutes)
		s.Advance(s.Limits, later)
		if s.Credit != c.want || s.Spent != 0 || s.Window != limit.Minute(later) {
			t.Errorf("%s: got a credit of %d, %d spent, minute %d; want %d, 0, minute %d", c.name, s.Credit, s.Spent, s.Window, c.want, limit.Minute(later))
		}
	}
}

func TestMinutesNeverGoBack(t *testing.T) {
	s := lease.New(day, noon, "epoch")
	s.Spent = 100
	s.Advance(day, noon.Add(-time.Hour))
	if s.Window != limit.Minute(noon) || s.Spent != 100 || s.Credit != 300 {
		t.Errorf("advanced to an hour earlier: got %+v, want noon's minute with 100 spent and a credit of 300", s)
	}
}

func TestAPeriodEndsWithItsLastMinute(t *testing.T) {
	s := lease.New(day, noon, "epoch")
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
		commit := func(h *lease.Holder, s lease.Row, leased int64, now time.Time) lease.Row {
			t.Helper()
			body, err := h.Commit(h.Draft(s, l, now), leased, now.Add(time.Hour), func() string { return "slot" })
			if err != nil {
				t.Fatal(err)
			}
			h.Applied()
			return body.Row
		}
		var h lease.Holder
		s := commit(&h, lease.New(l, noon, "epoch"), 200, noon)
		hold := take(t, &h, 200, noon)
		s = commit(&h, s, 0, noon)
		if s.Spent != 200 || s.PeriodSpent != 200 {
			t.Fatalf("%s: got %d charged to the minute and %d to the quota, want 200 and 200", c.name, s.Spent, s.PeriodSpent)
		}
		h.Settle(hold, 0)
		s = commit(&h, s, 0, noon.Add(time.Duration(c.minutes)*time.Minute))
		if s.Credit != c.credit || s.Spent != c.spent || s.PeriodSpent != c.used {
			t.Errorf("%s: got a credit of %d, %d and %d charged; want %d, %d and %d", c.name, s.Credit, s.Spent, s.PeriodSpent, c.credit, c.spent, c.used)
		}
	}
}

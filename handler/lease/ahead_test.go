package lease_test

import (
	"fmt"
	"testing"
	"time"

	"tollgate/handler/lease"
	"tollgate/handler/limit"
)

// TestAWrongClockGivesOutNoLimitTwice: one instance writes rows by a clock that is ahead,
// and another repairs them.
func TestAWrongClockGivesOutNoLimitTwice(t *testing.T) {
	now := noon.Add(40 * time.Second)
	for _, burst := range []int64{0, 50} {
		for _, off := range []time.Duration{61 * time.Second, 90 * time.Second, 14 * time.Minute, 16 * time.Minute, 20 * time.Minute, 3 * time.Hour, 1000 * time.Hour} {
			limits := limit.Limits{PerMinute: 100, Burst: burst, Version: 1}
			s := lease.New(limits, now, "e0")
			var ahead lease.Holder
			var passed int64
			for i := range 10 {
				wrong := now.Add(off)
				d := ahead.Draft(s, limits, wrong)
				d.Grant(d.Decide(limit.Ask{Amount: 100}).Amount)
				b, err := ahead.Commit(d, d.Granted(), wrong.Add(11*time.Second), func() string { return fmt.Sprint("slot", i) })
				if err != nil {
					t.Fatal(err)
				}
				ahead.Applied()
				s = b.Row
				if hold, ok := ahead.Reserve(100, wrong); ok {
					passed += 100
					ahead.Settle(hold, 100)
				}
				if !s.Plausible(now) {
					s = s.Repaired(limits, now, fmt.Sprint("e", i+1))
				}
			}
			if passed > 100 {
				t.Errorf("%v ahead, burst %d: got %d tokens granted in one second, want at most the limit of 100", off, burst, passed)
			}
		}
	}
}

// TestAMinuteGivenOutEarlyIsNotGivenOutAgain: the minutes before it have no burst, as that
// may be used up, and the minutes after it have their own tokens.
func TestAMinuteGivenOutEarlyIsNotGivenOutAgain(t *testing.T) {
	limits := limit.Limits{PerMinute: 100, Burst: 50, Version: 1}
	s := lease.New(limits, noon, "e0")
	s.Advance(limits, noon.Add(20*time.Minute))
	s.Advance(limits, noon.Add(21*time.Minute))
	s.Advance(limits, noon.Add(30*time.Minute))
	r := s.Repaired(limits, noon, "e1")
	if s.Plausible(noon) || !r.Plausible(noon) {
		t.Fatalf("got %+v (plausible %t), repaired to %+v (plausible %t); want only the repaired one plausible", s, s.Plausible(noon), r, r.Plausible(noon))
	}
	for minute, want := range map[int]int64{0: -50, 1: 50, 2: 100, 10: 100, 19: 100, 20: 0, 21: 0, 22: 50, 29: 100, 30: 0, 31: 100, 32: 150} {
		at := r.Clone()
		at.Advance(limits, noon.Add(time.Duration(minute)*time.Minute))
		if at.Credit-at.Spent != want {
			t.Errorf("minute %d, straight from the repair: got %d left, want %d", minute, at.Credit-at.Spent, want)
		}
	}
	var sum int64
	for minute := range 33 {
		r.Advance(limits, noon.Add(time.Duration(minute)*time.Minute))
		if left := r.Credit - r.Spent; left > 0 {
			sum += left
			r.Spent += left
		}
	}
	// Minutes 20, 21 and 30 may each have been used up, and the burst twice.
	if most := int64(33*100 + 50); sum+3*100+2*50 > most {
		t.Errorf("tokens in 33 minutes: got %d, and 400 that may have been used ahead; want at most %d together", sum, most)
	}
}

func TestSpansStayFewAndInOrder(t *testing.T) {
	s := lease.New(day, noon, "e")
	for i := range 40 {
		s.Advance(day, noon.Add(time.Duration(i*i)*time.Minute))
		if len(s.Opened) > 8 || !s.Plausible(noon.Add(24*100*time.Hour)) {
			t.Fatalf("after %d minutes: got the spans %+v, want at most 8 in a plausible row", i+1, s.Opened)
		}
	}
	if last := s.Opened[len(s.Opened)-1]; last.To != s.Window || last.From != s.Window {
		t.Errorf("the last span: got %+v, want the running minute alone", last)
	}
}

// TestChargesOfOtherPeriodsAreKept: when a clock that ran ahead is right again, both
// days have the charges that were made in them.
func TestChargesOfOtherPeriodsAreKept(t *testing.T) {
	s := lease.New(day, noon, "e0")
	s.PeriodSpent = 4000
	s.SetSlots([]lease.Slot{{ID: "slot", Seq: 3, Window: s.Window, Leased: 50, Expiry: noon.Unix() + 11}})
	s.Advance(day, noon.Add(24*time.Hour))
	s.SetSlots([]lease.Slot{lease.Slot{ID: "slot", Seq: 4, Window: s.Window, Leased: 5, Expiry: noon.Unix() + 11}})
	s.PeriodSpent += 700
	back := s.Repaired(day, noon.Add(time.Minute), "e1")
	if back.PeriodSpent != 4050 || !back.PeriodStart.Equal(limit.Daily.Start(noon)) {
		t.Errorf("today: got %d charged since %v, want 4050 since midnight", back.PeriodSpent, back.PeriodStart)
	}
	back.Advance(day, noon.Add(24*time.Hour+time.Minute))
	if back.PeriodSpent != 705 {
		t.Errorf("tomorrow: got %d charged, want 705", back.PeriodSpent)
	}
	back.Advance(day, noon.Add(48*time.Hour))
	if back.PeriodSpent != 0 {
		t.Errorf("the day after: got %d charged, want 0", back.PeriodSpent)
	}
}

package counter_test

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"tollgate/handler/lease"
	"tollgate/handler/limit"
)

// reclaimed returns a counter's row, without the leases of dead instances.
func (s *schedule) reclaimed(c *account) lease.Row {
	housekeeper := s.join(0)
	defer housekeeper.close(s.t)
	if _, err := housekeeper.Reclaim(context.Background(), c.key); err != nil {
		s.fail(c, "Reclaim: got %v, want no error", err)
	}
	row, _, _, err := s.Store.Load(context.Background(), c.key)
	if err != nil && len(c.net) > 0 {
		s.fail(c, "Load: got %v, want no error", err)
	}
	return row
}

// check compares the outcome with the promises, and returns what was charged over
// the limits.
func (s *schedule) check() (over int64) {
	time.Sleep(7 * time.Minute) // the last minute may lie ahead, if a clock ran ahead
	for _, c := range s.counters {
		over += s.checkCounter(c)
	}
	time.Sleep(time.Hour)
	for _, c := range s.counters {
		s.probe(c)
	}
	return over
}

func (s *schedule) fail(c *account, format string, args ...any) {
	s.t.Errorf("seed %d, %d instances, %d killed, counter %q, %+v: %s", s.seed, len(s.instances), s.kills, c.key, c.terms, fmt.Sprintf(format, args...))
}

func (s *schedule) checkCounter(c *account) (over int64) {
	if over = c.overLimit(); over > 0 {
		s.fail(c, "amount over the limit: got %d, want 0: %v", over, c.net)
	}
	row := s.reclaimed(c)
	// A paused instance may have spent what was forfeited.
	if spent, forfeited := row.PeriodSpent, s.forfeited(); c.terms.Quota > 0 && !s.crosses() {
		switch {
		case spent+c.unsettled < c.settled:
			s.fail(c, "charged to the period: got %d, want at least the %d that callers settled, less %d reserved by killed calls", spent, c.settled, c.unsettled)
		case s.kills == 0 && (spent < c.settled || spent > c.settled+forfeited):
			s.fail(c, "charged to the period: got %d, want %d to %d, with what was forfeited", spent, c.settled, c.settled+forfeited)
		}
	}
	for _, slot := range row.Slots {
		if slot.Leased != 0 {
			s.fail(c, "a slot: got %d leased, want 0", slot.Leased)
		}
	}
	return over
}

// forfeited returns the amount of leases that instances have reclaimed.
func (s *schedule) forfeited() (sum int64) {
	for _, m := range s.instances {
		sum += m.Stats().Forfeited.Amount
	}
	return sum
}

// overLimit returns the most that was charged over the limit in any run of minutes
// or in any period.
func (c *account) overLimit() (over int64) {
	minutes := slices.Sorted(maps.Keys(c.net))
	periods := make(map[int64]int64)
	for i := range minutes {
		var sum int64
		for j := i; j < len(minutes); j++ {
			sum += c.net[minutes[j]]
			k := minutes[j] - minutes[i] + 1
			over = max(over, sum-k*c.terms.PerMinute-c.terms.Burst)
		}
		periods[minutes[i]/60] += c.net[minutes[i]]
	}
	for _, sum := range periods {
		if c.terms.Quota > 0 {
			over = max(over, sum-c.terms.Quota)
		}
	}
	return over
}

// probe checks that nothing stays leased: an hour later a new instance is granted
// a whole minute's amount.
func (s *schedule) probe(c *account) {
	m := s.join(0)
	terms := c.terms
	terms.MaxWait = 0
	r, d, err := m.One(context.Background(), c.key, terms, limit.Ask{Amount: terms.PerMinute})
	if err != nil || d.Verdict != limit.Granted {
		s.fail(c, "a call for a minute's amount an hour later: got %+v, %v; want it granted", d, err)
	} else {
		r.Cancel()
	}
	m.close(s.t)
}

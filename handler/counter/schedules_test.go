package counter_test

import (
	"context"
	"fmt"
	"maps"
	"os"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"tollgate/handler/counter"
	"tollgate/handler/counter/countertest"
	"tollgate/handler/lease"
	"tollgate/handler/limit"
)

// schedule is a run with faults of instances that share counters in full
// reservation, and what their calls settled.
type schedule struct {
	*countertest.Network
	t         *testing.T
	seed      uint64
	counters  []*counted // that calls may need
	needs     int        // how many of them a call needs
	instances []*mortal
	calls     sync.WaitGroup

	mu    sync.Mutex
	kills int
}

// counted is what calls settled in one counter.
type counted struct {
	key       string
	terms     counter.Terms
	told      int64 // settled by instances that were alive
	unsettled int64 // reserved by calls of killed instances
	net       map[int64]int64
}

// draw returns the schedule of a seed. Most have few instances and small limits,
// so that they compete for tokens.
func draw(t *testing.T, seed uint64) *schedule {
	s := &schedule{Network: quietNetwork(seed), seed: seed, t: t, needs: 1}
	n := s.Between(1, 8)
	switch {
	case seed%100 == 0:
		n = 64
	case seed%20 == 0:
		n = s.Between(9, 24)
	}
	terms := counter.Terms{Limits: limit.Limits{PerMinute: s.Between(50, 2000), Version: 1}, OnStoreDown: limit.FailClosed}
	if seed%3 == 0 {
		terms.Burst = s.Between(1, terms.PerMinute)
	}
	if seed%2 == 0 {
		terms.Quota, terms.Period = terms.PerMinute*2, limit.Hourly
	}
	if seed%5 == 0 {
		terms.MaxWait = time.Duration(s.Between(1, 90)) * time.Second
	}
	s.counters = []*counted{{key: "key", terms: terms, net: make(map[int64]int64)}}
	if seed%7 < 3 { // calls need two counters that all share, and one of two others
		s.needs = 3
		for _, key := range []string{"group", "own 1", "own 2"} {
			terms.PerMinute = max(20, terms.PerMinute*s.Between(40, 200)/100)
			if terms.Quota > 0 {
				terms.Quota = 2 * terms.PerMinute
			}
			s.counters = append(s.counters, &counted{key: key, terms: terms, net: make(map[int64]int64)})
		}
	}
	s.SetFaults(int(s.Between(0, 300)))
	for range n {
		skew := time.Duration(0)
		if seed%4 == 0 {
			skew = time.Duration(s.Between(-180, 180)) * time.Second
		}
		s.instances = append(s.instances, s.instance(skew))
	}
	return s
}

// plan is one call: when it asks, how long it holds its reservation, and what it uses.
type plan struct {
	needs       []*counted
	after, hold time.Duration
	ask, use    int64
	cancel      bool
	raise       int64         // what it is raised to before it is settled; 0: it isn't raised
	raised      time.Duration // how long the raise lasts
}

// call makes one call, holds its reservations for a while and settles them.
func (s *schedule) call(m *mortal, p plan) {
	time.Sleep(p.after)
	ctx, leave := context.WithTimeout(context.Background(), 100*time.Second)
	defer leave()
	var asks []counter.Part
	for _, c := range p.needs {
		asks = append(asks, counter.Part{Key: c.key, Terms: c.terms, Ask: limit.Ask{Amount: p.ask}})
	}
	held, decisions, err := m.Reserve(ctx, asks)
	if err != nil || held == nil || m.link.Killed() {
		return
	}
	windows := make([]int64, len(held))
	for i, r := range held {
		if decisions[i].Amount != p.ask {
			s.t.Errorf("seed %d: got %d reserved of %s, want the %d asked", s.seed, decisions[i].Amount, p.needs[i].key, p.ask)
		}
		windows[i], _ = r.Window()
	}
	s.charge(p.needs, windows, p.ask)
	time.Sleep(p.hold)
	if p.raise > 0 && !m.link.Killed() {
		held.Raise(each(p.needs, p.raise))
		time.Sleep(p.raised)
	}
	if m.link.Killed() {
		s.mu.Lock()
		defer s.mu.Unlock()
		for _, c := range p.needs {
			c.unsettled += p.ask
		}
		return
	}
	m.ended(p.needs, p.ask)
	if p.cancel {
		held.Cancel()
		s.charge(p.needs, windows, -p.ask)
		return
	}
	held.Settle(each(p.needs, p.use))
	s.charge(p.needs, windows, p.use-p.ask)
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range p.needs {
		c.told += p.use
	}
}

// each returns the same amount for each counter.
func each(needs []*counted, amount int64) []int64 {
	return slices.Repeat([]int64{amount}, len(needs))
}

func (s *schedule) charge(needs []*counted, windows []int64, amount int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, c := range needs {
		c.net[windows[i]] += amount
	}
}

// crosses reports whether the schedule runs past the end of an hour, the
// quota's period.
func (s *schedule) crosses() bool { return s.seed%6 == 1 }

// run runs callers and faults for about two minutes, then neither.
func (s *schedule) run() {
	time.Sleep(10 * time.Minute) // a bubble's time begins at midnight
	if s.crosses() {
		time.Sleep(49 * time.Minute)
	}
	span := int64(130 * time.Second)
	callers := 10 + 4*len(s.instances)
	for range callers {
		m := s.instances[s.Between(0, int64(len(s.instances))-1)]
		needs := s.counters[:1]
		if s.needs == 3 {
			needs = []*counted{s.counters[0], s.counters[1], s.counters[s.Between(2, 3)]}
			if s.Between(0, 1) == 0 {
				needs = []*counted{needs[2], needs[1], needs[0]}
			}
		}
		ask := s.Between(1, max(1, smallest(needs)/3))
		after, hold := time.Duration(s.Between(0, span)), time.Duration(s.Between(0, int64(9*time.Second)))
		use, cancel := s.Between(0, ask), s.Between(0, 9) == 0
		p := plan{needs: needs, after: after, hold: hold, ask: ask, use: use, cancel: cancel}
		if s.Between(0, 9) == 0 { // the caller leaves: it is charged a bound until upstream reports its usage
			p.raise, p.raised = s.Between(ask, 2*needs[0].terms.PerMinute), time.Duration(s.Between(0, int64(40*time.Second)))
		}
		s.calls.Go(func() { s.call(m, p) })
	}
	for _, m := range s.instances {
		switch s.Between(0, 9) {
		case 0:
			at := time.Duration(s.Between(0, span))
			s.kills++
			s.calls.Go(func() {
				time.Sleep(at)
				s.mu.Lock()
				defer s.mu.Unlock()
				m.kill()
			})
		case 1:
			at, d := time.Duration(s.Between(0, span)), time.Duration(s.Between(int64(time.Second), int64(40*time.Second)))
			s.calls.Go(func() {
				time.Sleep(at)
				m.link.Pause(d)
			})
		}
	}
	s.calls.Wait()
	s.SetFaults(0)
	for _, m := range s.instances {
		if !m.link.Killed() {
			m.close(s.t)
		}
	}
	s.Wait()
	synctest.Wait()
}

// smallest returns the smallest of the counters' limits.
func smallest(needs []*counted) int64 {
	least := needs[0].terms.PerMinute
	for _, c := range needs {
		least = min(least, c.terms.PerMinute)
	}
	return least
}

// flush closes a counter's last minute when it is long over.
func (s *schedule) flush(c *counted) lease.Row {
	janitor := s.instance(0)
	defer janitor.close(s.t)
	if _, err := janitor.FlushIdle(context.Background(), c.key); err != nil {
		s.t.Errorf("seed %d: flush: got %v, want no error", s.seed, err)
	}
	state, _, _, err := s.Store.Load(context.Background(), c.key)
	if err != nil && len(c.net) > 0 {
		s.t.Errorf("seed %d: loading the counter: got %v, want no error", s.seed, err)
	}
	return state
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

func (s *schedule) fail(c *counted, format string, args ...any) {
	s.t.Errorf("seed %d, %d instances, %d killed, counter %q, %+v: %s", s.seed, len(s.instances), s.kills, c.key, c.terms, fmt.Sprintf(format, args...))
}

func (s *schedule) checkCounter(c *counted) (over int64) {
	if over = c.overLimit(); over > 0 {
		s.fail(c, "amount over the limit: got %d, want 0: %v", over, c.net)
	}
	state := s.flush(c)
	// A paused instance may have spent what was forfeited.
	if spent, forfeited := state.PeriodSpent, s.forfeited(); c.terms.Quota > 0 && !s.crosses() {
		switch {
		case spent+c.unsettled < c.told:
			s.fail(c, "charged to the period: got %d, want at least the %d that callers settled, less %d reserved by killed calls", spent, c.told, c.unsettled)
		case s.kills == 0 && (spent < c.told || spent > c.told+forfeited):
			s.fail(c, "charged to the period: got %d, want %d to %d, with what was forfeited", spent, c.told, c.told+forfeited)
		}
	}
	for _, slot := range state.Slots {
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
func (c *counted) overLimit() (over int64) {
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
func (s *schedule) probe(c *counted) {
	m := s.instance(0)
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

// schedules returns the number of seeds to run: the value of SCHEDULES if it is
// set, else 10,000, or fewer under -short and the race detector.
func schedules() uint64 {
	if n, err := strconv.ParseUint(os.Getenv("SCHEDULES"), 10, 64); err == nil {
		return n
	}
	if testing.Short() {
		return 200
	}
	if raceDetector {
		return 500
	}
	return 10_000
}

// TestRandomSchedulesWithFaultsKeepThePromises runs seeded schedules of instances,
// calls and faults: lost, late and doubled messages, refusals, pauses, kills and
// wrong clocks. No schedule exceeds a limit or charges a token twice, and tokens
// are lost only with a killed instance.
func TestRandomSchedulesWithFaultsKeepThePromises(t *testing.T) { runSchedules(t, schedules()) }

// runSchedules runs the seeds and returns the tokens charged over a limit.
func runSchedules(t *testing.T, n uint64) (overLimit int64) {
	var next atomic.Uint64
	var over atomic.Int64
	t.Run("seeds", func(t *testing.T) {
		for worker := range 2 {
			t.Run(strconv.Itoa(worker), func(t *testing.T) {
				t.Parallel()
				for seed := next.Add(1); seed <= n && !t.Failed(); seed = next.Add(1) {
					synctest.Test(t, func(t *testing.T) {
						s := draw(t, seed)
						s.run()
						over.Add(s.check())
					})
				}
			})
		}
	})
	return over.Load()
}

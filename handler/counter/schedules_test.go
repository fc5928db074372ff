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

// schedule is a run with faults of instances that share one counter in full
// reservation, and what their calls settled.
type schedule struct {
	*countertest.Network
	t         *testing.T
	seed      uint64
	terms     counter.Terms
	instances []*mortal
	calls     sync.WaitGroup

	mu        sync.Mutex
	told      int64 // tokens settled by instances that were alive
	unsettled int64 // tokens that calls of killed instances had reserved
	net       map[int64]int64
	kills     int
}

// draw returns the schedule of a seed. Most have few instances and small limits,
// so that they compete for tokens.
func draw(t *testing.T, seed uint64) *schedule {
	s := &schedule{Network: quietNetwork(seed), seed: seed, t: t, net: make(map[int64]int64)}
	n := s.Between(1, 8)
	switch {
	case seed%100 == 0:
		n = 64
	case seed%20 == 0:
		n = s.Between(9, 24)
	}
	s.terms = counter.Terms{Limits: limit.Limits{PerMinute: s.Between(50, 2000), Version: 1}, OnStoreDown: limit.FailClosed}
	if seed%3 == 0 {
		s.terms.Burst = s.Between(1, s.terms.PerMinute)
	}
	if seed%2 == 0 {
		s.terms.Quota, s.terms.Period = s.terms.PerMinute*2, limit.Hourly
	}
	if seed%5 == 0 {
		s.terms.MaxWait = time.Duration(s.Between(1, 90)) * time.Second
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
	after, hold time.Duration
	ask, use    int64
	cancel      bool
	raise       int64         // what it is raised to before it is settled; 0: it isn't raised
	raised      time.Duration // how long the raise lasts
}

// call makes one call, holds its reservation for a while and settles it.
func (s *schedule) call(m *mortal, p plan) {
	ask, use := p.ask, p.use
	time.Sleep(p.after)
	ctx, leave := context.WithTimeout(context.Background(), 100*time.Second)
	defer leave()
	r, d, err := m.Reserve(ctx, "key", s.terms, limit.Ask{Amount: ask})
	if err != nil || r == nil || m.link.Killed() {
		return
	}
	if d.Amount != ask {
		s.t.Errorf("seed %d: got %d reserved, want the %d asked", s.seed, d.Amount, ask)
	}
	window, _ := r.Window()
	s.charge(window, ask)
	time.Sleep(p.hold)
	if p.raise > 0 && !m.link.Killed() {
		r.Raise(p.raise)
		time.Sleep(p.raised)
	}
	if m.link.Killed() {
		s.mu.Lock()
		s.unsettled += ask
		s.mu.Unlock()
		return
	}
	m.ended(ask)
	if p.cancel {
		r.Cancel()
		s.charge(window, -ask)
		return
	}
	r.Settle(use)
	s.charge(window, use-ask)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.told += use
}

func (s *schedule) charge(window, amount int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.net[window] += amount
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
		ask := s.Between(1, max(1, s.terms.PerMinute/3))
		after, hold := time.Duration(s.Between(0, span)), time.Duration(s.Between(0, int64(9*time.Second)))
		use, cancel := s.Between(0, ask), s.Between(0, 9) == 0
		p := plan{after: after, hold: hold, ask: ask, use: use, cancel: cancel}
		if s.Between(0, 9) == 0 { // the caller leaves: it is charged a bound until upstream reports its usage
			p.raise, p.raised = s.Between(ask, 2*s.terms.PerMinute), time.Duration(s.Between(0, int64(40*time.Second)))
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
				unreported := m.kill()
				s.mu.Lock()
				defer s.mu.Unlock()
				s.unsettled += unreported
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

// flush closes the counter's last minute when it is long over.
func (s *schedule) flush() lease.Row {
	time.Sleep(7 * time.Minute) // the last minute may lie ahead, if a clock ran ahead
	janitor := s.instance(0)
	defer janitor.close(s.t)
	if _, err := janitor.FlushIdle(context.Background(), "key"); err != nil {
		s.t.Errorf("seed %d: flush: got %v, want no error", s.seed, err)
	}
	state, _, _, err := s.Store.Load(context.Background(), "key")
	if err != nil && len(s.net) > 0 {
		s.t.Errorf("seed %d: loading the counter: got %v, want no error", s.seed, err)
	}
	return state
}

// check compares the outcome with the promises.
func (s *schedule) check() (over int64) {
	fail := func(format string, args ...any) {
		s.t.Errorf("seed %d, %d instances, %d killed, %+v: %s", s.seed, len(s.instances), s.kills, s.terms, fmt.Sprintf(format, args...))
	}
	over = s.overLimit()
	if over > 0 {
		fail("tokens over the limit: got %d, want 0: %v", over, s.net)
	}
	state := s.flush()
	// A paused instance may have spent tokens that were forfeited.
	if spent, forfeited := state.PeriodSpent, s.forfeited(); s.terms.Quota > 0 && !s.crosses() {
		switch {
		case spent+s.unsettled < s.told:
			fail("charged to the period: got %d, want at least the %d that callers settled, less %d reserved by killed calls", spent, s.told, s.unsettled)
		case s.kills == 0 && (spent < s.told || spent > s.told+forfeited):
			fail("charged to the period: got %d, want %d to %d, with what was forfeited", spent, s.told, s.told+forfeited)
		}
	}
	for _, slot := range state.Slots {
		if slot.Leased != 0 {
			fail("a slot: got %d tokens leased, want 0", slot.Leased)
		}
	}
	s.probe(fail)
	return over
}

// forfeited returns the amount of leases that instances have reclaimed.
func (s *schedule) forfeited() (sum int64) {
	for _, m := range s.instances {
		sum += m.Stats().Forfeited
	}
	return sum
}

// overLimit returns the most tokens charged over the limit in any run of minutes
// or in any period.
func (s *schedule) overLimit() (over int64) {
	minutes := slices.Sorted(maps.Keys(s.net))
	periods := make(map[int64]int64)
	for i := range minutes {
		var sum int64
		for j := i; j < len(minutes); j++ {
			sum += s.net[minutes[j]]
			k := minutes[j] - minutes[i] + 1
			over = max(over, sum-k*s.terms.PerMinute-s.terms.Burst)
		}
		periods[minutes[i]/60] += s.net[minutes[i]]
	}
	for _, sum := range periods {
		if s.terms.Quota > 0 {
			over = max(over, sum-s.terms.Quota)
		}
	}
	return over
}

// probe checks that no tokens stay leased: an hour later a new instance is granted
// a whole minute's tokens.
func (s *schedule) probe(fail func(string, ...any)) {
	time.Sleep(time.Hour)
	m := s.instance(0)
	terms := s.terms
	terms.MaxWait = 0
	r, d, err := m.Reserve(context.Background(), "key", terms, limit.Ask{Amount: terms.PerMinute})
	if err != nil || d.Verdict != limit.Granted {
		fail("a call for a minute's tokens an hour later: got %+v, %v; want it granted", d, err)
	} else {
		r.Cancel()
	}
	m.close(s.t)
}

// A mortal is an instance that may be killed.
type mortal struct {
	*counter.Counter
	link *countertest.Link

	mu   sync.Mutex
	ends []end // of calls
}

// end is the end of a call that had reserved tokens.
type end struct {
	at       time.Time
	reserved int64
}

func newMortal(n *countertest.Network) *mortal {
	link := n.Link()
	return &mortal{Counter: instance(link), link: link}
}

func (s *schedule) instance(skew time.Duration) *mortal {
	m := newMortal(s.Network)
	m.link.Date = func() time.Time { return time.Now().Add(skew).Truncate(time.Second) }
	return m
}

func (m *mortal) ended(reserved int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.ends = append(m.ends, end{time.Now(), reserved})
}

// unreportedFor bounds how long a call's end may stay unwritten while operations
// fail.
const unreportedFor = 30 * time.Second

// kill ends an instance as SIGKILL does, and returns the reservations of calls
// whose end it may not have written.
func (m *mortal) kill() (unreported int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.link.Kill()
	for _, end := range m.ends {
		if time.Since(end.at) < unreportedFor {
			unreported += end.reserved
		}
	}
	return unreported
}

// close closes an instance and expects no error.
func (m *mortal) close(t *testing.T) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Minute)
	defer cancel()
	if err := m.Close(ctx); err != nil {
		t.Errorf("close: got %v, want no error", err)
	}
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

package counter_test

import (
	"context"
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
	"tollgate/handler/limit"
)

// A schedule is a run of instances that share counters over a network with faults. Its calls
// use no more than they reserve.
type schedule struct {
	*countertest.Network
	t         *testing.T
	seed      uint64
	counters  []*account // that calls may need
	needs     int        // how many of them a call needs
	instances []*member
	calls     sync.WaitGroup

	mu    sync.Mutex
	kills int
}

// An account sums up what calls reserved and settled in one counter.
type account struct {
	key       string
	terms     counter.Terms
	settled   int64           // by instances that were alive
	unsettled int64           // reserved by calls of killed instances
	net       map[int64]int64 // by minute: reserved, less what came back
}

// A member is an instance of a schedule.
type member struct {
	*killable

	mu   sync.Mutex
	ends []end
}

// An end is the end of a call that had reserved an amount.
type end struct {
	at       time.Time
	needs    []*account
	reserved int64
}

// join adds an instance whose answers have a time that is off by skew.
func (s *schedule) join(skew time.Duration) *member {
	m := &member{killable: newKillable(s.Network)}
	m.link.Date = func() time.Time { return time.Now().Add(skew).Truncate(time.Second) }
	return m
}

// ended records the end of a call.
func (m *member) ended(needs []*account, reserved int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.ends = append(m.ends, end{time.Now(), needs, reserved})
}

// unreportedFor bounds how long a call's end may stay unwritten while operations fail.
const unreportedFor = 30 * time.Second

// kill ends an instance as SIGKILL does. Calls whose end it may not have written count as
// unsettled.
func (m *member) kill() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.link.Kill()
	for _, end := range m.ends {
		if time.Since(end.at) < unreportedFor {
			for _, a := range end.needs {
				a.unsettled += end.reserved
			}
		}
	}
}

// draw returns the schedule of a seed. Most have few instances and small limits,
// so that they compete for tokens.
func draw(t *testing.T, seed uint64) *schedule {
	s := &schedule{Network: timedNetwork(seed), seed: seed, t: t, needs: 1}
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
	s.counters = []*account{{key: "key", terms: terms, net: make(map[int64]int64)}}
	if seed%7 < 3 { // calls need two counters that all share, and one of two others
		s.needs = 3
		for _, key := range []string{"group", "own 1", "own 2"} {
			terms.PerMinute = max(20, terms.PerMinute*s.Between(40, 200)/100)
			if terms.Quota > 0 {
				terms.Quota = 2 * terms.PerMinute
			}
			s.counters = append(s.counters, &account{key: key, terms: terms, net: make(map[int64]int64)})
		}
	}
	s.SetFaults(int(s.Between(0, 300)))
	for range n {
		skew := time.Duration(0)
		if seed%4 == 0 {
			skew = time.Duration(s.Between(-180, 180)) * time.Second
		}
		s.instances = append(s.instances, s.join(skew))
	}
	return s
}

// A plan is one call.
type plan struct {
	needs    []*account
	after    time.Duration // when it begins
	hold     time.Duration // how long it has its reservations
	ask, use int64
	cancel   bool
	raise    int64         // the amount that it is raised to before it is settled; 0: it isn't
	raised   time.Duration // how long the raise lasts
}

// call makes one call, holds its reservations for a while and settles them.
func (s *schedule) call(m *member, p plan) {
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
			s.t.Errorf("seed %d: got %d reserved of %s, want %d", s.seed, decisions[i].Amount, p.needs[i].key, p.ask)
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
	for _, a := range p.needs {
		a.settled += p.use
	}
}

// each returns an amount once for each counter.
func each(needs []*account, amount int64) []int64 {
	return slices.Repeat([]int64{amount}, len(needs))
}

// charge adds an amount to the minutes that a call's reservations are charged to.
func (s *schedule) charge(needs []*account, windows []int64, amount int64) {
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
			needs = []*account{s.counters[0], s.counters[1], s.counters[s.Between(2, 3)]}
			if s.Between(0, 1) == 0 {
				needs = []*account{needs[2], needs[1], needs[0]}
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
func smallest(needs []*account) int64 {
	least := needs[0].terms.PerMinute
	for _, c := range needs {
		least = min(least, c.terms.PerMinute)
	}
	return least
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

// The faults are lost, late and doubled messages, refused operations, pauses, kills and wrong
// clocks. No schedule exceeds a limit or charges an amount twice, and a charge is lost only
// with a killed instance.
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

package counter_test

import (
	"context"
	"fmt"
	"math"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"tollgate/handler/counter"
	"tollgate/handler/counter/countertest"
	"tollgate/handler/limit"
)

// A load is calls that arrive at random times at random instances, and use what they
// reserved.
type load struct {
	instances int
	perSecond float64 // calls
	fewest    int64   // tokens of a call, at least
	most      int64   // and at most
	limit     int64   // tokens a minute
	minutes   int
	killEvery time.Duration // how often one instance is killed and replaced; 0: never
	limits    int           // that each call needs, all of the same amount; 0 means 1
	owners    int           // each call also needs the counter of one of so many owners
	operation time.Duration // that an operation of the store takes; 0: a random time
}

// parts returns what a call asks of its counters, the measured one first.
func (l load) parts(n *countertest.Network, amount int64) []counter.Part {
	terms := counter.Terms{Limits: limit.Limits{PerMinute: l.limit, Version: 1}}
	keys := []string{"key"}
	for i := 1; i < l.limits; i++ {
		keys = append(keys, fmt.Sprint("key ", i))
	}
	if l.owners > 0 {
		keys = append(keys, fmt.Sprint("own ", n.Between(1, int64(l.owners))))
	}
	return parts(terms, amount, keys...)
}

// measured holds the measurements of a load.
type measured struct {
	mu                           sync.Mutex
	calls, refused, failed, late int64 // late: decided after more than 2 s
	operations, conflicts        int64
	delays                       []time.Duration // of decisions to admit a call
	charged                      map[int64]int64 // by minute
	over                         int64           // tokens over the limit
	share                        float64         // of the limit that was admitted, in whole minutes
}

// perThousand returns the number of operations for 1,000 calls.
func (m *measured) perThousand() float64 { return 1000 * float64(m.operations) / float64(m.calls) }

// perSecond returns the number of operations of an instance in a second.
func (m *measured) perSecond(l load) float64 {
	return float64(m.operations) / (60 * float64(l.minutes) * float64(l.instances))
}

// quantile returns the delay that this part of the admitted calls does not exceed.
func (m *measured) quantile(q float64) time.Duration {
	if len(m.delays) == 0 {
		return 0
	}
	slices.Sort(m.delays)
	return m.delays[int(q*float64(len(m.delays)-1))]
}

// run runs the load in virtual time.
func (l load) run(t *testing.T, seed uint64) *measured {
	m := &measured{charged: make(map[int64]int64)}
	synctest.Test(t, func(t *testing.T) {
		network := timedNetwork(seed)
		if l.operation > 0 {
			network.Fastest, network.Slowest = l.operation, l.operation
		}
		instances := make([]*killable, l.instances)
		for i := range instances {
			instances[i] = newKillable(network)
		}
		begin := time.Now()
		end := begin.Add(time.Duration(l.minutes) * time.Minute)
		nextKill := end
		if l.killEvery > 0 {
			nextKill = begin.Add(l.killEvery / 2)
		}
		var calls sync.WaitGroup
		for {
			time.Sleep(network.Interval(l.perSecond))
			if !time.Now().Before(end) {
				break
			}
			if time.Now().After(nextKill) {
				i := network.Between(0, int64(l.instances)-1)
				instances[i].link.Kill()
				instances[i] = newKillable(network)
				nextKill = nextKill.Add(l.killEvery)
			}
			k, amount := instances[network.Between(0, int64(l.instances)-1)], network.Between(l.fewest, l.most)
			asks := l.parts(network, amount)
			calls.Go(func() { m.call(k, asks, amount) })
		}
		calls.Wait()
		m.operations = network.Begun()
		for _, k := range instances {
			m.conflicts += k.Stats().Conflicts
			k.close(t)
		}
		first := limit.Minute(begin)
		var sum int64
		for minute, amount := range m.charged {
			m.over += max(0, amount-l.limit)
			if minute < first+int64(l.minutes) {
				sum += amount
			}
		}
		m.share = float64(sum) / float64(l.limit*int64(l.minutes))
	})
	return m
}

// call makes one call and records its outcome.
func (m *measured) call(k *killable, asks []counter.Part, amount int64) {
	began := time.Now()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second) // a killed instance never answers
	defer cancel()
	held, _, err := k.Reserve(ctx, asks)
	delay := time.Since(began)
	m.mu.Lock()
	defer m.mu.Unlock()
	m.calls++
	switch {
	case k.link.Killed():
		if held != nil { // it counts against the limit
			m.charge(&held[0], amount)
		}
		return
	case err != nil:
		m.failed++
	case held == nil:
		m.refused++
	default:
		m.delays = append(m.delays, delay)
		m.charge(&held[0], amount)
		held.Settle(slices.Repeat([]int64{amount}, len(held)))
	}
	if delay > 2*time.Second {
		m.late++
	}
}

// failures returns the number of calls that failed or were late. Up to one late call in 1,000
// doesn't count: where many instances write one row, some writer conflicts several times in a
// row.
func (m *measured) failures() int64 {
	if m.late*1000 <= m.calls {
		return m.failed
	}
	return m.failed + m.late
}

// charge adds a reservation to the minute that it was charged to.
func (m *measured) charge(r *counter.Reservation, amount int64) {
	minute, _ := r.Window()
	m.charged[minute] += amount
}

// hot returns the load of a busy subscription, whose demand is 1.2 times its limit.
func hot(instances, minutes int) load {
	return load{instances: instances, perSecond: 500, fewest: 100, most: 400, limit: 500 * 250 * 60 * 10 / 12, minutes: minutes}
}

// organization returns the load of an organization with 500 subscriptions, each with a limit
// of its own beside the organization's.
func organization(instances, minutes int) load {
	l := hot(instances, minutes)
	l.owners = 500
	return l
}

// flood returns a load of a hundred times the calls that its limit admits.
func flood(instances, minutes int) load {
	return load{instances: instances, perSecond: 500, fewest: 100, most: 400, limit: 500 * 250 * 60 / 100, minutes: minutes}
}

// small returns a load whose limit gives each instance a share that is smaller than a call.
func small(minutes int) load {
	return load{instances: 16, perSecond: 1.2 * 300 / 25 / 60, fewest: 25, most: 25, limit: 300, minutes: minutes}
}

func TestAHotSubscriptionCostsFewOperations(t *testing.T) {
	for _, test := range []struct {
		instances int
		most      float64
	}{{16, 60}, {64, 150}} {
		m := hot(test.instances, 1).run(t, 1)
		t.Logf("N=%d: %.1f operations per 1,000 of %d calls, %d refused, share %.4f, p99 %v, p99.9 %v, %d late, %d failed, %d over",
			test.instances, m.perThousand(), m.calls, m.refused, m.share, m.quantile(.99), m.quantile(.999), m.late, m.failed, m.over)
		if m.perThousand() > test.most || test.instances == 16 && m.quantile(.99) > 2*meanOperation || m.failures() > 0 || m.over > 0 || m.share < 0.97 {
			t.Errorf("%d instances: got %.1f operations for 1,000 calls, p99 %v, %d failed or late, %d over, share %.3f; want at most %v, p99 of %v with 16 instances, 0, 0, share of at least 0.97",
				test.instances, m.perThousand(), m.quantile(.99), m.failures(), m.over, m.share, test.most, 2*meanOperation)
		}
	}
}

// Four limits also take no longer than the slowest of them would. Operations take 20 ms.
func TestFourLimitsCostNoMoreThanFourTimesOne(t *testing.T) {
	if testing.Short() {
		t.Skip("it takes seconds")
	}
	l := hot(16, 1)
	l.operation = 20 * time.Millisecond
	one := l.run(t, 1)
	l.limits = 4
	four := l.run(t, 1)
	most := max(one.quantile(.9975)*12/10, l.operation)
	t.Logf("one limit: %.1f operations for 1,000 calls, share %.4f, p99.75 %v; four: %.1f, share %.4f, p99 %v", one.perThousand(), one.share, one.quantile(.9975), four.perThousand(), four.share, four.quantile(.99))
	if got := four.quantile(.99); got > most {
		t.Errorf("p99 with four limits: got %v, want at most %v", got, most)
	}
	if four.perThousand() > 4*one.perThousand() {
		t.Errorf("operations for 1,000 calls with four limits: got %.1f, want at most four times the %.1f with one", four.perThousand(), one.perThousand())
	}
	if four.failures()+four.over > 0 || four.share < 0.97 {
		t.Errorf("four limits: got %d failed or late, %d over, share %.4f; want 0, 0, at least 0.97", four.failures(), four.over, four.share)
	}
}

func TestAHotOrganizationUsesItsLimit(t *testing.T) {
	if testing.Short() {
		t.Skip("it takes seconds")
	}
	m := organization(64, 1).run(t, 1)
	t.Logf("%.1f operations for 1,000 of %d calls, share %.4f, p99 %v, %d late, %d failed", m.perThousand(), m.calls, m.share, m.quantile(.99), m.late, m.failed)
	if m.failures()+m.over > 0 || m.share < 0.97 {
		t.Errorf("64 instances, 500 subscriptions: got %d failed or late, %d over, share %.4f; want 0, 0, at least 0.97", m.failures(), m.over, m.share)
	}
}

func TestAFloodOfRefusedCallsCostsOneOperationASecond(t *testing.T) {
	l := flood(16, 3)
	m := l.run(t, 1)
	rate := m.perSecond(l)
	t.Logf("%.2f operations/s an instance, share %.4f", rate, m.share)
	if rate > 1 || m.failures()+m.over > 0 || m.share < 0.97 {
		t.Errorf("got %.2f operations/s an instance, %d late or failed, %d over, share %.4f; want at most 1, 0, 0, at least 0.97", rate, m.failures(), m.over, m.share)
	}
}

func TestALimitTooSmallToShareCostsAtMostFourOperationsACall(t *testing.T) {
	m := small(60).run(t, 1)
	t.Logf("%.2f operations a call, share %.4f", m.perThousand()/1000, m.share)
	if m.perThousand() > 4000 || m.failures()+m.over > 0 {
		t.Errorf("got %.2f operations a call, %d late or failed, %d over; want at most 4, 0, 0", m.perThousand()/1000, m.failures(), m.over)
	}
}

func TestKillingAnInstanceEveryMinuteCostsNoMoreThanItsLeases(t *testing.T) {
	l := hot(16, 3)
	l.killEvery = time.Minute
	m := l.run(t, 1)
	t.Logf("share %.4f, %d late, %d failed", m.share, m.late, m.failed)
	if m.share < 0.9 || m.over > 0 || m.failures() > 0 {
		t.Errorf("got share %.4f, %d late or failed, %d over; want at least 0.9, 0, 0", m.share, m.failures(), m.over)
	}
}

// The four are a read and a write for the call, a report, and the return of the lease.
func TestALoneCallCostsAtMostFourOperations(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		network := timedNetwork(1)
		c := instance(network.Link())
		r, _ := reserve(t, c, minute, 25)
		r.Settle(20)
		time.Sleep(time.Hour)
		if err := c.Close(t.Context()); err != nil {
			t.Error(err)
		}
		if got := network.Begun(); got > 4 {
			t.Errorf("operations for a lone call: got %d, want at most 4", got)
		}
	})
}

// A call that never fits once made its instance expect every later call to be as large, and
// write for each of them.
func TestACallThatNeverFitsLeavesLeaseSizesAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		network := countertest.NewNetwork(0)
		c := instance(network.Link())
		terms := counter.Terms{Limits: limit.Limits{PerMinute: 1_000_000, Version: 1}}
		if _, d, err := c.One(t.Context(), "key", terms, limit.Ask{Amount: math.MaxInt64}); d.Verdict != limit.NeverFitsRate || err != nil {
			t.Fatalf("a call beyond the limit: got %v, %v; want NeverFitsRate, no error", d.Verdict, err)
		}
		for range 100 {
			r, _ := reserve(t, c, terms, 25)
			r.Settle(25)
			time.Sleep(20 * time.Millisecond)
		}
		if operations := network.Begun(); operations > 10 {
			t.Errorf("operations for 100 calls within two seconds: got %d, want at most 10", operations)
		}
		if err := c.Close(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

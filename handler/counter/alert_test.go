package counter_test

import (
	"io"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"tollgate/handler/counter"
	"tollgate/handler/counter/memstore"
	"tollgate/handler/limit"
)

// alerted is a quota of 1,000 an hour that tells 50, 80 and 95 percent of it.
var alerted = counter.Terms{Limits: limit.Limits{Quota: 1000, Period: limit.Hourly, Version: 1}, AlertAt: []int{50, 80, 95}}

// listener hears the alerts of all instances.
type listener struct {
	mu   sync.Mutex
	told []int
}

func (l *listener) instance(store counter.Store) *counter.Counter {
	var c *counter.Counter
	c = counter.New(counter.Config{Store: store, Log: slog.New(slog.NewTextHandler(io.Discard, nil)), Alert: func(a counter.Alert) {
		l.mu.Lock()
		defer l.mu.Unlock()
		if st, known := c.Known(a.Key); !known || st.QuotaUsed*100 < int64(a.Percent)*st.Quota || a.Standing.QuotaUsed*100 < int64(a.Percent)*a.Standing.Quota { // no lock is held
			slog.Error("an alert too early", "alert", a, "standing", st)
			a.Percent = -a.Percent
		}
		l.told = append(l.told, a.Percent)
	}})
	return c
}

// heard returns what was told since the last time.
func (l *listener) heard() []int {
	time.Sleep(10 * time.Second) // until everything is reported
	l.mu.Lock()
	defer l.mu.Unlock()
	told := l.told
	l.told = nil
	return told
}

func TestEachPercentIsToldOnceAPeriod(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var l listener
		store := memstore.New()
		instances := []*counter.Counter{l.instance(store), l.instance(store)}
		n := 0
		use := func(terms counter.Terms, amount int64) []int {
			t.Helper()
			n++
			r, d, err := instances[n%2].One(t.Context(), "key", terms, limit.Ask{Amount: amount})
			if r == nil {
				t.Fatalf("a call for %d: got %+v, %v, want it granted", amount, d, err)
			}
			r.Settle(amount)
			return l.heard()
		}
		raised := alerted
		raised.Quota, raised.Version = 2000, 2
		expect := func(what string, got []int, want ...int) {
			t.Helper()
			if !slices.Equal(got, want) {
				t.Errorf("%s: got %v told, want %v", what, got, want)
			}
		}
		expect("49 percent", use(alerted, 490))
		expect("51 percent", use(alerted, 20), 50)
		expect("52 percent", use(alerted, 10))
		expect("96 percent at once", use(alerted, 440), 95)
		expect("all of it", use(alerted, 40))
		expect("50 percent of twice the quota", use(raised, 1))
		expect("81 percent of it", use(raised, 620), 80)
		time.Sleep(time.Hour)
		expect("60 percent of the next period", use(raised, 1200), 50)
		fewer := raised
		fewer.AlertAt = nil
		expect("90 percent, and nothing is to be told", use(fewer, 600))
	})
}

// TestAlertsAreToldOnceWhateverAnswersAreLost: each instance learns in the end whether
// its write was applied.
func TestAlertsAreToldOnceWhateverAnswersAreLost(t *testing.T) {
	for seed := range uint64(60) {
		synctest.Test(t, func(t *testing.T) {
			var l listener
			network := quietNetwork(seed)
			network.SetFaults(300)
			instances := []*counter.Counter{l.instance(network.Link()), l.instance(network.Link()), l.instance(network.Link())}
			var calls sync.WaitGroup
			for n := range 100 {
				calls.Go(func() {
					time.Sleep(time.Duration(network.Between(0, 100_000)) * time.Millisecond)
					if r, _, err := instances[n%3].One(t.Context(), "key", alerted, limit.Ask{Amount: 10}); err == nil && r != nil {
						r.Settle(10)
					}
				})
			}
			calls.Wait()
			network.SetFaults(0)
			for _, c := range instances {
				if err := c.Close(t.Context()); err != nil {
					t.Error(err)
				}
			}
			told := l.heard()
			row := written(t, network.Store)
			if !slices.IsSorted(told) || len(slices.Compact(slices.Clone(told))) != len(told) || len(told) > 0 && int64(told[len(told)-1]) != row.Told || row.Told == 0 && row.PeriodSpent >= 500 {
				t.Errorf("seed %d: got %v told, and %d of %d in the row; want each percent once, up to the row's", seed, told, row.Told, row.PeriodSpent)
			}
		})
	}
}

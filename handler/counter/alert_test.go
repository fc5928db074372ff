package counter_test

import (
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

// alerted is a quota of 1,000 an hour with alerts at 50, 80 and 95 percent.
var alerted = counter.Terms{Limits: limit.Limits{Quota: 1000, Period: limit.Hourly, Version: 1}, AlertAt: []int{50, 80, 95}}

// An alertLog records the percents of the alerts of all its instances.
type alertLog struct {
	mu       sync.Mutex
	percents []int
}

// instance returns a new instance whose alerts are recorded, and checked to come no earlier
// than the percent is used.
func (l *alertLog) instance(t *testing.T, store counter.Store) *counter.Counter {
	var c *counter.Counter
	c = counter.New(counter.Config{Store: store, Log: slog.New(slog.DiscardHandler), Alert: func(a counter.Alert) {
		l.mu.Lock()
		defer l.mu.Unlock()
		known, _ := c.Known(a.Key) // would block if the caller held the replica's lock
		if least := int64(a.Percent) * known.Quota; known.QuotaUsed*100 < least || a.Standing.QuotaUsed*100 < least {
			t.Errorf("an alert at %d percent: got %d used of %d in it and %d known, want that percent used", a.Percent, a.Standing.QuotaUsed, known.Quota, known.QuotaUsed)
		}
		l.percents = append(l.percents, a.Percent)
	}})
	return c
}

// take returns the percents recorded since the last time, once everything is reported.
func (l *alertLog) take() []int {
	time.Sleep(10 * time.Second)
	l.mu.Lock()
	defer l.mu.Unlock()
	taken := l.percents
	l.percents = nil
	return taken
}

func TestEachPercentHasOneAlertAPeriod(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var l alertLog
		store := memstore.New()
		instances := []*counter.Counter{l.instance(t, store), l.instance(t, store)}
		n := 0
		use := func(terms counter.Terms, amount int64) []int {
			t.Helper()
			n++
			r, d, err := instances[n%2].One(t.Context(), "key", terms, limit.Ask{Amount: amount})
			if r == nil {
				t.Fatalf("a call for %d: got %+v, %v; want it granted", amount, d, err)
			}
			r.Settle(amount)
			return l.take()
		}
		raised := alerted
		raised.Quota, raised.Version = 2000, 2
		expect := func(what string, got []int, want ...int) {
			t.Helper()
			if !slices.Equal(got, want) {
				t.Errorf("%s: got alerts at %v, want %v", what, got, want)
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
		expect("90 percent without AlertAt", use(fewer, 600))
	})
}

// Each instance learns in the end whether its write was applied.
func TestEachPercentHasOneAlertWhateverAnswersAreLost(t *testing.T) {
	for seed := range uint64(60) {
		synctest.Test(t, func(t *testing.T) {
			var l alertLog
			network := timedNetwork(seed)
			network.SetFaults(300)
			instances := []*counter.Counter{l.instance(t, network.Link()), l.instance(t, network.Link()), l.instance(t, network.Link())}
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
			percents, row := l.take(), written(t, network.Store)
			ascending := slices.IsSorted(percents) && len(slices.Compact(slices.Clone(percents))) == len(percents)
			var last int
			if n := len(percents); n > 0 {
				last = percents[n-1]
			}
			if !ascending || int64(last) != row.Alerted || row.Alerted == 0 && row.PeriodSpent >= 500 {
				t.Errorf("seed %d: got alerts at %v, and %d percent in the row with %d spent; want each percent once, up to the row's", seed, percents, row.Alerted, row.PeriodSpent)
			}
		})
	}
}

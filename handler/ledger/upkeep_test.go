package ledger_test

import (
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"tollgate/handler/ledger"
	"tollgate/handler/ledger/memstore"
)

const (
	day       = 24 * time.Hour
	retention = 90 * day
)

// A simulation is months of a ledger that processes write to and housekeeping keeps up, while
// the store fails now and then.
type simulation struct {
	*testing.T
	mu      sync.Mutex
	dice    *rand.Rand
	store   *memstore.Store
	trouble int                  // percent of operations that fail
	minutes map[ledger.Key]int64 // calls that were stored, by subscription, model and minute
	process int
}

func newSimulation(t *testing.T, seed uint64) *simulation {
	e := &simulation{T: t, dice: rand.New(rand.NewPCG(seed, 2)), minutes: make(map[ledger.Key]int64)}
	e.store = memstore.New(func(string) (bool, error) {
		if e.roll(100) >= e.trouble {
			return true, nil
		}
		return e.roll(2) == 0, errors.New("no answer")
	})
	return e
}

func (e *simulation) roll(n int) int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.dice.IntN(n)
}

// put stores a row that no other process writes, and retries until that succeeds.
func (e *simulation) put(row ledger.Row) {
	for range 100 {
		if _, err := e.store.Apply(e.Context(), []ledger.Change{{Row: row}}); err == nil || errors.Is(err, ledger.ErrConflict) {
			return
		}
	}
	e.Fatal("the store failed a hundred times")
}

// call writes the rows of a new process that counted some calls some time ago. It may be
// killed before it writes the day's row.
func (e *simulation) call(ago time.Duration) {
	e.process++
	row := ledger.Row{Key: ledger.Key{Subscription: fmt.Sprintf("team-%d", e.roll(3)), Model: fmt.Sprintf("m%d", e.roll(2)), Span: ledger.Minute, Start: time.Now().Add(-ago).Unix() / 60},
		Process: fmt.Sprintf("P%d", e.process), Revision: 1, Totals: ledger.Totals{Calls: int64(1 + e.roll(9))}}
	e.put(row)
	e.minutes[row.Key] += row.Calls
	headline := row
	headline.Subscription = ""
	e.put(headline)
	if e.roll(3) > 0 {
		day := row
		day.Span, day.Start = ledger.Day, row.Start-row.Start%(24*60)
		e.put(day)
	}
}

// keepUp runs the upkeep, now and then twice at the same time.
func (e *simulation) keepUp() (err error) {
	upkeep := ledger.Upkeep{Store: e.store, Retention: retention, Log: slog.New(slog.DiscardHandler)}
	var runs sync.WaitGroup
	if e.roll(3) == 0 {
		runs.Go(func() { _, _ = upkeep.Run(e.Context()) })
	}
	_, err = upkeep.Run(e.Context())
	runs.Wait()
	return err
}

// check compares the hours and days in the ledger with the calls that were stored. It compares
// only those that are kept, and days only if they are closed.
func (e *simulation) check(closed bool) {
	e.Helper()
	trouble := e.trouble
	e.trouble = 0
	defer func() { e.trouble = trouble }()
	today := time.Now().UTC().Truncate(day)
	wantHours, wantDays, gotHours, gotDays := make(callsByHour), make(callsByHour), make(callsByHour), make(callsByHour)
	for key, calls := range e.minutes {
		if hour := key; !key.Time().Before(today.Add(-ledger.KeepHours)) {
			hour.Span, hour.Start = ledger.Hour, key.Start-key.Start%60
			wantHours[hour] += calls
			hour.Subscription = ""
			wantHours[hour] += calls
		}
		key.Span, key.Start = ledger.Day, key.Start-key.Start%(24*60)
		if !key.Time().Before(today.Add(-retention)) && key.Time().Before(today) {
			wantDays[key] += calls
		}
	}
	for partition, err := range e.store.Partitions(e.Context(), "", "") {
		if err != nil {
			e.Fatal(err)
		}
		var rows []ledger.Row
		for row, err := range e.store.Rows(e.Context(), partition, "", "") {
			if err != nil {
				e.Fatal(err)
			}
			rows = append(rows, row)
		}
		for _, u := range ledger.Join(rows) {
			switch {
			case u.Span != ledger.Day:
				u.Span, u.Start = ledger.Hour, u.Start-u.Start%60
				gotHours[u.Key] += u.Calls
			case u.Subscription != "" && u.Time().Before(today):
				gotDays[u.Key] += u.Calls
			}
		}
	}
	for key := range gotHours { // hours of days that aren't closed may be kept longer
		if key.Time().Before(today.Add(-ledger.KeepHours)) {
			delete(gotHours, key)
		}
	}
	if diff := cmp.Diff(wantHours, gotHours); diff != "" {
		e.Fatalf("calls by hour (-stored +read):\n%s", diff)
	}
	if diff := cmp.Diff(wantDays, gotDays); closed && diff != "" {
		e.Fatalf("calls by day (-stored +read):\n%s", diff)
	}
}

// Processes are killed before they write days, rows arrive late, the store fails, two runs
// overlap, and sometimes nothing runs for days.
func TestHoursAndClosedDaysHaveEveryCallOfTheirMinutes(t *testing.T) {
	seeds := uint64(3)
	if testing.Short() {
		seeds = 3
	}
	for seed := range seeds {
		failed := !t.Run(fmt.Sprint(seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				e := newSimulation(t, seed)
				for end := time.Now().Add(100 * day); time.Now().Before(end); {
					for range e.roll(4) {
						e.call([]time.Duration{0, 0, 0, 50 * time.Minute, 5 * time.Hour, 4 * day}[e.roll(6)])
					}
					time.Sleep(time.Duration(e.roll(12)+1) * time.Hour)
					if e.roll(20) == 0 {
						time.Sleep(time.Duration(e.roll(10)) * day)
						e.trouble = 0
					} else {
						e.trouble = e.roll(15)
					}
					err := e.keepUp()
					e.check(err == nil && e.trouble == 0 && time.Now().UTC().Hour() > 0)
				}
			})
		})
		if failed {
			break
		}
	}
}

// A process is killed before it writes the day's row, and then nothing runs for months. The
// first run finds minutes older than they are kept. Whichever write of it fails, the day must
// have all of them in the end.
func TestADayIsClosedBeforeItsMinutesAreDeleted(t *testing.T) {
	for failing := range 5 {
		synctest.Test(t, func(t *testing.T) {
			writes := -1000
			s := fixture{t, ledger.Reader{Store: memstore.New(func(operation string) (bool, error) {
				if operation == "apply" {
					writes++
				}
				if operation == "apply" && writes == failing {
					return false, errors.New("no answer")
				}
				return true, nil
			})}}
			for minute := range int64(250) {
				row := ledger.Row{Key: ledger.Key{Subscription: "team-a", Span: ledger.Minute, Start: began.Unix()/60 + minute}, Process: "P1", Revision: 1, Totals: ledger.Totals{Calls: 1}}
				if _, err := s.Store.Apply(t.Context(), []ledger.Change{{Row: row}}); err != nil {
					t.Fatal(err)
				}
			}
			time.Sleep(75 * day)
			writes = -1
			upkeep := ledger.Upkeep{Store: s.Store, Retention: 400 * day, Log: slog.New(slog.DiscardHandler)}
			for range 3 {
				_, _ = upkeep.Run(t.Context())
				time.Sleep(time.Hour)
			}
			days, err := s.Days(t.Context(), began, began.Add(day), ledger.Day)
			if err != nil {
				t.Fatal(err)
			}
			s.expect(fmt.Sprintf("write %d fails: the day", failing), format(days.Items), "01T00:00 team-a 250")
			for row := range s.Store.Rows(t.Context(), team, "", "") {
				t.Fatalf("write %d fails: got the row %s, want no minutes or hours of 75 days ago", failing, row.RowKey())
			}
			if writes < failing {
				t.Errorf("got %d writes, want more than the %d before the one that fails", writes, failing)
			}
		})
	}
}

func TestNoRowIsKeptLongerThanTheRetention(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newFixture(t)
		s.record("P1", "team-a", "R1", began, 5)
		upkeep := ledger.Upkeep{Store: s.Store, Retention: 3 * day, Log: slog.New(slog.DiscardHandler)}
		for range 6 * 24 {
			time.Sleep(time.Hour)
			if _, err := upkeep.Run(t.Context()); err != nil {
				t.Fatal(err)
			}
			days, err := s.Days(t.Context(), began, began.Add(day), ledger.Day)
			if err != nil {
				t.Fatal(err)
			}
			series, err := s.Subscription(t.Context(), "team-a", began, began.Add(day), ledger.Hour)
			if err != nil {
				t.Fatal(err)
			}
			kept := time.Now().UTC().Truncate(day).Sub(began) <= 3*day
			if (len(days.Items) == 1) != kept || (len(series.Items) == 1) != kept {
				t.Fatalf("%s later: got %d days and %d hours with usage, want one of each: %t", time.Since(began), len(days.Items), len(series.Items), kept)
			}
		}
		for partition := range s.Store.Partitions(t.Context(), "", ledger.DayPartition(began.Add(day))) {
			t.Errorf("after 6 days: got rows in %q, want none", partition)
		}
	})
}

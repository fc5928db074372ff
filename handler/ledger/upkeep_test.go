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

// An era is months of a ledger that processes write to and housekeeping keeps up, while
// the store fails now and then.
type era struct {
	*testing.T
	mu      sync.Mutex
	dice    *rand.Rand
	store   *memstore.Store
	trouble int                  // percent of operations that fail
	minutes map[ledger.Key]int64 // calls that were stored, by subscription, model and minute
	process int
}

func newEra(t *testing.T, seed uint64) *era {
	e := &era{T: t, dice: rand.New(rand.NewPCG(seed, 2)), minutes: make(map[ledger.Key]int64)}
	e.store = memstore.New(func(string) (bool, error) {
		if e.roll(100) >= e.trouble {
			return true, nil
		}
		return e.roll(2) == 0, errors.New("no answer")
	})
	return e
}

func (e *era) roll(n int) int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.dice.IntN(n)
}

// put stores a row that no other process writes to, sooner or later.
func (e *era) put(row ledger.Row) {
	for range 100 {
		if _, err := e.store.Apply(e.Context(), []ledger.Change{{Row: row}}); err == nil || errors.Is(err, ledger.ErrConflict) {
			return
		}
	}
	e.Fatal("the store failed a hundred times")
}

// call has a new process count some calls some time ago, and write them to its rows. It
// may be killed before it writes to the day.
func (e *era) call(ago time.Duration) {
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

// keepUp runs housekeeping, two at once now and then.
func (e *era) keepUp() (err error) {
	upkeep := ledger.Upkeep{Store: e.store, Retention: retention, Log: slog.New(slog.DiscardHandler)}
	var runs sync.WaitGroup
	if e.roll(3) == 0 {
		runs.Go(func() { _, _ = upkeep.Run(e.Context()) })
	}
	_, err = upkeep.Run(e.Context())
	runs.Wait()
	return err
}

// check compares what is stored now with what was stored, of days and minutes that are
// kept.
func (e *era) check(closed bool) {
	e.Helper()
	trouble := e.trouble
	e.trouble = 0
	defer func() { e.trouble = trouble }()
	today := time.Now().UTC().Truncate(day)
	wantHours, wantDays, gotHours, gotDays := make(book), make(book), make(book), make(book)
	for key, calls := range e.minutes {
		if hour := key; !key.Time().Before(today.Add(-ledger.HoursFor)) {
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
	for key := range gotHours { // those of days that aren't closed may be there for longer
		if key.Time().Before(today.Add(-ledger.HoursFor)) {
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

// TestMonthsOfUpkeep: processes are killed before they write to days, rows come late, the
// store fails, two run at once, and nothing runs for days when nobody calls. Hours and
// days, once closed, say what was stored in minutes, to the last call.
func TestMonthsOfUpkeep(t *testing.T) {
	seeds := uint64(3)
	if testing.Short() {
		seeds = 3
	}
	for seed := range seeds {
		failed := !t.Run(fmt.Sprint(seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				e := newEra(t, seed)
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

// TestADayIsClosedBeforeItsMinutesGo: a process is killed before it writes to the day, and
// nobody calls for months, so that nothing runs. The first run finds minutes past their
// time. Whatever fails of it, the day has all of them in the end, and they are gone.
func TestADayIsClosedBeforeItsMinutesGo(t *testing.T) {
	for failing := range 5 {
		synctest.Test(t, func(t *testing.T) {
			writes := -1000
			s := shelf{t, ledger.Reader{Store: memstore.New(func(operation string) (bool, error) {
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
			s.expect(fmt.Sprintf("write %d fails: the day", failing), told(days.Items), "01T00:00 team-a 250")
			for row := range s.Store.Rows(t.Context(), team, "", "") {
				t.Fatalf("write %d fails: got the row %s, want none of 75 days ago", failing, row.RowKey())
			}
			if writes < failing {
				t.Errorf("got %d writes, want more than the %d before the one that fails", writes, failing)
			}
		})
	}
}

// TestUsageIsNotKeptLongerThanDays, be it minutes, headline rows or days.
func TestUsageIsNotKeptLongerThanDays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newShelf(t)
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
		for partition := range s.Store.Partitions(t.Context(), "", ledger.AcrossPartition(began.Add(day))) {
			t.Errorf("after 6 days: got rows in %q, want none", partition)
		}
	})
}

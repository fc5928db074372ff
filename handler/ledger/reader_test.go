package ledger_test

import (
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"tollgate/handler/ledger"
	"tollgate/handler/ledger/memstore"
)

// A fixture is a ledger to which tests write rows as processes do.
type fixture struct {
	*testing.T
	ledger.Reader
}

func newFixture(t *testing.T) fixture { return fixture{t, ledger.Reader{Store: memstore.New(nil)}} }

// record writes calls of a subscription's minute to all rows of a process that count them.
func (s fixture) record(process, subscription, model string, at time.Time, calls int64) {
	s.Helper()
	minute := ledger.Row{Key: ledger.Key{Subscription: subscription, Model: model, Span: ledger.Minute, Start: at.Unix() / 60},
		Process: process, Revision: 1, Totals: ledger.Totals{Calls: calls}}
	headline, day := minute, minute
	headline.Subscription = ""
	day.Span, day.Start = ledger.Day, ledger.Day.Floor(at).Unix()/60
	for _, row := range []ledger.Row{minute, headline, day} {
		for stored := range s.Store.Rows(s.Context(), row.Partition(), row.RowKey(), row.RowKey()+"!") {
			row.Version, row.Revision = stored.Version, stored.Revision+1
			row.Add(stored.Totals)
		}
		if _, err := s.Store.Apply(s.Context(), []ledger.Change{{Row: row}}); err != nil {
			s.Fatal(err)
		}
	}
}

func (s fixture) keepUp() {
	s.Helper()
	if _, err := (ledger.Upkeep{Store: s.Store, Retention: 400 * 24 * time.Hour, Log: slog.New(slog.DiscardHandler)}).Run(s.Context()); err != nil {
		s.Fatal(err)
	}
}

// format lists usage as time, subscription, model and calls, separated by commas.
func format(all []ledger.Usage) string {
	var lines []string
	for _, u := range all {
		lines = append(lines, strings.Join(strings.Fields(fmt.Sprint(u.Time().Format("02T15:04"), " ", u.Subscription, " ", u.Model, " ", u.Calls)), " "))
	}
	return strings.Join(lines, ", ")
}

func (s fixture) expect(what, got, want string) {
	s.Helper()
	if got != want {
		s.Errorf("%s: got %q, want %q", what, got, want)
	}
}

// began is the time at which a synctest bubble starts: a Saturday.
var began = time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)

func TestASubscriptionsUsageIsSummedBySpanAndModel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newFixture(t)
		read := func(from, to time.Time, by ledger.Span) ledger.Series {
			t.Helper()
			series, err := s.Subscription(t.Context(), "team-a", from, to, by)
			if err != nil {
				t.Fatal(err)
			}
			return series
		}
		time.Sleep(10*time.Hour + 30*time.Second)
		s.record("P1", "team-a", "gpt-4o", began.Add(9*time.Hour), 1)
		s.record("P2", "team-a", "gpt-4o", began.Add(9*time.Hour), 2)
		s.record("P1", "team-a", "R1", began.Add(9*time.Hour+1*time.Minute), 4)
		s.record("P1", "team-a", "R1", began.Add(10*time.Hour), 8)
		s.record("P1", "team-b", "R1", began.Add(10*time.Hour), 100)

		minutes := read(began.Add(9*time.Hour+20*time.Second), time.Now(), ledger.Minute)
		s.expect("minutes", format(minutes.Items), "01T09:00 team-a gpt-4o 3, 01T09:01 team-a R1 4, 01T10:00 team-a R1 8")
		s.expect("the bounds of minutes", fmt.Sprint(minutes.From.Format("15:04"), minutes.To.Format(" 15:04")), "09:00 10:01")
		s.expect("hours", format(read(began.Add(9*time.Hour+30*time.Minute), time.Now(), ledger.Hour).Items), "01T09:00 team-a R1 4, 01T09:00 team-a gpt-4o 3, 01T10:00 team-a R1 8")
		s.expect("an hour that is over", format(read(began, began.Add(10*time.Hour), ledger.Hour).Items), "01T09:00 team-a R1 4, 01T09:00 team-a gpt-4o 3")
		s.expect("days", format(read(began, time.Now(), ledger.Day).Items), "01T00:00 team-a R1 12, 01T00:00 team-a gpt-4o 3")

		for time.Since(began) < 100*24*time.Hour {
			time.Sleep(12 * time.Hour)
			s.keepUp()
			if days := format(read(began, began.Add(time.Minute), ledger.Day).Items); days != "01T00:00 team-a R1 12, 01T00:00 team-a gpt-4o 3" {
				t.Fatalf("the first day, %s later: got %q, want it as it was", time.Since(began), days)
			}
		}
		s.record("P9", "team-a", "R1", time.Now(), 16)
		s.expect("months", format(read(began, time.Now(), ledger.Month).Items), "01T00:00 team-a R1 12, 01T00:00 team-a gpt-4o 3, 01T00:00 team-a R1 16")
		if hours := read(began, time.Now(), ledger.Hour); !hours.From.Equal(ledger.Day.Floor(time.Now()).Add(-ledger.KeepHours)) {
			t.Errorf("hours of 100 days: got them from %s, want from 60 days ago, the first that are kept", hours.From)
		}
		if minutes := read(began, time.Now(), ledger.Minute); time.Since(minutes.From).Truncate(time.Hour) != ledger.KeepMinutes {
			t.Errorf("minutes of 100 days: got them from %s, want from 7 days ago, the first that are kept", minutes.From)
		}
	})
}

func TestUsageOfAllSubscriptionsIsReadFromHeadlineRows(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newFixture(t)
		read := func(from, to time.Time, by ledger.Span) string {
			t.Helper()
			series, err := s.AllSubscriptions(t.Context(), from, to, by)
			if err != nil {
				t.Fatal(err)
			}
			return format(series.Items)
		}
		time.Sleep(26 * time.Hour)
		s.record("P1", "team-a", "R1", began.Add(23*time.Hour), 1)
		s.record("P1", "team-b", "R1", began.Add(23*time.Hour), 2)
		s.record("P2", "team-b", "gpt-4o", began.Add(25*time.Hour), 4)
		hours := "01T23:00 R1 3, 02T01:00 gpt-4o 4"
		s.expect("hours", read(began, time.Now(), ledger.Hour), hours)
		s.expect("a minute", read(began.Add(23*time.Hour), began.Add(23*time.Hour+time.Minute), ledger.Minute), "01T23:00 R1 3")
		for range 20 {
			time.Sleep(24 * time.Hour)
			s.keepUp()
			if got := read(began, time.Now(), ledger.Hour); got != hours {
				t.Fatalf("hours, %s later: got %q, want %q", time.Since(began), got, hours)
			}
		}
		s.expect("months", read(began, time.Now(), ledger.Month), "01T00:00 R1 3, 01T00:00 gpt-4o 4")
	})
}

func TestDaysOfAllSubscriptionsAreReadAndRanked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newFixture(t)
		read := func(by ledger.Span) ledger.Series {
			t.Helper()
			days, err := s.Days(t.Context(), began, time.Now(), by)
			if err != nil {
				t.Fatal(err)
			}
			return days
		}
		time.Sleep(26 * time.Hour)
		s.record("P1", "team-a", "R1", began.Add(23*time.Hour), 1)
		s.record("P2", "team-a", "R1", began.Add(23*time.Hour), 2)
		s.record("P1", "team-b", "R1", began.Add(25*time.Hour), 7)
		s.record("P1", "team-c", "gpt-4o", began.Add(25*time.Hour), 6)
		written := time.Now()
		time.Sleep(time.Minute)
		s.keepUp()
		days := read(ledger.Day)
		s.expect("days", format(days.Items), "01T00:00 team-a R1 3, 02T00:00 team-b R1 7, 02T00:00 team-c gpt-4o 6")
		if !days.Written.Equal(written) {
			t.Errorf("Written: got %s, want %s, when the running day was written", days.Written, written)
		}
		s.record("P1", "team-a", "gpt-4o", began.Add(26*time.Hour), 5)
		top, others := ledger.Top(read(ledger.Month).Items, func(k ledger.Key) string { return k.Subscription }, func(t ledger.Totals) int64 { return t.Calls }, 2)
		s.expect("the top two of the month", fmt.Sprint(top[0].Name, top[0].Calls, top[1].Name, top[1].Calls, others.Calls, len(top)), "team-a8team-b7 6 2")
		time.Sleep(24 * time.Hour)
		if yesterday := read(ledger.Day); !yesterday.Written.IsZero() {
			t.Errorf("Written, with nothing written today: got %s, want zero", yesterday.Written)
		}
	})
}

//go:build unix && !race

package tablestore_test

import (
	"crypto/sha256"
	"fmt"
	"syscall"
	"testing"
	"time"

	"tollgate/handler/azure/azuretest"
	"tollgate/handler/ledger"
	"tollgate/handler/ledger/tablestore"
	"tollgate/handler/local/azurite"
)

// busy is the number of subscriptions of a large deployment, each with one model.
const busy = 2000

// fill writes rows in as few transactions as possible.
func fill(t *testing.T, s ledger.Store, rows []ledger.Row) {
	t.Helper()
	var changes []ledger.Change
	for i, row := range rows {
		changes = append(changes, ledger.Change{Row: row})
		if len(changes) == ledger.MaxChanges || i == len(rows)-1 || rows[i+1].Partition() != row.Partition() {
			if _, err := s.Apply(t.Context(), changes); err != nil {
				t.Fatal(err)
			}
			changes = changes[:0]
		}
	}
}

// monthOf returns the rows of 30 closed days, and of the next day as processes write them.
func monthOf(first time.Time) (rows []ledger.Row) {
	for day := range 31 {
		for i := range busy {
			row := ledger.Row{Key: ledger.Key{Subscription: fmt.Sprintf("team-%04d", i), Model: "DeepSeek-R1", Span: ledger.Day, Start: first.AddDate(0, 0, day).Unix() / 60},
				Process: ledger.Sum, Revision: 1, Totals: ledger.Totals{Calls: 1440, PromptTokens: int64(100_000 + i), CompletionTokens: 500_000, ReasoningTokens: 400_000}}
			if day == 30 {
				row.Process = "P1"
			}
			rows = append(rows, row)
		}
	}
	return rows
}

// headlines returns an hour of headline rows of some processes.
func headlines(first time.Time) (rows []ledger.Row) {
	for minute := range int64(60) {
		for _, process := range []string{"P1", "P2", "P3", "P4"} {
			rows = append(rows, ledger.Row{Key: ledger.Key{Model: "DeepSeek-R1", Span: ledger.Minute, Start: first.Unix()/60 + minute}, Process: process, Revision: 1,
				Totals: ledger.Totals{Calls: 500, PromptTokens: 100_000, CompletionTokens: 300_000}})
		}
	}
	return rows
}

// contention returns how many times longer work takes now than on an idle machine: the time
// that some work takes, divided by the CPU time that it uses.
func contention(t *testing.T) float64 {
	t.Helper()
	used := func() time.Duration {
		var usage syscall.Rusage
		if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
			t.Fatal(err)
		}
		return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
	}
	began, before, sum := time.Now(), used(), [32]byte{}
	for used()-before < 200*time.Millisecond {
		for range 10_000 {
			sum = sha256.Sum256(sum[:])
		}
	}
	return max(1, time.Since(began).Seconds()/(used()-before).Seconds())
}

// The times are those of an idle machine: measured times are divided by the contention.
func TestLargeDeploymentsAreReadInTime(t *testing.T) {
	service := azuretest.Open(t, azurite.Own(t).ConnectionString)
	reader := ledger.Reader{Store: tablestore.New(service, tablestore.DefaultTable)}
	today := ledger.Day.Floor(time.Now())
	month := today.AddDate(0, 0, -30)
	began := time.Now()
	fill(t, reader.Store, append(monthOf(month), headlines(today)...))
	t.Logf("written in %s", time.Since(began))

	within := func(what string, most time.Duration, read func() (items int, err error), want int) {
		t.Helper()
		before, began := contention(t), time.Now()
		items, err := read()
		took := time.Since(began)
		alone := time.Duration(float64(took) * 2 / (before + contention(t)))
		t.Logf("%s: %d items in %s, which is %s on an idle machine", what, items, took, alone)
		if err != nil || items != want || alone > most {
			t.Errorf("%s: got %d items and error %v in %s on an idle machine, want %d items in at most %s", what, items, err, alone, want, most)
		}
	}
	within("a month by subscription and model", 10*time.Second, func() (int, error) {
		days, err := reader.Days(t.Context(), month, today, ledger.Day)
		return len(days.Items), err
	}, 30*busy)
	within("an hour by minute and today's top 10", 2*time.Second, func() (int, error) {
		hour, err := reader.AllSubscriptions(t.Context(), today, today.Add(time.Hour), ledger.Minute)
		if err != nil {
			return 0, err
		}
		days, err := reader.Days(t.Context(), today, time.Now(), ledger.Day)
		top, _ := ledger.Top(days.Items, func(k ledger.Key) string { return k.Subscription }, ledger.Totals.Tokens, 10)
		return len(hour.Items) + len(top), err
	}, 60+10)
}

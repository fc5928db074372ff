package ledger_test

import (
	"context"
	"fmt"
	"iter"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"tollgate/handler/ledger"
)

// A generated store has a closed day of many subscriptions in each partition of a day. It makes
// the rows when they are read, and measures how much memory is in use when a reading begins.
type generated struct {
	ledger.Store
	subscriptions int
	mu            sync.Mutex
	readings      int
	peak          uint64 // bytes of the heap in use
}

func (g *generated) Rows(_ context.Context, partition, _, _ string) iter.Seq2[ledger.Row, error] {
	g.measure()
	date := strings.TrimPrefix(partition, "all|")
	return func(yield func(ledger.Row, error) bool) {
		at, err := time.Parse(time.DateOnly, date)
		if err != nil {
			yield(ledger.Row{}, err)
			return
		}
		for i := range g.subscriptions {
			row := ledger.Row{Key: ledger.Key{Subscription: fmt.Sprintf("team-%04d", i), Model: "DeepSeek-R1", Span: ledger.Day, Start: at.Unix() / 60},
				Process: ledger.Sum, Revision: 1, Totals: ledger.Totals{Calls: 1, PromptTokens: 2}}
			if !yield(row, nil) {
				return
			}
		}
	}
}

func (g *generated) measure() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.readings++; g.readings%10 != 1 { // a measurement takes time
		return
	}
	runtime.GC()
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	g.peak = max(g.peak, stats.HeapAlloc)
}

// peakOfDays reads some days summed by a span. It returns the memory that this took, in bytes,
// and the number of sums.
func peakOfDays(tb testing.TB, subscriptions, days int, by ledger.Span) (peak uint64, sums int) {
	tb.Helper()
	store := &generated{subscriptions: subscriptions}
	store.measure()
	before := store.peak
	from := time.Date(2024, 1, 1, 0, 0, 0, 0, time.UTC)
	series, err := ledger.Reader{Store: store}.Days(tb.Context(), from, from.AddDate(0, 0, days), by)
	if err != nil {
		tb.Fatal(err)
	}
	return store.peak - before, len(series.Items)
}

// A report of a year must not hold all of the year's days in memory.
func TestDaysAreAddedUpAsTheyAreRead(t *testing.T) {
	const subscriptions, days, months = 200, 366, 12
	all, sums := peakOfDays(t, subscriptions, days, ledger.Day)
	if want := subscriptions * days; sums != want {
		t.Errorf("a year by day: got %d sums, want %d", sums, want)
	}
	byMonth, sums := peakOfDays(t, subscriptions, days, ledger.Month)
	if want := subscriptions * months; sums != want {
		t.Errorf("a year by month: got %d sums, want %d", sums, want)
	}
	if byMonth > all/4 {
		t.Errorf("memory for a year: got %d KiB by month and %d KiB by day, want at most a quarter by month", byMonth>>10, all>>10)
	}
}

// BenchmarkMonthlyReport reads the days of a month of 2,000 subscriptions.
func BenchmarkMonthlyReport(b *testing.B) {
	b.ReportAllocs()
	var peak uint64
	for b.Loop() {
		used, _ := peakOfDays(b, 2000, 31, ledger.Month)
		peak = max(peak, used)
	}
	b.ReportMetric(float64(peak)/(1<<20), "peak-MiB")
}

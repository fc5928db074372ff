package ledger_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"tollgate/handler/ledger"
	"tollgate/handler/ledger/memstore"
)

// An outage is a store that fails while it is down.
type outage struct {
	*memstore.Store
	down atomic.Bool
}

func newOutage() *outage {
	o := &outage{}
	o.Store = memstore.New(func(string) (bool, error) {
		if o.down.Load() {
			return false, errors.New("down")
		}
		return true, nil
	})
	return o
}

// usageOf returns a subscription's stored usage by model.
func usageOf(t *testing.T, store ledger.Store, subscription string) map[string]ledger.Totals {
	t.Helper()
	rows, err := ledger.Reader{Store: store}.Rows(t.Context(), subscription, time.Time{}, time.Now().Add(24*time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	sums := make(map[string]ledger.Totals)
	for _, u := range ledger.Join(rows) {
		sum := sums[u.Model]
		sum.Add(u.Totals)
		sums[u.Model] = sum
	}
	return sums
}

func one(tokens int64) ledger.Totals { return ledger.Totals{Calls: 1, PromptTokens: tokens} }

func TestARowIsWrittenTenSecondsAfterAChangeAndNotBefore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newOutage()
		r := ledger.NewRecorder(ledger.Config{Store: store, Log: slog.New(slog.DiscardHandler)})
		r.Record("team-a", "m", one(5))
		time.Sleep(8 * time.Second)
		if got := usageOf(t, store, "team-a"); len(got) != 0 {
			t.Errorf("8 s after a call: got %v written, want nothing", got)
		}
		r.Record("team-a", "m", one(2))
		time.Sleep(2 * time.Second)
		if diff := cmp.Diff(map[string]ledger.Totals{"m": {Calls: 2, PromptTokens: 7}}, usageOf(t, store, "team-a")); diff != "" {
			t.Errorf("10 s after the first of two calls (-want +got):\n%s", diff)
		}
		if err := r.Close(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

func TestPendingAndStoredRowsTogetherHaveAllUsage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newOutage()
		r := ledger.NewRecorder(ledger.Config{Store: store, Log: slog.New(slog.DiscardHandler)})
		told := func() (tokens int64) {
			rows, err := ledger.Reader{Store: store}.Rows(t.Context(), "team-a", time.Time{}, time.Now().Add(time.Hour))
			if err != nil {
				t.Fatal(err)
			}
			for _, u := range ledger.Join(append(r.Pending("team-a"), rows...)) {
				tokens += u.Tokens()
			}
			return tokens
		}
		var counted int64
		for i := range int64(200) {
			r.Record("team-a", fmt.Sprint("m", i%3), one(i))
			r.Record("team-b", "m", one(1))
			counted += i
			if got := told(); got != counted {
				t.Fatalf("after %d calls: got %d tokens in stored and pending rows, want %d", i+1, got, counted)
			}
			time.Sleep(time.Duration(i%23) * 300 * time.Millisecond)
		}
		if err := r.Close(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

func TestALongOutageMergesModelsBeforeItDropsUsage(t *testing.T) {
	for name, test := range map[string]struct {
		minutes, models int
		merged, lost    bool
	}{"room for all": {5, 2, false, false}, "room for merged models": {6, 10, true, false}, "no room": {40, 10, true, true}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var log bytes.Buffer
				store := newOutage()
				store.down.Store(true)
				r := ledger.NewRecorder(ledger.Config{Store: store, Log: slog.New(slog.NewJSONHandler(&log, nil)), MaxRows: 60})
				var counted int64
				for minute := range test.minutes {
					for model := range test.models {
						r.Record("team-a", fmt.Sprint("m", model), one(int64(minute+1)))
						counted += int64(minute + 1)
					}
					if rows := r.Stats().Rows; rows > 60 {
						t.Fatalf("minute %d: got %d rows kept, want at most 60", minute, rows)
					}
					time.Sleep(time.Minute)
				}
				store.down.Store(false)
				if err := r.Close(t.Context()); err != nil {
					t.Error(err)
				}
				var kept int64
				sums := usageOf(t, store, "team-a")
				for _, sum := range sums {
					kept += sum.Tokens()
				}
				stats := r.Stats()
				if kept+stats.DroppedTokens != counted || (stats.DroppedCalls > 0) != test.lost || (sums[ledger.MergedModels].Calls > 0) != test.merged {
					t.Errorf("got %d tokens kept, %d of %d calls dropped, %d calls of merged models; want %d in all, any dropped: %t, any merged: %t",
						kept, stats.DroppedTokens, stats.DroppedCalls, sums[ledger.MergedModels].Calls, counted, test.lost, test.merged)
				}
				if strings.Contains(log.String(), "usage is lost") != test.lost {
					t.Errorf("got the log %s, want a loss in it: %t", log.String(), test.lost)
				}
			})
		})
	}
}

func TestCloseLogsForEachSubscriptionWhatItCouldNotWrite(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		store := newOutage()
		r := ledger.NewRecorder(ledger.Config{Store: store, Log: slog.New(slog.NewJSONHandler(&log, nil))})
		r.Record("team-a", "m", one(5))
		r.Record("team-a", "n", one(2))
		r.Record("team-b", "m", ledger.Totals{Refused: 3})
		store.down.Store(true)
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		began := time.Now()
		if err := r.Close(ctx); err == nil || time.Since(began) > 11*time.Second {
			t.Errorf("Close while the store is down: got error %v after %v, want one after 10 s", err, time.Since(began))
		}
		for _, want := range []string{`"subscription":"team-a","calls":2,"refused":0,"tokens":7`, `"subscription":"team-b","calls":0,"refused":3,"tokens":0`} {
			if !strings.Contains(log.String(), want) {
				t.Errorf("got the log %s, want %s in it", log.String(), want)
			}
		}
		if stats := r.Stats(); stats.DroppedCalls != 5 || stats.DroppedTokens != 7 {
			t.Errorf("got %+v, want 5 calls and 7 tokens dropped", stats)
		}
		if r.Record("team-a", "m", one(1)); r.Stats().DroppedCalls != 6 {
			t.Errorf("a call after Close: got %+v, want 6 calls dropped", r.Stats())
		}
	})
}

// A silent store never answers, and ignores its context.
type silent struct{ ledger.Store }

func (silent) Apply(context.Context, []ledger.Change) ([]ledger.Version, error) {
	time.Sleep(time.Hour)
	return nil, errors.New("no answer")
}

func TestRecordNeverWaitsForTheStore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := ledger.NewRecorder(ledger.Config{Store: silent{memstore.New(nil)}, Log: slog.New(slog.DiscardHandler)})
		began := time.Now()
		for i := range 1000 {
			r.Record(fmt.Sprint("team-", i), "m", one(1))
		}
		time.Sleep(time.Minute) // writes are under way
		before := time.Now()
		r.Record("team-a", "m", one(1))
		if waited := before.Sub(began) - time.Minute + time.Since(before); waited != 0 {
			t.Errorf("1,001 calls of Record: got a wait of %v, want none", waited)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := r.Close(ctx); err == nil {
			t.Error("Close: got no error, want one, because nothing was written")
		}
		time.Sleep(2 * time.Hour)
	})
}

// After writableFor, the usage can't be written to its own minute any more.
func TestUsageFromBeforeALongOutageIsWrittenToTheCurrentMinute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newOutage()
		r := ledger.NewRecorder(ledger.Config{Store: store, Log: slog.New(slog.DiscardHandler)})
		store.down.Store(true)
		began := time.Now()
		r.Record("team-a", "m", one(5))
		time.Sleep(45 * time.Minute)
		r.Record("team-a", "m", one(2))
		time.Sleep(17 * time.Minute)
		store.down.Store(false)
		time.Sleep(2 * time.Minute)
		rows, err := ledger.Reader{Store: store}.Rows(t.Context(), "team-a", time.Time{}, time.Now())
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, u := range ledger.Join(rows) {
			got = append(got, fmt.Sprintf("%d tokens after %v", u.Tokens(), u.Time().Sub(began.Truncate(time.Minute))))
		}
		if want := []string{"2 tokens after 45m0s", "5 tokens after 1h2m0s"}; !cmp.Equal(got, want) {
			t.Errorf("usage by minute: got %q, want %q", got, want)
		}
		if err := r.Close(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

// Package countertest helps test counters. Run and RunLister check implementations of
// counter.Store and counter.Lister. A Network has the faults of a real network between
// instances and a store in memory; an instance uses one through a Link.
package countertest

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"tollgate/handler/counter"
	"tollgate/handler/lease"
	"tollgate/handler/limit"
)

// Run tests Load and Swap of a store, which must be empty.
func Run(t *testing.T, store counter.Store) {
	t.Run("a missing counter isn't found", func(t *testing.T) {
		_, version, _, err := store.Load(t.Context(), "none")
		if !errors.Is(err, counter.ErrNotFound) || version != "" {
			t.Errorf("Load: got version %q, %v; want none, ErrNotFound", version, err)
		}
	})
	t.Run("a swap needs the stored version", func(t *testing.T) { testSwap(t, store, "swaps") })
	t.Run("a store shares no slice with its callers", func(t *testing.T) { testCopies(t, store, "copies") })
	t.Run("keys have any characters", func(t *testing.T) { testKeys(t, store) })
}

// fullRow returns a row in which every column has a value.
func fullRow(now time.Time) lease.Row {
	row := lease.New(limit.Limits{PerMinute: 300, Burst: 7, Quota: 1 << 53, Period: limit.Weekly, Version: 1<<40 + 1}, now, "epoch")
	row.Spent, row.PeriodSpent, row.Rev, row.Alerted = 5, 1<<53+1, 9, 80
	row.Opened, row.Given = limit.Spans{{From: row.Window - 9, To: row.Window}}, limit.Spans{{From: row.Window + 1, To: row.Window + 20}}
	row.Periods = []lease.PeriodCharge{{Start: limit.Weekly.Start(now.AddDate(0, 0, -7)), Amount: 1 << 50, Alerted: 95}, {Start: limit.Weekly.Start(now.AddDate(0, 0, 7)), Amount: 3}}
	row.SetSlots([]lease.Slot{{ID: "AbC-_123", Seq: 7, Window: row.Window - 1, Leased: 8, Expiry: now.Unix() + 1}, {ID: "gone5678", Seq: 1 << 40, Expiry: now.Unix() + 3600, Gone: true}})
	return row
}

func testSwap(t *testing.T, store counter.Store, key string) {
	now := time.Now()
	row := fullRow(now)
	first, date, err := store.Swap(t.Context(), key, row, "")
	if err != nil || first == "" || now.Sub(date) > 5*time.Second || date.After(time.Now()) {
		t.Fatalf("insert: got version %q at %v, %v; want a version, and a time from at most 5s before the request to now", first, date, err)
	}
	if _, _, err := store.Swap(t.Context(), key, row, ""); !errors.Is(err, counter.ErrConflict) {
		t.Errorf("insert again: got %v, want ErrConflict", err)
	}
	loaded, version, _, err := store.Load(t.Context(), key)
	if diff := cmp.Diff(row, loaded); diff != "" || err != nil || version != first {
		t.Errorf("Load: got version %q, %v, want %q and the row (-want +got):\n%s", version, err, first, diff)
	}
	row.Spent = 6
	second, _, err := store.Swap(t.Context(), key, row, first)
	if err != nil || second == first {
		t.Fatalf("swap: got version %q, %v; want another version than %q", second, err, first)
	}
	if _, _, err := store.Swap(t.Context(), key, row, first); !errors.Is(err, counter.ErrConflict) {
		t.Errorf("swap of an older version: got %v, want ErrConflict", err)
	}
}

// testCopies changes a row after it was stored, and after it was loaded.
func testCopies(t *testing.T, store counter.Store, key string) {
	row := lease.New(limit.Limits{PerMinute: 300}, time.Now(), "epoch")
	row.SetSlots([]lease.Slot{{ID: "one", Seq: 1}})
	if _, _, err := store.Swap(t.Context(), key, row, ""); err != nil {
		t.Fatal(err)
	}
	row.Slots[0].Seq = 2
	for range 2 {
		loaded, _, _, err := store.Load(t.Context(), key)
		if err != nil || loaded.Slots[0].Seq != 1 {
			t.Fatalf("Load: got slots %+v, %v; want the sequence number 1, as stored", loaded.Slots, err)
		}
		loaded.Slots[0].Seq = 3
	}
}

func testKeys(t *testing.T, store counter.Store) {
	for i, key := range []string{"a/b", "a!2Fb", `a\b`, "a#b?c", "a'b", "100%", "a b", "a+b", "世界", "\x01", "a!b"} {
		row := lease.New(limit.Limits{PerMinute: int64(i + 1)}, time.Now(), "epoch")
		if _, _, err := store.Swap(t.Context(), key, row, ""); err != nil {
			t.Errorf("insert %q: got %v, want no error", key, err)
		}
		if got, _, _, err := store.Load(t.Context(), key); err != nil || got.PerMinute != int64(i+1) {
			t.Errorf("load %q: got %d a minute, %v; want %d", key, got.PerMinute, err, i+1)
		}
	}
}

// Package countertest tests implementations of counter.Store (Run) and
// counter.Lister (RunLister).
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

// Run checks a store, which must be empty.
func Run(t *testing.T, store counter.Store) {
	t.Run("no counter", func(t *testing.T) {
		_, version, _, err := store.Load(t.Context(), "none")
		if !errors.Is(err, counter.ErrNotFound) || version != "" {
			t.Errorf("Load = %q, %v; want ErrNotFound", version, err)
		}
	})
	t.Run("insert, load, swap", func(t *testing.T) { swaps(t, store, "swaps") })
	t.Run("a state is whose it was given to", func(t *testing.T) { owned(t, store, "owned") })
	t.Run("keys with any characters", func(t *testing.T) { keys(t, store) })
}

func swaps(t *testing.T, store counter.Store, key string) {
	now := time.Now()
	state := lease.New(limit.Limits{PerMinute: 300, Burst: 7, Quota: 1 << 53, Period: limit.Weekly, Version: 1<<40 + 1}, now, "epoch")
	state.Spent, state.PeriodSpent, state.Rev, state.Told = 5, 1<<53+1, 9, 80
	state.Opened, state.Given = limit.Spans{{From: state.Window - 9, To: state.Window}}, limit.Spans{{From: state.Window + 1, To: state.Window + 20}}
	state.Periods = []lease.Charged{{Start: limit.Weekly.Start(now.AddDate(0, 0, -7)), Amount: 1 << 50, Told: 95}, {Start: limit.Weekly.Start(now.AddDate(0, 0, 7)), Amount: 3}}
	state.SetSlots([]lease.Slot{{ID: "AbC-_123", Seq: 7, Window: state.Window - 1, Leased: 8, Expiry: now.Unix() + 1}, {ID: "gone5678", Seq: 1 << 40, Expiry: now.Unix() + 3600, Gone: true}})
	first, date, err := store.Swap(t.Context(), key, state, "")
	if err != nil || first == "" || now.Sub(date) > 5*time.Second || date.After(time.Now()) { // however long it took
		t.Fatalf("insert: %q at %v, %v", first, date, err)
	}
	if _, _, err := store.Swap(t.Context(), key, state, ""); !errors.Is(err, counter.ErrConflict) {
		t.Errorf("insert again: %v, want ErrConflict", err)
	}
	loaded, version, _, err := store.Load(t.Context(), key)
	if diff := cmp.Diff(state, loaded); diff != "" || err != nil || version != first {
		t.Errorf("loaded version %q for %q, %v (-want +got):\n%s", version, first, err, diff)
	}
	state.Spent = 6
	second, _, err := store.Swap(t.Context(), key, state, first)
	if err != nil || second == first {
		t.Fatalf("swap: %q after %q, %v", second, first, err)
	}
	if _, _, err := store.Swap(t.Context(), key, state, first); !errors.Is(err, counter.ErrConflict) {
		t.Errorf("swap an older version: %v, want ErrConflict", err)
	}
}

// owned checks that a store keeps no part of a state that others may change.
func owned(t *testing.T, store counter.Store, key string) {
	state := lease.New(limit.Limits{PerMinute: 300}, time.Now(), "epoch")
	state.SetSlots([]lease.Slot{{ID: "one", Seq: 1}})
	if _, _, err := store.Swap(t.Context(), key, state, ""); err != nil {
		t.Fatal(err)
	}
	state.Slots[0].Seq = 2
	for range 2 {
		loaded, _, _, err := store.Load(t.Context(), key)
		if err != nil || loaded.Slots[0].Seq != 1 {
			t.Fatalf("loaded %+v, %v; want the one write that was stored", loaded.Slots, err)
		}
		loaded.Slots[0].Seq = 3
	}
}

func keys(t *testing.T, store counter.Store) {
	for i, key := range []string{"a/b", "a!2Fb", `a\b`, "a#b?c", "a'b", "100%", "a b", "a+b", "世界", "\x01", "a!b"} {
		state := lease.New(limit.Limits{PerMinute: int64(i + 1)}, time.Now(), "epoch")
		if _, _, err := store.Swap(t.Context(), key, state, ""); err != nil {
			t.Errorf("insert %q: %v", key, err)
		}
		if got, _, _, err := store.Load(t.Context(), key); err != nil || got.PerMinute != int64(i+1) {
			t.Errorf("load %q: %d, %v; want %d", key, got.PerMinute, err, i+1)
		}
	}
}

package countertest

import (
	"errors"
	"testing"
	"time"

	"tollgate/handler/counter"
	"tollgate/handler/lease"
	"tollgate/handler/limit"
)

// A ListedStore is a store that RunLister can test.
type ListedStore interface {
	counter.Store
	counter.Lister
}

// RunLister tests an empty store's List and Delete.
func RunLister(t *testing.T, store ListedStore) {
	if found := walk(t, store); len(found) != 0 {
		t.Errorf("an empty store lists %v, want nothing", found)
	}
	versions := make(map[string]counter.Version)
	for i, key := range []string{"team-a", "gold:client-ip=2001:db8::1/header:x=a%2Fb c", "team-b"} {
		version, _, err := store.Swap(t.Context(), key, lease.New(limit.Limits{PerMinute: int64(i + 1)}, time.Now(), "epoch"), "")
		if err != nil {
			t.Fatal(err)
		}
		versions[key] = version
	}
	found := walk(t, store)
	for key, version := range versions {
		if state, loaded, _, err := store.Load(t.Context(), key); found[key].Version != loaded || loaded != version || err != nil || found[key].Row.PerMinute != state.PerMinute {
			t.Errorf("%s: listed %+v, loaded version %q, %v", key, found[key], loaded, err)
		}
	}
	swapped, _, err := store.Swap(t.Context(), "team-a", found["team-a"].Row, versions["team-a"])
	if err != nil {
		t.Fatal(err)
	}
	for doing, test := range map[string]struct {
		err, want error
	}{
		"delete an older version": {store.Delete(t.Context(), "team-a", versions["team-a"]), counter.ErrConflict},
		"delete":                  {store.Delete(t.Context(), "team-b", versions["team-b"]), nil},
		"delete what isn't there": {store.Delete(t.Context(), "team-c", swapped), counter.ErrNotFound},
	} {
		if !errors.Is(test.err, test.want) {
			t.Errorf("%s: %v, want %v", doing, test.err, test.want)
		}
	}
	if left := walk(t, store); len(left) != len(versions)-1 || left["team-b"].Key != "" || left["team-a"].Version != swapped {
		t.Errorf("left: %v, want all but team-b, and team-a as version %q", left, swapped)
	}
}

func walk(t *testing.T, store counter.Lister) map[string]counter.Entry {
	t.Helper()
	found := make(map[string]counter.Entry)
	for stored, err := range store.List(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		found[stored.Key] = stored
	}
	return found
}

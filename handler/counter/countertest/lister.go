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

// RunLister tests List and Delete of a store, which must be empty.
func RunLister(t *testing.T, store ListedStore) {
	if found := list(t, store); len(found) != 0 {
		t.Errorf("List of an empty store: got %v, want nothing", found)
	}
	versions := make(map[string]counter.Version)
	for i, key := range []string{"team-a", "gold:client-ip=2001:db8::1/header:x=a%2Fb c", "team-b"} {
		version, _, err := store.Swap(t.Context(), key, lease.New(limit.Limits{PerMinute: int64(i + 1)}, time.Now(), "epoch"), "")
		if err != nil {
			t.Fatal(err)
		}
		versions[key] = version
	}
	found := list(t, store)
	for key, version := range versions {
		row, loaded, _, err := store.Load(t.Context(), key)
		if err != nil || loaded != version {
			t.Errorf("Load of %q: got version %q, %v; want %q", key, loaded, err, version)
		}
		if got := found[key]; got.Version != version || got.Row.PerMinute != row.PerMinute {
			t.Errorf("List: got %+v for %q, want version %q and the row %+v", got, key, version, row)
		}
	}
	swapped, _, err := store.Swap(t.Context(), "team-a", found["team-a"].Row, versions["team-a"])
	if err != nil {
		t.Fatal(err)
	}
	for what, test := range map[string]struct{ got, want error }{
		"an older version":  {store.Delete(t.Context(), "team-a", versions["team-a"]), counter.ErrConflict},
		"the version":       {store.Delete(t.Context(), "team-b", versions["team-b"]), nil},
		"a missing counter": {store.Delete(t.Context(), "team-c", swapped), counter.ErrNotFound},
	} {
		if !errors.Is(test.got, test.want) {
			t.Errorf("Delete of %s: got %v, want %v", what, test.got, test.want)
		}
	}
	if left := list(t, store); len(left) != len(versions)-1 || left["team-b"].Key != "" || left["team-a"].Version != swapped {
		t.Errorf("List after Delete: got %v, want all but team-b, and team-a with version %q", left, swapped)
	}
}

// list returns all counters of a store by their keys.
func list(t *testing.T, store counter.Lister) map[string]counter.Entry {
	t.Helper()
	found := make(map[string]counter.Entry)
	for entry, err := range store.List(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		found[entry.Key] = entry
	}
	return found
}

// Package storedtest tests implementations of stored.Store.
package storedtest

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"tollgate/handler/stored"
)

// Run tests a store that is empty.
func Run(t *testing.T, store stored.Store) {
	now := time.Now().UTC().Truncate(time.Microsecond)
	t.Run("a response is found with all that is known of it", func(t *testing.T) { found(t, store, now) })
	t.Run("an id has one owner", func(t *testing.T) { owner(t, store, now) })
	t.Run("of several that claim an id at once, one gets it", func(t *testing.T) { race(t, store, now) })
	t.Run("responses are found as long as they are kept, then deleted", func(t *testing.T) { expire(t, store, now) })
}

func response(id string, created time.Time) stored.Response {
	return stored.Response{ID: id, Subscription: "acme", Endpoint: "reserved", Model: "gpt-4.1", Tokens: 1<<53 + 1, Created: created}
}

func put(t *testing.T, store stored.Store, r stored.Response) {
	t.Helper()
	if err := store.Put(t.Context(), r); err != nil {
		t.Fatalf("put %s: got error %v, want none", r.ID, err)
	}
}

func wantUnknown(t *testing.T, store stored.Store, id string, now time.Time) {
	t.Helper()
	if got, err := store.Get(t.Context(), id, now); !errors.Is(err, stored.ErrUnknown) {
		t.Errorf("get %s: got %v, %v; want ErrUnknown", id, got, err)
	}
}

func found(t *testing.T, store stored.Store, now time.Time) {
	wantUnknown(t, store, "resp_none", now)
	want := response("resp_"+strings.Repeat("Az-9_", 20), now)
	want.Subscription, want.Model = "o'neil-1", `DeepSeek-R1 "é"`
	put(t, store, want)
	put(t, store, want)
	got, err := store.Get(t.Context(), want.ID, now)
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Errorf("got error %v and a response that differs (-want +got):\n%s", err, diff)
	}
	wantUnknown(t, store, strings.ToLower(want.ID), now)
}

func owner(t *testing.T, store stored.Store, now time.Time) {
	first := response("resp_owned", now)
	put(t, store, first)
	other := first
	other.Subscription = "globex"
	if err := store.Put(t.Context(), other); !errors.Is(err, stored.ErrTaken) {
		t.Errorf("another subscription's response with the same id: got error %v, want ErrTaken", err)
	}
	if got, err := store.Get(t.Context(), first.ID, now); err != nil || got.Subscription != "acme" {
		t.Errorf("got owner %q, %v; want acme, who was first", got.Subscription, err)
	}
}

func race(t *testing.T, store stored.Store, now time.Time) {
	var wg sync.WaitGroup
	errs := make([]error, 8)
	for i := range errs {
		wg.Go(func() {
			r := response("resp_race", now)
			r.Subscription = fmt.Sprint("s", i)
			errs[i] = store.Put(t.Context(), r)
		})
	}
	wg.Wait()
	got, err := store.Get(t.Context(), "resp_race", now)
	if err != nil {
		t.Fatal(err)
	}
	for i, err := range errs {
		mine := got.Subscription == fmt.Sprint("s", i)
		if mine && err != nil || !mine && !errors.Is(err, stored.ErrTaken) {
			t.Errorf("s%d: got error %v while the owner is %s; want nil for the owner, ErrTaken for others", i, err, got.Subscription)
		}
	}
}

func expire(t *testing.T, store stored.Store, now time.Time) {
	const all = 230 // more than two transactions
	for i := range all {
		put(t, store, response(fmt.Sprintf("resp_old%d", i), now))
	}
	last := response("resp_last", now.Add(stored.Retention*3/2))
	put(t, store, last)
	end := now.Add(stored.Retention)
	for _, at := range []time.Time{now, now.Add(stored.Retention / 2), end} {
		if _, err := store.Get(t.Context(), "resp_old0", at); err != nil {
			t.Errorf("got error %v after %v, want the response", err, at.Sub(now))
		}
	}
	if n, err := store.DeleteExpired(t.Context(), end); n != 0 || err != nil {
		t.Errorf("on the last day: got %d deleted, %v; want none", n, err)
	}
	wantUnknown(t, store, "resp_old0", end.Add(time.Second))
	later := end.Add(stored.Retention + time.Hour)
	deleted, err := store.DeleteExpired(t.Context(), later)
	if err != nil || deleted < all {
		t.Errorf("got %d deleted, %v; want %d or more", deleted, err, all)
	}
	wantUnknown(t, store, "resp_old0", now) // gone, not just out of date
	if _, err := store.Get(t.Context(), last.ID, last.Created.Add(stored.Retention)); err != nil {
		t.Errorf("a later response: got error %v, want it still there", err)
	}
	if n, err := store.DeleteExpired(t.Context(), later); n != 0 || err != nil {
		t.Errorf("again: got %d deleted, %v; want none left", n, err)
	}
}

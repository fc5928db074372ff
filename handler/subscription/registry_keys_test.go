package subscription_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"tollgate/handler/subscription"
)

// acceptedKeys returns the indexes of those keys that a new directory accepts.
func acceptedKeys(t *testing.T, r subscription.Registry, pepper subscription.Pepper, keys ...string) (accepted []int) {
	t.Helper()
	for i, key := range keys {
		if _, err := subscription.NewDirectory(r.Store, pepper).Authenticate(t.Context(), key); err == nil {
			accepted = append(accepted, i)
		}
	}
	return accepted
}

func TestARotatedKeyStaysValidForTheOverlap(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, pepper := newRegistry(t)
		ctx := t.Context()
		first, _, e1 := r.CreateKey(ctx, pepper, "a", subscription.Primary, subscription.KeyOptions{})
		second, _, e2 := r.RotateKey(ctx, pepper, "a", subscription.Primary, subscription.KeyOptions{Overlap: time.Hour})
		if err := errors.Join(e1, e2); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Hour - time.Second)
		if got := acceptedKeys(t, r, pepper, first, second); !slices.Equal(got, []int{0, 1}) {
			t.Errorf("just before the overlap ends: got keys %v valid, want 0 and 1", got)
		}
		time.Sleep(time.Second)
		if got := acceptedKeys(t, r, pepper, first, second); !slices.Equal(got, []int{1}) {
			t.Errorf("when the overlap ends: got keys %v valid, want 1", got)
		}
		// Rotation doesn't postpone an earlier expiry, and deletes expired keys.
		if _, err := r.ExpireKey(ctx, "a", subscription.Primary, time.Now().Add(time.Minute)); err != nil {
			t.Fatal(err)
		}
		third, _, err := r.RotateKey(ctx, pepper, "a", subscription.Primary, subscription.KeyOptions{Overlap: time.Hour})
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		if got := acceptedKeys(t, r, pepper, first, second, third); !slices.Equal(got, []int{2}) {
			t.Errorf("a minute later: got keys %v valid, want 2", got)
		}
		if keys, err := r.Keys(ctx, "a"); err != nil || len(keys) != 2 {
			t.Errorf("the store: got %d keys, %v; want the second and third", len(keys), err)
		}
		if err := r.RevokeKey(ctx, "a", subscription.Primary); err != nil {
			t.Fatal(err)
		}
		if keys, err := r.Keys(ctx, "a"); err != nil || len(keys) != 0 {
			t.Errorf("after revoking: got %d keys in the store, %v; want none", len(keys), err)
		}
	})
}

func TestAnExpiredKeyFreesItsSlot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, pepper := newRegistry(t)
		ctx := t.Context()
		first, record, err := r.CreateKey(ctx, pepper, "a", subscription.Primary, subscription.KeyOptions{Expires: time.Now().Add(time.Hour)})
		if err != nil || record.Expires.IsZero() {
			t.Fatalf("CreateKey: got %+v, %v; want a record that expires", record, err)
		}
		_, _, twice := r.CreateKey(ctx, pepper, "a", subscription.Primary, subscription.KeyOptions{})
		if !errors.Is(twice, subscription.ErrExists) {
			t.Errorf("create a second key: got %v, want ErrExists", twice)
		}
		time.Sleep(time.Hour)
		if _, _, err := r.RotateKey(ctx, pepper, "a", subscription.Primary, subscription.KeyOptions{}); !errors.Is(err, subscription.ErrNotFound) {
			t.Errorf("rotate an expired key: got %v, want ErrNotFound", err)
		}
		second, _, err := r.CreateKey(ctx, pepper, "a", subscription.Primary, subscription.KeyOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if got := acceptedKeys(t, r, pepper, first, second); !slices.Equal(got, []int{1}) {
			t.Errorf("got keys %v valid, want 1", got)
		}
		if keys, err := r.Keys(ctx, "a"); err != nil || len(keys) != 1 {
			t.Errorf("the store: got %d keys, %v; want 1", len(keys), err)
		}
	})
}

func TestAnExpiryCanBeSetAndRemoved(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, pepper := newRegistry(t)
		ctx := t.Context()
		key, _, e1 := r.CreateKey(ctx, pepper, "a", subscription.Secondary, subscription.KeyOptions{})
		_, e2 := r.ExpireKey(ctx, "a", subscription.Secondary, time.Now().Add(time.Hour))
		_, e3 := r.ExpireKey(ctx, "a", subscription.Secondary, time.Time{})
		if err := errors.Join(e1, e2, e3); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * time.Hour)
		if got := acceptedKeys(t, r, pepper, key); got == nil {
			t.Errorf("after removing the expiry: got no valid key, want the key still valid")
		}
	})
}

func TestInvalidKeyTermsAreRejected(t *testing.T) {
	r, pepper := newRegistry(t)
	ctx := t.Context()
	if _, _, err := r.CreateKey(ctx, pepper, "a", subscription.Primary, subscription.KeyOptions{}); err != nil {
		t.Fatal(err)
	}
	for want, terms := range map[string]subscription.KeyOptions{
		"expires is not in the future": {Expires: time.Now().Add(-time.Second)},
		"overlap is out of range":      {Overlap: -time.Second},
		"use 0s to 2160h":              {Overlap: 91 * 24 * time.Hour},
	} {
		if _, _, err := r.RotateKey(ctx, pepper, "a", subscription.Primary, terms); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: got error %v, want %s", terms, err, want)
		}
	}
	if _, err := r.ExpireKey(ctx, "a", subscription.Secondary, time.Time{}); !errors.Is(err, subscription.ErrNotFound) {
		t.Errorf("expire a key that doesn't exist: got %v, want ErrNotFound", err)
	}
	if keys, err := r.Keys(ctx, "a"); err != nil || len(keys) != 1 {
		t.Errorf("after invalid terms: got %d keys in the store, %v; want 1", len(keys), err)
	}
}

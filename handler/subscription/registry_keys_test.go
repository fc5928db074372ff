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

// valid says which keys a gateway that remembers nothing takes.
func valid(t *testing.T, r subscription.Registry, pepper subscription.Pepper, keys ...string) (taken []int) {
	t.Helper()
	for i, key := range keys {
		if _, err := subscription.NewDirectory(r.Store, pepper).Authenticate(t.Context(), key); err == nil {
			taken = append(taken, i)
		}
	}
	return taken
}

func TestARotatedKeyGoesOnForTheOverlap(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, pepper := office(t)
		ctx := t.Context()
		first, _, e1 := r.CreateKey(ctx, pepper, "a", subscription.Primary, subscription.Terms{})
		second, _, e2 := r.RotateKey(ctx, pepper, "a", subscription.Primary, subscription.Terms{Overlap: time.Hour})
		if err := errors.Join(e1, e2); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Hour - time.Second)
		if got := valid(t, r, pepper, first, second); !slices.Equal(got, []int{0, 1}) {
			t.Errorf("just before the overlap's end valid are %v", got)
		}
		time.Sleep(time.Second)
		if got := valid(t, r, pepper, first, second); !slices.Equal(got, []int{1}) {
			t.Errorf("at the overlap's end valid are %v", got)
		}
		// A shorter end that was set before isn't made longer, and what expired is cleared away.
		if _, err := r.ExpireKey(ctx, "a", subscription.Primary, time.Now().Add(time.Minute)); err != nil {
			t.Fatal(err)
		}
		third, _, err := r.RotateKey(ctx, pepper, "a", subscription.Primary, subscription.Terms{Overlap: time.Hour})
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		if got := valid(t, r, pepper, first, second, third); !slices.Equal(got, []int{2}) {
			t.Errorf("a minute later valid are %v", got)
		}
		if keys, err := r.Keys(ctx, "a"); err != nil || len(keys) != 2 {
			t.Errorf("the store holds %d keys, want the second and third, %v", len(keys), err)
		}
		if err := r.RevokeKey(ctx, "a", subscription.Primary); err != nil {
			t.Fatal(err)
		}
		if keys, err := r.Keys(ctx, "a"); err != nil || len(keys) != 0 {
			t.Errorf("after revoking the store holds %d keys, %v", len(keys), err)
		}
	})
}

func TestAnExpiredKeyMakesRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, pepper := office(t)
		ctx := t.Context()
		first, record, err := r.CreateKey(ctx, pepper, "a", subscription.Primary, subscription.Terms{Expires: time.Now().Add(time.Hour)})
		if err != nil || record.Expires.IsZero() {
			t.Fatalf("CreateKey = %+v, %v", record, err)
		}
		_, _, twice := r.CreateKey(ctx, pepper, "a", subscription.Primary, subscription.Terms{})
		if !errors.Is(twice, subscription.ErrExists) {
			t.Errorf("a second key: %v", twice)
		}
		time.Sleep(time.Hour)
		if _, _, err := r.RotateKey(ctx, pepper, "a", subscription.Primary, subscription.Terms{}); !errors.Is(err, subscription.ErrNotFound) {
			t.Errorf("rotate an expired key: %v", err)
		}
		second, _, err := r.CreateKey(ctx, pepper, "a", subscription.Primary, subscription.Terms{})
		if err != nil {
			t.Fatal(err)
		}
		if got := valid(t, r, pepper, first, second); !slices.Equal(got, []int{1}) {
			t.Errorf("valid are %v", got)
		}
		if keys, err := r.Keys(ctx, "a"); err != nil || len(keys) != 1 {
			t.Errorf("the store holds %d keys, %v", len(keys), err)
		}
	})
}

func TestAnExpiryIsSetAndLifted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, pepper := office(t)
		ctx := t.Context()
		key, _, e1 := r.CreateKey(ctx, pepper, "a", subscription.Secondary, subscription.Terms{})
		_, e2 := r.ExpireKey(ctx, "a", subscription.Secondary, time.Now().Add(time.Hour))
		_, e3 := r.ExpireKey(ctx, "a", subscription.Secondary, time.Time{})
		if err := errors.Join(e1, e2, e3); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * time.Hour)
		if got := valid(t, r, pepper, key); got == nil {
			t.Error("a key whose expiry was lifted expired")
		}
	})
}

func TestWrongTermsAreNamed(t *testing.T) {
	r, pepper := office(t)
	ctx := t.Context()
	if _, _, err := r.CreateKey(ctx, pepper, "a", subscription.Primary, subscription.Terms{}); err != nil {
		t.Fatal(err)
	}
	for want, terms := range map[string]subscription.Terms{
		"expires is not in the future": {Expires: time.Now().Add(-time.Second)},
		"overlap is out of range":      {Overlap: -time.Second},
		"use 0s to 2160h":              {Overlap: 91 * 24 * time.Hour},
	} {
		if _, _, err := r.RotateKey(ctx, pepper, "a", subscription.Primary, terms); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: %v", terms, err)
		}
	}
	if _, err := r.ExpireKey(ctx, "a", subscription.Secondary, time.Time{}); !errors.Is(err, subscription.ErrNotFound) {
		t.Errorf("expire a key that isn't there: %v", err)
	}
	if keys, err := r.Keys(ctx, "a"); err != nil || len(keys) != 1 {
		t.Errorf("wrong terms left %d keys, %v", len(keys), err)
	}
}

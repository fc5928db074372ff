// Package subscriptiontest tests implementations of subscription.Store.
package subscriptiontest

import (
	"encoding/json"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"tollgate/handler/limit"
	"tollgate/handler/subscription"
)

// Run tests stores. open returns a new empty store for each test.
func Run(t *testing.T, open func(t *testing.T) subscription.Store) {
	t.Run("an empty store", func(t *testing.T) { empty(t, open(t)) })
	t.Run("tiers", func(t *testing.T) { tiers(t, open(t)) })
	t.Run("subscriptions", func(t *testing.T) { subscriptions(t, open(t)) })
	t.Run("fingerprint", func(t *testing.T) { fingerprint(t, open(t)) })
	t.Run("keys", func(t *testing.T) { keys(t, open(t)) })
}

func want(t *testing.T, doing string, err, expected error) {
	t.Helper()
	if !errors.Is(err, expected) {
		t.Errorf("%s: error %v, want %v", doing, err, expected)
	}
}

func empty(t *testing.T, s subscription.Store) {
	ctx := t.Context()
	_, err := s.Tier(ctx, "none")
	want(t, "read a tier", err, subscription.ErrNotFound)
	_, err = s.Subscription(ctx, "none")
	want(t, "read a subscription", err, subscription.ErrNotFound)
	_, err = s.Key(ctx, "none")
	want(t, "read a key", err, subscription.ErrNotFound)
	want(t, "delete a key", s.DeleteKey(ctx, "none"), subscription.ErrNotFound)
	want(t, "expire a key", s.ExpireKey(ctx, "none", time.Now()), subscription.ErrNotFound)
	_, err = s.PutTier(ctx, subscription.Tier{ID: "none", Version: 3})
	want(t, "replace a tier", err, subscription.ErrNotFound)
	hashes, err := s.Hashes(ctx, 10)
	if len(hashes) != 0 || err != nil {
		t.Errorf("Hashes = %v, %v; want none", hashes, err)
	}
	tiers, err := s.Tiers(ctx)
	if len(tiers) != 0 || err != nil {
		t.Errorf("Tiers = %v, %v; want none", tiers, err)
	}
}

func tiers(t *testing.T, s subscription.Store) {
	ctx := t.Context()
	tier := subscription.Tier{ID: "gold", Limits: subscription.Limits{
		TokensPerMinute: 300, TokenQuota: 1 << 53, TokenQuotaPeriod: limit.Monthly, BurstTokens: 7, Reserve: subscription.ReserveFull,
		MaxCompletionTokens: 100, MaxWait: subscription.Duration(2 * time.Second), MaxConcurrent: new(int64(0)), Shadow: true, OnStoreDown: limit.FailClosed,
		StoredContent: subscription.StoredAllow, CounterKey: "{subscription}/{model}", Models: []string{"a", "b"},
	}}
	version, err := s.PutTier(ctx, tier)
	if version < 1 || err != nil {
		t.Fatalf("insert: version %d, %v; want at least 1", version, err)
	}
	_, err = s.PutTier(ctx, tier)
	want(t, "insert again", err, subscription.ErrExists)
	tier.Version = version
	got, err := s.Tier(ctx, "gold")
	if diff := cmp.Diff(tier, got); diff != "" || err != nil {
		t.Fatalf("read (-want +got):\n%s%v", diff, err)
	}
	tier.TokensPerMinute = 500
	if version, err = s.PutTier(ctx, tier); version <= tier.Version || err != nil {
		t.Fatalf("replace: version %d, %v; want above %d", version, err, tier.Version)
	}
	_, err = s.PutTier(ctx, tier)
	want(t, "replace an older version", err, subscription.ErrConflict)
	if _, err := s.PutTier(ctx, subscription.Tier{ID: "bronze"}); err != nil {
		t.Fatal(err)
	}
	all, err := s.Tiers(ctx)
	if err != nil || len(all) != 2 || all[0].ID != "bronze" || all[1].TokensPerMinute != 500 {
		t.Errorf("Tiers = %+v, %v; want bronze and gold with 500 tokens a minute", all, err)
	}
}

func subscriptions(t *testing.T, s subscription.Store) {
	ctx := t.Context()
	sub := subscription.Subscription{ID: "team-a", Name: "Team A's \"own\"", Tier: "gold", Overrides: json.RawMessage(`{"tokensPerMinute":9}`),
		Created: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)}
	first, err := s.PutSubscription(ctx, sub)
	if err != nil {
		t.Fatal(err)
	}
	_, err = s.PutSubscription(ctx, sub)
	want(t, "insert again", err, subscription.ErrExists)
	sub.Version, sub.Suspended = first, true
	second, err := s.PutSubscription(ctx, sub)
	if second <= first || err != nil {
		t.Fatalf("replace: version %d, %v; want above %d", second, err, first)
	}
	_, err = s.PutSubscription(ctx, sub)
	want(t, "replace an older version", err, subscription.ErrConflict)
	sub.Version = second
	got, err := s.Subscription(ctx, "team-a")
	if diff := cmp.Diff(sub, got); diff != "" || err != nil {
		t.Errorf("read (-want +got):\n%s%v", diff, err)
	}
	all, err := s.Subscriptions(ctx)
	if diff := cmp.Diff([]subscription.Subscription{sub}, all); diff != "" || err != nil {
		t.Errorf("list (-want +got):\n%s%v", diff, err)
	}
}

func keys(t *testing.T, s subscription.Store) {
	ctx := t.Context()
	created := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	first := subscription.KeyRecord{Hash: "hash-1", Subscription: "team-a", Slot: subscription.Primary, Created: created}
	second := subscription.KeyRecord{Hash: "hash-2", Subscription: "team-a", Slot: subscription.Secondary, Created: created}
	other := subscription.KeyRecord{Hash: "hash-3", Subscription: "team-b", Slot: subscription.Primary, Created: created}
	for _, k := range []subscription.KeyRecord{first, second, other} {
		if err := s.PutKey(ctx, k); err != nil {
			t.Fatal(err)
		}
	}
	want(t, "insert again", s.PutKey(ctx, first), subscription.ErrExists)
	got, err := s.Key(ctx, "hash-1")
	if diff := cmp.Diff(first, got); diff != "" || err != nil {
		t.Errorf("read (-want +got):\n%s%v", diff, err)
	}
	all, err := s.Keys(ctx, "team-a")
	if diff := cmp.Diff([]subscription.KeyRecord{first, second}, all); diff != "" || err != nil {
		t.Errorf("list (-want +got):\n%s%v", diff, err)
	}
	hashes, err := s.Hashes(ctx, 10)
	slices.Sort(hashes)
	if diff := cmp.Diff([]string{"hash-1", "hash-2", "hash-3"}, hashes); diff != "" || err != nil {
		t.Errorf("hashes (-want +got):\n%s%v", diff, err)
	}
	if hashes, err := s.Hashes(ctx, 2); len(hashes) != 2 || err != nil {
		t.Errorf("Hashes with a limit of 2 = %v, %v; want 2", hashes, err)
	}
	expiring(t, s, first)
	if err := s.DeleteKey(ctx, "hash-1"); err != nil {
		t.Fatal(err)
	}
	_, err = s.Key(ctx, "hash-1")
	want(t, "read a deleted key", err, subscription.ErrNotFound)
}

// expiring sets a stored key's expiry and removes it again.
func expiring(t *testing.T, s subscription.Store, key subscription.KeyRecord) {
	t.Helper()
	for _, at := range []time.Time{time.Date(2027, 1, 2, 3, 4, 5, 0, time.UTC), {}} {
		if err := s.ExpireKey(t.Context(), key.Hash, at); err != nil {
			t.Fatal(err)
		}
		key.Expires = at
		got, err := s.Key(t.Context(), key.Hash)
		if diff := cmp.Diff(key, got); diff != "" || err != nil {
			t.Errorf("read a key that expires at %v (-want +got):\n%s%v", at, diff, err)
		}
	}
}

// fingerprint tests that the fingerprint is stored and isn't listed as a key.
func fingerprint(t *testing.T, s subscription.Store) {
	ctx := t.Context()
	_, err := s.Fingerprint(ctx)
	want(t, "read a fingerprint before one is stored", err, subscription.ErrNotFound)
	for _, put := range []string{"first", "first", "second"} {
		if err := s.PutFingerprint(ctx, put); err != nil {
			t.Fatal(err)
		}
		if got, err := s.Fingerprint(ctx); got != put || err != nil {
			t.Errorf("Fingerprint = %q, %v; want %q", got, err, put)
		}
	}
	if hashes, err := s.Hashes(ctx, 10); len(hashes) != 0 || err != nil {
		t.Errorf("Hashes with only a fingerprint stored = %v, %v; want none", hashes, err)
	}
}

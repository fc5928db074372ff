// Package subscriptiontest tests implementations of subscription.Store (Run), and fills
// stores for the tests of other packages (Seed).
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

// Run runs all tests on stores. open returns a new empty one.
func Run(t *testing.T, open func(t *testing.T) subscription.Store) {
	t.Run("an empty store has nothing", func(t *testing.T) { empty(t, open(t)) })
	t.Run("a tier is read back, and replaced only at its version", func(t *testing.T) { tiers(t, open(t)) })
	t.Run("a subscription is read back, and replaced only at its version", func(t *testing.T) { subscriptions(t, open(t)) })
	t.Run("a group is read back, and replaced only at its version", func(t *testing.T) { groups(t, open(t)) })
	t.Run("rows are deleted only at their version", func(t *testing.T) { deleting(t, open(t)) })
	t.Run("the fingerprint is read back, and isn't listed as a key", func(t *testing.T) { fingerprint(t, open(t)) })
	t.Run("a key is found, listed, expired and deleted", func(t *testing.T) { keys(t, open(t)) })
}

func want(t *testing.T, doing string, got, want error) {
	t.Helper()
	if !errors.Is(got, want) {
		t.Errorf("%s: got error %v, want %v", doing, got, want)
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
		t.Errorf("Hashes: got %v and error %v, want none", hashes, err)
	}
	tiers, err := s.Tiers(ctx)
	if len(tiers) != 0 || err != nil {
		t.Errorf("Tiers: got %v and error %v, want none", tiers, err)
	}
}

func tiers(t *testing.T, s subscription.Store) {
	ctx := t.Context()
	tier := subscription.Tier{ID: "gold", Rules: subscription.Rules{
		Limits: []subscription.Limit{
			{Name: "tokens", Unit: limit.Tokens, PerMinute: 300, Quota: 1 << 49, Period: limit.Monthly, Burst: 7, CounterKey: "{subscription}/{model}",
				Weights: &subscription.Weights{Cached: new(int64(0)), Reasoning: new(int64(2000))}, Models: []string{"a"}, Shadow: true, AlertAt: []int{50, 95}},
			{Name: "budget", Unit: limit.Cost, Quota: 12_500_000_000, Period: limit.Daily},
		},
		Reserve:             subscription.ReserveFull,
		MaxCompletionTokens: 100, MaxWait: subscription.Duration(2 * time.Second), MaxConcurrent: new(int64(0)), Shadow: true, OnStoreDown: limit.FailClosed,
		StoredContent: subscription.StoredAllow, Models: []string{"a", "b"},
	}}
	version, err := s.PutTier(ctx, tier)
	if version < 1 || err != nil {
		t.Fatalf("insert: got version %d and error %v, want at least version 1", version, err)
	}
	_, err = s.PutTier(ctx, tier)
	want(t, "insert again", err, subscription.ErrExists)
	tier.Version = version
	got, err := s.Tier(ctx, "gold")
	if diff := cmp.Diff(tier, got); diff != "" || err != nil {
		t.Fatalf("read: got error %v and (-want +got):\n%s", err, diff)
	}
	tier.Limits[0].PerMinute = 500
	if version, err = s.PutTier(ctx, tier); version <= tier.Version || err != nil {
		t.Fatalf("replace: got version %d and error %v, want a version above %d", version, err, tier.Version)
	}
	_, err = s.PutTier(ctx, tier)
	want(t, "replace an older version", err, subscription.ErrConflict)
	if _, err := s.PutTier(ctx, subscription.Tier{ID: "bronze"}); err != nil {
		t.Fatal(err)
	}
	all, err := s.Tiers(ctx)
	if err != nil || len(all) != 2 || all[0].ID != "bronze" || all[1].Limits[0].PerMinute != 500 {
		t.Errorf("Tiers: got %+v and error %v, want bronze, and gold with 500 tokens a minute", all, err)
	}
}

func subscriptions(t *testing.T, s subscription.Store) {
	ctx := t.Context()
	var overrides subscription.Overrides
	if err := json.Unmarshal([]byte(`{"maxWait":"1s","limits":[{"name":"tokens","perMinute":9,"until":"2027-01-02T03:04:05Z"}]}`), &overrides); err != nil {
		t.Fatal(err)
	}
	sub := subscription.Subscription{ID: "team-a", Name: "Team A's \"own\"", Tier: "gold", Group: "org", Overrides: overrides,
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
		t.Fatalf("replace: got version %d and error %v, want a version above %d", second, err, first)
	}
	_, err = s.PutSubscription(ctx, sub)
	want(t, "replace an older version", err, subscription.ErrConflict)
	sub.Version = second
	got, err := s.Subscription(ctx, "team-a")
	if diff := cmp.Diff(sub, got); diff != "" || err != nil {
		t.Errorf("read: got error %v and (-want +got):\n%s", err, diff)
	}
	all, err := s.Subscriptions(ctx)
	if diff := cmp.Diff([]subscription.Subscription{sub}, all); diff != "" || err != nil {
		t.Errorf("list: got error %v and (-want +got):\n%s", err, diff)
	}
}

func groups(t *testing.T, s subscription.Store) {
	ctx := t.Context()
	_, err := s.Group(ctx, "none")
	want(t, "read a group", err, subscription.ErrNotFound)
	group := subscription.Group{ID: "org", Name: "All", Parent: "world", Suspended: true, Created: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC),
		Limits: []subscription.Limit{{Name: "calls", Unit: limit.Calls, PerMinute: 60}}}
	version, err := s.PutGroup(ctx, group)
	if version < 1 || err != nil {
		t.Fatalf("insert: got version %d and error %v, want at least version 1", version, err)
	}
	_, err = s.PutGroup(ctx, group)
	want(t, "insert again", err, subscription.ErrExists)
	group.Version = version
	got, err := s.Group(ctx, "org")
	if diff := cmp.Diff(group, got); diff != "" || err != nil {
		t.Fatalf("read: got error %v and (-want +got):\n%s", err, diff)
	}
	if version, err = s.PutGroup(ctx, group); version <= group.Version || err != nil {
		t.Fatalf("replace: got version %d and error %v, want a version above %d", version, err, group.Version)
	}
	_, err = s.PutGroup(ctx, group)
	want(t, "replace an older version", err, subscription.ErrConflict)
	if all, err := s.Groups(ctx); err != nil || len(all) != 1 || all[0].Version != version {
		t.Errorf("Groups: got %+v and error %v, want org with version %d", all, err, version)
	}
}

func deleting(t *testing.T, s subscription.Store) {
	ctx := t.Context()
	for name, kind := range map[string]struct {
		put    func() (int64, error)
		remove func(version int64) error
		read   func() error
	}{
		"tier": {func() (int64, error) { return s.PutTier(ctx, subscription.Tier{ID: "x"}) }, func(v int64) error { return s.DeleteTier(ctx, "x", v) },
			func() error { _, err := s.Tier(ctx, "x"); return err }},
		"group": {func() (int64, error) { return s.PutGroup(ctx, subscription.Group{ID: "x"}) }, func(v int64) error { return s.DeleteGroup(ctx, "x", v) },
			func() error { _, err := s.Group(ctx, "x"); return err }},
		"subscription": {func() (int64, error) { return s.PutSubscription(ctx, subscription.Subscription{ID: "x", Tier: "t"}) }, func(v int64) error { return s.DeleteSubscription(ctx, "x", v) },
			func() error { _, err := s.Subscription(ctx, "x"); return err }},
	} {
		want(t, name+": delete nothing", kind.remove(1), subscription.ErrNotFound)
		version, err := kind.put()
		if err != nil {
			t.Fatal(err)
		}
		want(t, name+": delete another version", kind.remove(version+1), subscription.ErrConflict)
		want(t, name+": read after a conflict", kind.read(), nil)
		want(t, name+": delete", kind.remove(version), nil)
		want(t, name+": read what was deleted", kind.read(), subscription.ErrNotFound)
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
		t.Errorf("read: got error %v and (-want +got):\n%s", err, diff)
	}
	all, err := s.Keys(ctx, "team-a")
	if diff := cmp.Diff([]subscription.KeyRecord{first, second}, all); diff != "" || err != nil {
		t.Errorf("list: got error %v and (-want +got):\n%s", err, diff)
	}
	hashes, err := s.Hashes(ctx, 10)
	slices.Sort(hashes)
	if diff := cmp.Diff([]string{"hash-1", "hash-2", "hash-3"}, hashes); diff != "" || err != nil {
		t.Errorf("Hashes: got error %v and (-want +got):\n%s", err, diff)
	}
	if hashes, err := s.Hashes(ctx, 2); len(hashes) != 2 || err != nil {
		t.Errorf("Hashes, at most 2: got %v and error %v, want 2 hashes", hashes, err)
	}
	expiring(t, s, first)
	if err := s.DeleteKey(ctx, "hash-1"); err != nil {
		t.Fatal(err)
	}
	_, err = s.Key(ctx, "hash-1")
	want(t, "read a deleted key", err, subscription.ErrNotFound)
}

// expiring checks that a stored key's expiry can be set and removed.
func expiring(t *testing.T, s subscription.Store, key subscription.KeyRecord) {
	t.Helper()
	for _, at := range []time.Time{time.Date(2027, 1, 2, 3, 4, 5, 0, time.UTC), {}} {
		if err := s.ExpireKey(t.Context(), key.Hash, at); err != nil {
			t.Fatal(err)
		}
		key.Expires = at
		got, err := s.Key(t.Context(), key.Hash)
		if diff := cmp.Diff(key, got); diff != "" || err != nil {
			t.Errorf("read a key that expires at %v: got error %v and (-want +got):\n%s", at, err, diff)
		}
	}
}

func fingerprint(t *testing.T, s subscription.Store) {
	ctx := t.Context()
	_, err := s.Fingerprint(ctx)
	want(t, "read a fingerprint before one is stored", err, subscription.ErrNotFound)
	for _, put := range []string{"first", "first", "second"} {
		if err := s.PutFingerprint(ctx, put); err != nil {
			t.Fatal(err)
		}
		if got, err := s.Fingerprint(ctx); got != put || err != nil {
			t.Errorf("Fingerprint: got %q and error %v, want %q", got, err, put)
		}
	}
	if hashes, err := s.Hashes(ctx, 10); len(hashes) != 0 || err != nil {
		t.Errorf("Hashes with only a fingerprint stored: got %v and error %v, want none", hashes, err)
	}
}

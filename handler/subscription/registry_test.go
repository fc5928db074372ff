package subscription_test

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"

	"tollgate/handler/subscription"
	"tollgate/handler/subscription/memstore"
	"tollgate/handler/subscription/subscriptiontest"
)

// newRegistry returns a registry with the tier gold and the subscription a.
func newRegistry(t *testing.T) (subscription.Registry, subscription.Pepper) {
	t.Helper()
	r := subscription.Registry{Store: memstore.New()}
	_, e1 := r.SetTier(t.Context(), "gold", func(tier *subscription.Tier) error { tier.TokensPerMinute = new(int64(300)); return nil })
	_, e2 := r.Create(t.Context(), subscription.Subscription{ID: "a", Name: "Team A", Tier: "gold"})
	if err := errors.Join(e1, e2); err != nil {
		t.Fatal(err)
	}
	return r, subscriptiontest.Pepper(t)
}

func TestSetTierCreatesThenChanges(t *testing.T) {
	r, _ := newRegistry(t)
	before, err := r.Tier(t.Context(), "gold")
	if err != nil {
		t.Fatal(err)
	}
	after, err := r.SetTier(t.Context(), "gold", func(tier *subscription.Tier) error { tier.BurstTokens = new(int64(50)); return nil })
	if err != nil || after.Limits[0].PerMinute != 300 || after.Limits[0].Burst != 50 || after.Version <= before.Version {
		t.Errorf("SetTier: got %+v, %v; want 300 tokens a minute, burst 50 and a version above %d", after, err, before.Version)
	}
}

func TestATierChangeThatInvalidatesOverridesIsRejected(t *testing.T) {
	r, _ := newRegistry(t)
	if _, err := r.Change(t.Context(), "a", func(s *subscription.Subscription) error {
		s.Overrides = overrides(t, `{"burstTokens":9}`)
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	_, err := r.SetTier(t.Context(), "gold", func(tier *subscription.Tier) error {
		tier.Limits[0].PerMinute = 200
		tier.Limits[0].Burst = 0
		tier.Limits[0].CounterKey = "{client-ip}"
		return nil
	})
	if err == nil || !strings.Contains(err.Error(), `subscription "a"`) || !strings.Contains(err.Error(), "counterKey has no {subscription}") {
		t.Errorf("SetTier: got error %v, want one naming subscription a and counterKey", err)
	}
	if tier, err := r.Tier(t.Context(), "gold"); err != nil || tier.Limits[0].PerMinute != 300 {
		t.Errorf("got tier %+v, %v; want it unchanged", tier, err)
	}
}

func TestRegistryErrorsNameTheRowOrFieldAtFault(t *testing.T) {
	r, pepper := newRegistry(t)
	ctx := t.Context()
	nothing := func(*subscription.Subscription) error { return nil }
	_, badID := r.SetTier(ctx, "Gold Tier", func(*subscription.Tier) error { return nil })
	_, badTier := r.SetTier(ctx, "silver", func(tier *subscription.Tier) error { tier.TokenQuota = new(int64(5)); return nil })
	_, noTier := r.Tier(ctx, "silver")
	_, twice := r.Create(ctx, subscription.Subscription{ID: "a", Tier: "gold"})
	_, tierless := r.Create(ctx, subscription.Subscription{ID: "b", Tier: "silver"})
	_, misfit := r.Create(ctx, subscription.Subscription{ID: "b", Tier: "gold", Overrides: overrides(t, `{"maxWait":"9h"}`)})
	_, unknown := r.Change(ctx, "b", nothing)
	_, unread := r.Details(ctx, "b")
	_, _, keyless := r.CreateKey(ctx, pepper, "b", subscription.Primary, subscription.KeyOptions{})
	_, _, slotless := r.CreateKey(ctx, pepper, "a", "third", subscription.KeyOptions{})
	_, _, unrotated := r.RotateKey(ctx, pepper, "a", subscription.Primary, subscription.KeyOptions{})
	unrevoked := r.RevokeKey(ctx, "a", subscription.Secondary)
	for _, test := range []struct {
		err  error
		kind error // nil: a *FieldError
		part string
	}{
		{badID, nil, `id "Gold Tier" is not an id`}, {badTier, nil, "limits.tokens.period is missing"},
		{noTier, subscription.ErrNotFound, `tier "silver"`}, {twice, subscription.ErrExists, `subscription "a"`},
		{tierless, subscription.ErrNotFound, `tier "silver"`}, {misfit, nil, "maxWait is out of range"},
		{unknown, subscription.ErrNotFound, `subscription "b"`}, {unread, subscription.ErrNotFound, `subscription "b"`},
		{keyless, subscription.ErrNotFound, `subscription "b"`}, {slotless, nil, `slot "third"`},
		{unrotated, subscription.ErrNotFound, "primary key"}, {unrevoked, subscription.ErrNotFound, "secondary key"},
	} {
		_, field := errors.AsType[*subscription.FieldError](test.err)
		if test.err == nil || !strings.Contains(test.err.Error(), test.part) || field != (test.kind == nil) || test.kind != nil && !errors.Is(test.err, test.kind) {
			t.Errorf("got error %v, want %s wrapping %v", test.err, test.part, test.kind)
		}
	}
}

func TestAnInvalidSubscriptionCanStillBeSuspended(t *testing.T) {
	r, _ := newRegistry(t)
	ctx := t.Context()
	s, err := r.Store.Subscription(ctx, "a")
	if err != nil {
		t.Fatal(err)
	}
	s.Overrides = overrides(t, `{"burstTokens":-1}`) // as edited by hand
	if _, err := r.PutSubscription(ctx, s); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if s, err := r.Suspend(ctx, "a", true); err != nil || !s.Suspended {
			t.Errorf("Suspend: got %+v, %v; want it suspended", s, err)
		}
	}
	if s, err := r.Suspend(ctx, "a", false); err == nil {
		t.Errorf("resuming: got %+v, want an error", s)
	}
	if _, err := r.Suspend(ctx, "b", true); !errors.Is(err, subscription.ErrNotFound) {
		t.Errorf("suspend an unknown subscription: got %v, want ErrNotFound", err)
	}
}

func TestRotatingAKeyLeavesTheOtherSlotAlone(t *testing.T) {
	r, pepper := newRegistry(t)
	ctx := t.Context()
	first, _, e1 := r.CreateKey(ctx, pepper, "a", subscription.Primary, subscription.KeyOptions{})
	second, _, e2 := r.CreateKey(ctx, pepper, "a", subscription.Secondary, subscription.KeyOptions{})
	if err := errors.Join(e1, e2); err != nil {
		t.Fatal(err)
	}
	if _, _, err := r.CreateKey(ctx, pepper, "a", subscription.Primary, subscription.KeyOptions{}); !errors.Is(err, subscription.ErrExists) {
		t.Errorf("create a second primary key: got %v, want ErrExists", err)
	}
	third, record, err := r.RotateKey(ctx, pepper, "a", subscription.Primary, subscription.KeyOptions{})
	if err != nil || record.Slot != subscription.Primary || record.Created.IsZero() {
		t.Fatalf("RotateKey: got %+v, %v; want a new key in the primary slot with its time of creation", record, err)
	}
	for key, want := range map[string]error{first: subscription.ErrUnauthorized, second: nil, third: nil} {
		_, err := subscription.NewDirectory(r.Store, pepper).Authenticate(ctx, key)
		if !errors.Is(err, want) {
			t.Errorf("after the rotation: got %v, want %v", err, want)
		}
	}
	if err := r.RevokeKey(ctx, "a", subscription.Secondary); err != nil {
		t.Fatal(err)
	}
	account, err := r.Details(ctx, "a")
	if err != nil || len(account.Keys) != 1 || account.Keys[0].Slot != subscription.Primary || account.Rules.Limits[0].PerMinute != 300 {
		t.Errorf("Account: got %+v, %v; want the primary key and 300 tokens a minute", account, err)
	}
	if text, err := json.Marshal(account); err != nil || strings.Contains(string(text), record.Hash) {
		t.Errorf("got account %s, %v; want no hash of a key", text, err)
	}
}

// An undeletingStore fails to delete keys while down is set, like a store that goes down
// during a rotation.
type undeletingStore struct {
	*memstore.Store
	down error
}

func (i *undeletingStore) DeleteKey(ctx context.Context, hash string) error {
	if i.down != nil {
		return i.down
	}
	return i.Store.DeleteKey(ctx, hash)
}

func TestAnInterruptedRotationKeepsBothKeysAndTheNextCompletesIt(t *testing.T) {
	made, pepper := newRegistry(t)
	store := &undeletingStore{Store: made.Store.(*memstore.Store)}
	r, ctx := subscription.Registry{Store: store}, t.Context()
	first, _, err := r.CreateKey(ctx, pepper, "a", subscription.Primary, subscription.KeyOptions{})
	if err != nil {
		t.Fatal(err)
	}
	store.down = errors.New("down")
	second, _, err := r.RotateKey(ctx, pepper, "a", subscription.Primary, subscription.KeyOptions{})
	if second == "" || !errors.Is(err, store.down) || !strings.Contains(err.Error(), "the old key is still valid") {
		t.Fatalf("RotateKey: got %v, want the new key and an error that says the old key is still valid", err)
	}
	store.down = nil
	third, _, err := r.RotateKey(ctx, pepper, "a", subscription.Primary, subscription.KeyOptions{})
	if err != nil {
		t.Fatal(err)
	}
	var valid []string
	for name, key := range map[string]string{"first": first, "second": second, "third": third} {
		if _, err := subscription.NewDirectory(store, pepper).Authenticate(ctx, key); err == nil {
			valid = append(valid, name)
		}
	}
	if !slices.Equal(valid, []string{"third"}) {
		t.Errorf("valid keys: got %v, want the third", valid)
	}
}

// A conflictingStore makes a concurrent change before each of the first few changes.
type conflictingStore struct {
	*memstore.Store
	times int // how many concurrent changes are left to make
}

func (o *conflictingStore) PutTier(ctx context.Context, tier subscription.Tier) (int64, error) {
	if o.times--; o.times >= 0 {
		other, err := o.Tier(ctx, tier.ID)
		if err != nil {
			return 0, err
		}
		other.Limits[0].Burst++
		if _, err := o.Store.PutTier(ctx, other); err != nil {
			return 0, err
		}
	}
	return o.Store.PutTier(ctx, tier)
}

func TestAConflictingChangeIsTriedFiveTimes(t *testing.T) {
	for times, want := range map[int]error{1: nil, 4: nil, 5: subscription.ErrConflict} {
		made, _ := newRegistry(t)
		r := subscription.Registry{Store: &conflictingStore{made.Store.(*memstore.Store), times}}
		tier, err := r.SetTier(t.Context(), "gold", func(tier *subscription.Tier) error { tier.TokensPerMinute = new(int64(400)); return nil })
		if !errors.Is(err, want) || err == nil && (tier.Limits[0].PerMinute != 400 || tier.Limits[0].Burst != int64(times)) {
			t.Errorf("%d conflicts: got tier %+v, error %v; want error %v, and without one 400 tokens a minute and burst %[1]d", times, tier, err, want)
		}
	}
}

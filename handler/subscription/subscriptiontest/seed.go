package subscriptiontest

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"tollgate/handler/subscription"
)

// PepperSecret is the secret that Seed hashes keys with.
const PepperSecret = "0123456789abcdef"

// Seed adds a tier and a subscription with a new primary key to a store, and returns the key.
// It doesn't change a tier or subscription that exists already.
func Seed(t testing.TB, store subscription.Store, tier subscription.Tier, id string) (key string) {
	t.Helper()
	key = subscription.NewKey()
	if err := Add(t.Context(), store, PepperSecret, tier, id, key); err != nil {
		t.Fatal(err)
	}
	return key
}

// Add does what Seed does, with a given pepper and key.
func Add(ctx context.Context, store subscription.Store, pepper string, tier subscription.Tier, id, key string) error {
	hasher, err := subscription.NewPepper(pepper)
	if err != nil {
		return fmt.Errorf("the pepper %w", err)
	}
	now := time.Now().UTC()
	_, e1 := store.PutTier(ctx, tier)
	_, e2 := store.PutSubscription(ctx, subscription.Subscription{ID: id, Tier: tier.ID, Created: now})
	e3 := store.PutKey(ctx, subscription.KeyRecord{Hash: hasher.Hash(key), Subscription: id, Slot: subscription.Primary, Created: now})
	for _, err := range []error{e1, e2, e3} {
		if err != nil && !errors.Is(err, subscription.ErrExists) {
			return fmt.Errorf("add subscription %s: %w", id, err)
		}
	}
	return nil
}

// Pepper returns the pepper made from PepperSecret.
func Pepper(t testing.TB) subscription.Pepper {
	t.Helper()
	pepper, err := subscription.NewPepper(PepperSecret)
	if err != nil {
		t.Fatal(err)
	}
	return pepper
}

// Directory returns a directory of a store whose keys Seed added.
func Directory(t testing.TB, store subscription.Reader) *subscription.Directory {
	t.Helper()
	return subscription.NewDirectory(store, Pepper(t))
}

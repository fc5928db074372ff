package subscription_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"tollgate/handler/subscription"
	"tollgate/handler/subscription/memstore"
)

// withKeys adds keys to the subscription a: primary and secondary.
func withKeys(t *testing.T, r subscription.Registry, pepper subscription.Pepper) (keys []string) {
	t.Helper()
	for _, slot := range []subscription.KeySlot{subscription.Primary, subscription.Secondary} {
		key, _, err := r.CreateKey(t.Context(), pepper, "a", slot, subscription.KeyOptions{})
		if err != nil {
			t.Fatal(err)
		}
		keys = append(keys, key)
	}
	return keys
}

func TestATierGroupOrSubscriptionInUseIsDeletedOnlyByForce(t *testing.T) {
	r, pepper := newRegistry(t)
	ctx := t.Context()
	withKeys(t, r, pepper)
	group := func(id, parent string) {
		t.Helper()
		if _, err := r.SetGroup(ctx, id, func(g *subscription.Group) error { g.Parent = parent; return nil }); err != nil {
			t.Fatal(err)
		}
	}
	group("org", "")
	group("dept", "org")
	group("team", "dept")
	if _, err := r.Change(ctx, "a", func(s *subscription.Subscription) error { s.Group = "dept"; return nil }); err != nil {
		t.Fatal(err)
	}
	force := subscription.DeleteOptions{Force: true}
	would := subscription.DeleteOptions{Force: true, DryRun: true}
	for _, c := range []struct {
		name   string
		delete func(context.Context, string, subscription.DeleteOptions) (subscription.Deletion, error)
		id     string
		parts  []string
		taken  subscription.Deletion
	}{
		{"group", r.DeleteGroup, "dept", []string{`group "dept" is in use by 1 group (team) and 1 subscription (a)`, "force"},
			subscription.Deletion{MovedGroups: []string{"team"}, MovedSubscriptions: []string{"a"}, MovedTo: "org"}},
		{"subscription", r.DeleteSubscription, "a", []string{`subscription "a" is in use by 2 valid keys`, "revoke them"}, subscription.Deletion{Keys: 2}},
		{"tier", r.DeleteTier, "gold", []string{`tier "gold" is in use by 1 subscription (a)`, "another tier"}, subscription.Deletion{Subscriptions: []string{"a"}, Keys: 2}},
	} {
		_, err := c.delete(ctx, c.id, subscription.DeleteOptions{})
		if _, inUse := errors.AsType[*subscription.InUseError](err); !inUse {
			t.Errorf("%s in use: got error %v, want an InUseError", c.name, err)
		}
		for _, part := range c.parts {
			if err == nil || !strings.Contains(err.Error(), part) {
				t.Errorf("%s in use: got error %v, want %q", c.name, err, part)
			}
		}
		taken, err := c.delete(ctx, c.id, would)
		if diff := cmp.Diff(c.taken, taken); err != nil || diff != "" {
			t.Errorf("%s, dry run: got error %v and (-want +got)\n%s", c.name, err, diff)
		}
		if c.name == "subscription" {
			continue // the tier's deletion takes it along
		}
		taken, err = c.delete(ctx, c.id, force)
		if diff := cmp.Diff(c.taken, taken); err != nil || diff != "" {
			t.Errorf("%s, forced: got error %v and (-want +got)\n%s", c.name, err, diff)
		}
		if _, err := c.delete(ctx, c.id, force); !errors.Is(err, subscription.ErrNotFound) {
			t.Errorf("%s, again: got error %v, want ErrNotFound", c.name, err)
		}
		if c.name == "group" {
			s, e1 := r.Store.Subscription(ctx, "a")
			g, e2 := r.Group(ctx, "team")
			if err := errors.Join(e1, e2); err != nil || s.Group != "org" || g.Parent != "org" {
				t.Errorf("after the group's deletion: got subscription in %q, group in %q and error %v, want both in org", s.Group, g.Parent, err)
			}
		}
	}
	if _, err := r.Store.Subscription(ctx, "a"); !errors.Is(err, subscription.ErrNotFound) {
		t.Errorf("the subscription of the deleted tier: got error %v, want ErrNotFound", err)
	}
	if keys, err := r.Keys(ctx, "a"); err != nil || len(keys) > 0 {
		t.Errorf("the keys of the deleted subscription: got %v and error %v, want none", keys, err)
	}
	unused := subscription.Subscription{ID: "b", Tier: "silver"}
	_, e1 := r.SetTier(ctx, "silver", func(*subscription.Tier) error { return nil })
	_, e2 := r.Create(ctx, unused)
	_, e3 := r.DeleteSubscription(ctx, "b", subscription.DeleteOptions{})
	_, e4 := r.DeleteTier(ctx, "silver", subscription.DeleteOptions{})
	_, e5 := r.DeleteGroup(ctx, "team", subscription.DeleteOptions{})
	if err := errors.Join(e1, e2, e3, e4, e5); err != nil {
		t.Errorf("deleting what nothing uses: got %v, want no error", err)
	}
}

func TestDeletingASuspendedGroupSuspendsItsMembers(t *testing.T) {
	r, pepper := newRegistry(t)
	keys := withKeys(t, r, pepper)
	ctx := t.Context()
	_, e1 := r.SetGroup(ctx, "lab", func(g *subscription.Group) error { g.Suspended = true; return nil })
	_, e2 := r.SetGroup(ctx, "room", func(g *subscription.Group) error { g.Parent = "lab"; return nil })
	_, e3 := r.Change(ctx, "a", func(s *subscription.Subscription) error { s.Group = "lab"; return nil })
	_, e4 := r.DeleteGroup(ctx, "lab", subscription.DeleteOptions{Force: true})
	if err := errors.Join(e1, e2, e3, e4); err != nil {
		t.Fatal(err)
	}
	if _, err := subscription.NewDirectory(r.Store, pepper).Authenticate(ctx, keys[0]); !errors.Is(err, subscription.ErrUnauthorized) {
		t.Errorf("a key after the deletion: got error %v, want ErrUnauthorized", err)
	}
	if g, err := r.Group(ctx, "room"); err != nil || !g.Suspended {
		t.Errorf("the group that was below: got %+v and error %v, want it suspended", g, err)
	}
}

// A dyingStore fails every change after the first few.
type dyingStore struct {
	*memstore.Store
	left int // the number of changes that will succeed
}

var errDied = errors.New("died")

func (s *dyingStore) spend() error {
	if s.left--; s.left < 0 {
		return errDied
	}
	return nil
}

func (s *dyingStore) DeleteKey(ctx context.Context, hash string) error {
	if err := s.spend(); err != nil {
		return err
	}
	return s.Store.DeleteKey(ctx, hash)
}

func (s *dyingStore) DeleteSubscription(ctx context.Context, id string, version int64) error {
	if err := s.spend(); err != nil {
		return err
	}
	return s.Store.DeleteSubscription(ctx, id, version)
}

func (s *dyingStore) DeleteTier(ctx context.Context, id string, version int64) error {
	if err := s.spend(); err != nil {
		return err
	}
	return s.Store.DeleteTier(ctx, id, version)
}

func (s *dyingStore) DeleteGroup(ctx context.Context, id string, version int64) error {
	if err := s.spend(); err != nil {
		return err
	}
	return s.Store.DeleteGroup(ctx, id, version)
}

func (s *dyingStore) PutSubscription(ctx context.Context, sub subscription.Subscription) (int64, error) {
	if err := s.spend(); err != nil {
		return 0, err
	}
	return s.Store.PutSubscription(ctx, sub)
}

func (s *dyingStore) PutGroup(ctx context.Context, g subscription.Group) (int64, error) {
	if err := s.spend(); err != nil {
		return 0, err
	}
	return s.Store.PutGroup(ctx, g)
}

func TestADeletionThatFailsHalfwayAdmitsNobodyAndCanBeRepeated(t *testing.T) {
	for _, kind := range []string{"tier", "group", "subscription"} {
		for changes := 0; ; changes++ { // the number of changes that succeed; ends when the deletion does
			made, pepper := newRegistry(t)
			ctx, store := t.Context(), &dyingStore{Store: made.Store.(*memstore.Store), left: 1 << 30}
			r := subscription.Registry{Store: store}
			keys := withKeys(t, r, pepper)
			_, e1 := r.SetGroup(ctx, "lab", func(*subscription.Group) error { return nil })
			_, e2 := r.SetGroup(ctx, "room", func(g *subscription.Group) error { g.Parent = "lab"; return nil })
			_, e3 := r.Change(ctx, "a", func(s *subscription.Subscription) error { s.Group = "lab"; return nil })
			if err := errors.Join(e1, e2, e3); err != nil {
				t.Fatal(err)
			}
			remove := func() error {
				force := subscription.DeleteOptions{Force: true}
				var err error
				switch kind {
				case "tier":
					_, err = r.DeleteTier(ctx, "gold", force)
				case "group":
					_, err = r.DeleteGroup(ctx, "lab", force)
				default:
					_, err = r.DeleteSubscription(ctx, "a", force)
				}
				return err
			}
			store.left = changes
			died := remove()
			if died != nil && !errors.Is(died, errDied) {
				t.Fatalf("%s, dying after %d changes: got %v, want the store's error", kind, changes, died)
			}
			store.left = 1 << 30
			if died == nil {
				break
			}
			if kind != "group" && changes >= 2 { // both keys are gone
				for _, key := range keys {
					if _, err := subscription.NewDirectory(store, pepper).Authenticate(ctx, key); !errors.Is(err, subscription.ErrUnauthorized) {
						t.Errorf("%s, dying after %d changes: got error %v for a key, want ErrUnauthorized", kind, changes, err)
					}
				}
			}
			if err := remove(); err != nil {
				t.Errorf("%s, repeated after %d changes: got %v, want no error", kind, changes, err)
			}
			if err := remove(); !errors.Is(err, subscription.ErrNotFound) {
				t.Errorf("%s, repeated after it is gone: got %v, want ErrNotFound", kind, err)
			}
		}
	}
}

// lateKeyStore adds a key to the subscription just before it is deleted.
type lateKeyStore struct {
	*memstore.Store
	late subscription.KeyRecord
}

func (s *lateKeyStore) DeleteSubscription(ctx context.Context, id string, version int64) error {
	if err := s.PutKey(ctx, s.late); err != nil {
		return err
	}
	return s.Store.DeleteSubscription(ctx, id, version)
}

func TestAKeyCreatedDuringADeletionIsDeleted(t *testing.T) {
	made, pepper := newRegistry(t)
	key := subscription.NewKey()
	store := &lateKeyStore{made.Store.(*memstore.Store), subscription.KeyRecord{Hash: pepper.Hash(key), Subscription: "a", Slot: subscription.Primary}}
	r := subscription.Registry{Store: store}
	if _, err := r.DeleteSubscription(t.Context(), "a", subscription.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	if keys, err := r.Keys(t.Context(), "a"); err != nil || len(keys) > 0 {
		t.Errorf("keys: got %v and error %v, want none", keys, err)
	}
}

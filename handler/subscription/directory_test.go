package subscription_test

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"tollgate/handler/subscription"
	"tollgate/handler/subscription/memstore"
)

// counted counts look-ups and makes each take a moment.
type counted struct {
	*memstore.Store
	keys atomic.Int64
}

func (c *counted) Key(ctx context.Context, hash string) (subscription.KeyRecord, error) {
	c.keys.Add(1)
	time.Sleep(time.Millisecond) // virtual: every test here runs in a bubble
	return c.Store.Key(ctx, hash)
}

// desk is a directory with one subscription and its key.
type desk struct {
	*subscription.Directory
	store  *counted
	pepper subscription.Pepper
	key    string
}

func newDesk(t *testing.T) *desk {
	t.Helper()
	pepper, err := subscription.NewPepper("0123456789abcdef")
	if err != nil {
		t.Fatal(err)
	}
	d := &desk{store: &counted{Store: memstore.New()}, pepper: pepper, key: subscription.NewKey()}
	d.Directory = subscription.NewDirectory(d.store, pepper)
	_, e1 := d.store.PutTier(t.Context(), subscription.Tier{ID: "gold", Limits: subscription.Limits{TokensPerMinute: 300}})
	_, e2 := d.store.PutSubscription(t.Context(), subscription.Subscription{ID: "a", Tier: "gold"})
	e3 := d.store.PutKey(t.Context(), subscription.KeyRecord{Hash: pepper.Hash(d.key), Subscription: "a", Slot: subscription.Primary})
	if err := errors.Join(e1, e2, e3); err != nil {
		t.Fatal(err)
	}
	return d
}

func (d *desk) expect(t *testing.T, key string, want error) {
	t.Helper()
	grant, err := d.Authenticate(t.Context(), key)
	if !errors.Is(err, want) || (err == nil) != (grant != nil) {
		t.Errorf("Authenticate = %+v, %v; want %v", grant, err, want)
	}
}

func TestWhateverIsWrongWithAKeyTheAnswerIsOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(t)
		d.expect(t, d.key, nil)
		d.expect(t, "", subscription.ErrUnauthorized)
		d.expect(t, "junk", subscription.ErrUnauthorized)
		d.expect(t, subscription.NewKey(), subscription.ErrUnauthorized)
		if _, err := d.store.PutSubscription(t.Context(), subscription.Subscription{ID: "a", Tier: "gold", Suspended: true, Version: 1}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		d.expect(t, d.key, subscription.ErrUnauthorized)
	})
}

func TestJunkCostsNoLookUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(t)
		d.expect(t, "junk", subscription.ErrUnauthorized)
		if n := d.store.keys.Load(); n != 0 {
			t.Errorf("%d look-ups", n)
		}
	})
}

func TestAnswersAreKeptHalfAMinute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(t)
		unknown := subscription.NewKey()
		for range 10 {
			d.expect(t, d.key, nil)
			d.expect(t, unknown, subscription.ErrUnauthorized)
		}
		if n := d.store.keys.Load(); n != 2 {
			t.Errorf("%d look-ups of two keys", n)
		}
		if err := d.store.DeleteKey(t.Context(), d.pepper.Hash(d.key)); err != nil {
			t.Fatal(err)
		}
		time.Sleep(31 * time.Second)
		d.expect(t, d.key, subscription.ErrUnauthorized)
	})
}

func TestManyAskAndOneLooksUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(t)
		var all sync.WaitGroup
		for range 50 {
			all.Go(func() { d.expect(t, d.key, nil) })
		}
		all.Wait()
		if n := d.store.keys.Load(); n != 1 {
			t.Errorf("%d look-ups", n)
		}
	})
}

func TestVerifiedKeysGoOnForTenMinutesWithoutTheStore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(t)
		d.expect(t, d.key, nil)
		d.store.Fail(errors.New("down"))
		d.expect(t, subscription.NewKey(), subscription.ErrUnavailable)
		time.Sleep(9 * time.Minute)
		before := d.store.keys.Load()
		for range 10 {
			d.expect(t, d.key, nil)
		}
		if n := d.store.keys.Load() - before; n != 1 {
			t.Errorf("%d look-ups of ten calls: a store that is down is asked too often", n)
		}
		time.Sleep(2 * time.Minute)
		d.expect(t, d.key, subscription.ErrUnavailable)
		d.store.Fail(nil)
		d.expect(t, d.key, nil)
	})
}

func TestAFloodOfUnknownKeysStaysBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(t)
		for range 20_001 {
			_, _ = d.Authenticate(t.Context(), subscription.NewKey())
		}
		d.expect(t, d.key, nil)
		if n := d.Remembered(); n > 10_000 {
			t.Errorf("%d keys are remembered", n)
		}
	})
}

func BenchmarkAuthenticateWarm(b *testing.B) {
	pepper, _ := subscription.NewPepper("0123456789abcdef")
	store, key := memstore.New(), subscription.NewKey()
	ctx := b.Context()
	_, _ = store.PutTier(ctx, subscription.Tier{ID: "gold"})
	_, _ = store.PutSubscription(ctx, subscription.Subscription{ID: "a", Tier: "gold"})
	_ = store.PutKey(ctx, subscription.KeyRecord{Hash: pepper.Hash(key), Subscription: "a"})
	d := subscription.NewDirectory(store, pepper)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := d.Authenticate(ctx, key); err != nil {
			b.Fatal(err)
		}
	}
}

package subscription_test

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"tollgate/handler/subscription"
	"tollgate/handler/subscription/memstore"
)

// counted counts look-ups and makes each take a moment, or the time of hang.
type counted struct {
	*memstore.Store
	keys     atomic.Int64
	lists    atomic.Int64
	hang     time.Duration
	unlisted error // what lists fail with
}

func (c *counted) Hashes(ctx context.Context, most int) ([]string, error) {
	c.lists.Add(1)
	time.Sleep(200 * time.Millisecond)
	if c.unlisted != nil {
		return nil, c.unlisted
	}
	return c.Store.Hashes(ctx, most)
}

func (c *counted) Key(ctx context.Context, hash string) (subscription.KeyRecord, error) {
	c.keys.Add(1)
	select { // virtual time: every test here runs in a bubble
	case <-time.After(max(c.hang, time.Millisecond)):
	case <-ctx.Done():
		return subscription.KeyRecord{}, ctx.Err()
	}
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
	t.Cleanup(func() { time.Sleep(3 * time.Second) }) // virtual: look-ups under way end before the bubble does
	return d
}

func suspend(t *testing.T, store subscription.Store) {
	t.Helper()
	s, err := store.Subscription(t.Context(), "a")
	if err != nil {
		t.Fatal(err)
	}
	s.Suspended = true
	if _, err := store.PutSubscription(t.Context(), s); err != nil {
		t.Fatal(err)
	}
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
		suspend(t, d.store)
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
		time.Sleep(29 * time.Second)
		d.expect(t, d.key, nil)
		d.expect(t, unknown, subscription.ErrUnauthorized)
		if n := d.store.keys.Load(); n != 2 {
			t.Errorf("%d look-ups of two keys", n)
		}
	})
}

func TestARevokedKeyEndsWithinAMinute(t *testing.T) {
	for name, asked := range map[string]time.Duration{"asked for often": time.Second, "asked for rarely": time.Minute} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := newDesk(t)
				d.expect(t, d.key, nil)
				if err := d.store.DeleteKey(t.Context(), d.pepper.Hash(d.key)); err != nil {
					t.Fatal(err)
				}
				for end := time.Now().Add(time.Minute); time.Now().Before(end); {
					_, _ = d.Authenticate(t.Context(), d.key)
					time.Sleep(asked)
				}
				d.expect(t, d.key, subscription.ErrUnauthorized)
			})
		})
	}
}

func TestABusyKeyNeverWaitsForItsLookUps(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(t)
		d.expect(t, d.key, nil)
		for range 300 {
			time.Sleep(time.Second)
			begun := time.Now()
			d.expect(t, d.key, nil)
			if waited := time.Since(begun); waited > 0 {
				t.Fatalf("waited %s", waited)
			}
		}
		if n := d.store.keys.Load(); n < 10 || n > 11 {
			t.Errorf("%d look-ups in five minutes", n)
		}
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

func TestAStoreThatHangsHoldsNobodyUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(t)
		d.expect(t, d.key, nil)
		d.store.hang = time.Hour
		time.Sleep(2 * time.Minute)
		var waits []time.Duration
		for range 20 {
			begun := time.Now()
			d.expect(t, d.key, nil)
			if waited := time.Since(begun); waited > 0 {
				waits = append(waits, waited)
			}
			time.Sleep(10 * time.Second)
		}
		if len(waits) != 1 || waits[0] > 2*time.Second { // only until it is known to hang
			t.Errorf("a verified key waited %v", waits)
		}
		if n := d.store.keys.Load(); n > 22 {
			t.Errorf("%d look-ups in 200 s of a store that hangs", n)
		}
	})
}

// Those who waited for a failed look-up used to look up themselves, one after the other.
func TestManyWhoWaitFailTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(t)
		d.store.hang = time.Hour
		begun := time.Now()
		var all sync.WaitGroup
		for range 50 {
			all.Go(func() { d.expect(t, d.key, subscription.ErrUnavailable) })
		}
		all.Wait()
		if took, n := time.Since(begun), d.store.keys.Load(); took > 2*time.Second || n != 1 {
			t.Errorf("%d look-ups took %s", n, took)
		}
		if n := d.Remembered(); n != 0 {
			t.Errorf("%d keys of which nothing is known are remembered", n)
		}
	})
}

func TestWhoeverLeavesTakesNoLookUpWithThem(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(t)
		leaving, leave := context.WithCancel(t.Context())
		d.store.hang = time.Second
		gone := make(chan error)
		go func() {
			_, err := d.Authenticate(leaving, d.key)
			gone <- err
		}()
		synctest.Wait() // the look-up is under way
		leave()
		if err := <-gone; !errors.Is(err, subscription.ErrUnavailable) || !errors.Is(err, context.Canceled) {
			t.Errorf("the first got %v", err)
		}
		d.expect(t, d.key, nil)
		if n := d.store.keys.Load(); n != 1 {
			t.Errorf("%d look-ups", n)
		}
	})
}

func TestATierThatCannotHoldIsUnavailableNotUnauthorized(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(t)
		s, err := d.store.Subscription(t.Context(), "a")
		if err != nil {
			t.Fatal(err)
		}
		s.Overrides = json.RawMessage(`{"burstTokens":-1}`)
		if _, err := d.store.PutSubscription(t.Context(), s); err != nil {
			t.Fatal(err)
		}
		if _, err := d.Authenticate(t.Context(), d.key); !errors.Is(err, subscription.ErrUnavailable) || !strings.Contains(err.Error(), "burstTokens") {
			t.Errorf("Authenticate = %v", err)
		}
	})
}

func TestAFloodOfUnknownKeysStaysBoundedAndPushesNoCallerOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(t)
		d.expect(t, d.key, nil)
		for range 20_001 {
			_, _ = d.Authenticate(t.Context(), subscription.NewKey())
		}
		if n := d.Remembered(); n > 10_000 {
			t.Errorf("%d keys are remembered", n)
		}
		d.store.Fail(errors.New("down"))
		d.expect(t, d.key, nil)
	})
}

func TestAuthenticateWarmAllocatesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(t)
		d.expect(t, d.key, nil)
		junk := d.key[:40] + "!"
		if n := testing.AllocsPerRun(1000, func() {
			_, _ = d.Authenticate(t.Context(), d.key)
			_, _ = d.Authenticate(t.Context(), junk)
		}); n >= 4 { // the race detector has a pool lose a quarter of its hashers; without it: 0
			t.Errorf("%v allocations", n)
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

func BenchmarkAuthenticateJunk(b *testing.B) {
	pepper, _ := subscription.NewPepper("0123456789abcdef")
	d := subscription.NewDirectory(memstore.New(), pepper)
	junk := subscription.NewKey()[:40] + "!"
	b.ReportAllocs()
	for b.Loop() {
		_, _ = d.Authenticate(b.Context(), junk)
	}
}

func TestAKeyEndsWhenItExpires(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(t)
		if err := d.store.ExpireKey(t.Context(), d.pepper.Hash(d.key), time.Now().Add(20*time.Second)); err != nil {
			t.Fatal(err)
		}
		d.expect(t, d.key, nil)
		time.Sleep(20*time.Second - 2*time.Millisecond)
		d.expect(t, d.key, nil)
		time.Sleep(2 * time.Millisecond)
		d.expect(t, d.key, subscription.ErrUnauthorized) // from memory: 20 s are within what an answer is kept
		d.store.Fail(errors.New("down"))
		time.Sleep(time.Minute)
		d.expect(t, d.key, subscription.ErrUnauthorized) // nor does a store that is down lengthen it
	})
}

package subscription_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"tollgate/handler/subscription"
	"tollgate/handler/subscription/memstore"
	"tollgate/handler/subscription/subscriptiontest"
)

// slowStore counts and delays look-ups and listings.
type slowStore struct {
	*memstore.Store
	keys    atomic.Int64  // look-ups of keys
	lists   atomic.Int64  // listings of keys
	hang    time.Duration // delay of a look-up, if it is more than a millisecond
	listErr error         // if set, the error of listings
}

func (c *slowStore) Hashes(ctx context.Context, atMost int) ([]string, error) {
	c.lists.Add(1)
	time.Sleep(200 * time.Millisecond)
	if c.listErr != nil {
		return nil, c.listErr
	}
	return c.Store.Hashes(ctx, atMost)
}

func (c *slowStore) Key(ctx context.Context, hash string) (subscription.KeyRecord, error) {
	c.keys.Add(1)
	select { // virtual time: every test that gets here runs in a synctest bubble
	case <-time.After(max(c.hang, time.Millisecond)):
	case <-ctx.Done():
		return subscription.KeyRecord{}, ctx.Err()
	}
	return c.Store.Key(ctx, hash)
}

// directoryFixture is a directory with one subscription and its key.
type directoryFixture struct {
	*subscription.Directory
	store  *slowStore
	pepper subscription.Pepper
	key    string
}

func newDirectoryFixture(t *testing.T) *directoryFixture {
	t.Helper()
	d := &directoryFixture{store: &slowStore{Store: memstore.New()}, pepper: subscriptiontest.Pepper(t)}
	d.key = subscriptiontest.Seed(t, d.store, subscription.Tier{ID: "gold", Rules: subscriptiontest.Tokens(300)}, "a")
	d.Directory = subscriptiontest.Directory(t, d.store)
	t.Cleanup(func() { time.Sleep(3 * time.Second) }) // virtual: lets look-ups in progress end before the bubble does
	return d
}

// suspend suspends the fixture's subscription.
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

// expectAuthenticate checks that a key gets a grant if want is nil, or else that error.
func (d *directoryFixture) expectAuthenticate(t *testing.T, key string, want error) {
	t.Helper()
	grant, err := d.Authenticate(t.Context(), key)
	if !errors.Is(err, want) || (err == nil) != (grant != nil) {
		t.Errorf("Authenticate: got %+v, %v; want error %v", grant, err, want)
	}
}

func TestEveryInvalidKeyGetsTheSameError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDirectoryFixture(t)
		d.expectAuthenticate(t, d.key, nil)
		d.expectAuthenticate(t, "", subscription.ErrUnauthorized)
		d.expectAuthenticate(t, "junk", subscription.ErrUnauthorized)
		d.expectAuthenticate(t, subscription.NewKey(), subscription.ErrUnauthorized)
		suspend(t, d.store)
		time.Sleep(time.Minute)
		d.expectAuthenticate(t, d.key, subscription.ErrUnauthorized)
	})
}

func TestMalformedKeysCostNoLookUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDirectoryFixture(t)
		d.expectAuthenticate(t, "junk", subscription.ErrUnauthorized)
		if n := d.store.keys.Load(); n != 0 {
			t.Errorf("look-ups: got %d, want 0", n)
		}
	})
}

func TestResultsAreReusedForHalfAMinute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDirectoryFixture(t)
		unknown := subscription.NewKey()
		for range 10 {
			d.expectAuthenticate(t, d.key, nil)
			d.expectAuthenticate(t, unknown, subscription.ErrUnauthorized)
		}
		time.Sleep(29 * time.Second)
		d.expectAuthenticate(t, d.key, nil)
		d.expectAuthenticate(t, unknown, subscription.ErrUnauthorized)
		if n := d.store.keys.Load(); n != 2 {
			t.Errorf("look-ups of two keys: got %d, want 2", n)
		}
	})
}

func TestARevokedKeyIsRefusedWithinAMinute(t *testing.T) {
	for name, asked := range map[string]time.Duration{"used every second": time.Second, "used every minute": time.Minute} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := newDirectoryFixture(t)
				d.expectAuthenticate(t, d.key, nil)
				if err := d.store.DeleteKey(t.Context(), d.pepper.Hash(d.key)); err != nil {
					t.Fatal(err)
				}
				for end := time.Now().Add(time.Minute); time.Now().Before(end); {
					_, _ = d.Authenticate(t.Context(), d.key)
					time.Sleep(asked)
				}
				d.expectAuthenticate(t, d.key, subscription.ErrUnauthorized)
			})
		})
	}
}

func TestABusyKeyNeverWaitsForItsLookUps(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDirectoryFixture(t)
		d.expectAuthenticate(t, d.key, nil)
		for range 300 {
			time.Sleep(time.Second)
			begun := time.Now()
			d.expectAuthenticate(t, d.key, nil)
			if waited := time.Since(begun); waited > 0 {
				t.Fatalf("a busy key: got a wait of %s, want none", waited)
			}
		}
		if n := d.store.keys.Load(); n < 10 || n > 11 {
			t.Errorf("look-ups in five minutes: got %d, want 10 or 11, one every 30 s", n)
		}
	})
}

func TestConcurrentCallsShareOneLookUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDirectoryFixture(t)
		var all sync.WaitGroup
		for range 50 {
			all.Go(func() { d.expectAuthenticate(t, d.key, nil) })
		}
		all.Wait()
		if n := d.store.keys.Load(); n != 1 {
			t.Errorf("look-ups for 50 calls: got %d, want 1", n)
		}
	})
}

func TestValidKeysWorkForTenMinutesWithoutTheStore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDirectoryFixture(t)
		d.expectAuthenticate(t, d.key, nil)
		d.store.Fail(errors.New("down"))
		d.expectAuthenticate(t, subscription.NewKey(), subscription.ErrUnavailable)
		time.Sleep(9 * time.Minute)
		before := d.store.keys.Load()
		for range 10 {
			d.expectAuthenticate(t, d.key, nil)
		}
		if n := d.store.keys.Load() - before; n != 1 {
			t.Errorf("look-ups for ten calls while the store is down: got %d, want 1", n)
		}
		time.Sleep(2 * time.Minute)
		d.expectAuthenticate(t, d.key, subscription.ErrUnavailable)
		d.store.Fail(nil)
		d.expectAuthenticate(t, d.key, nil)
	})
}

func TestAStoreThatHangsDelaysAValidKeyOnlyOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDirectoryFixture(t)
		d.expectAuthenticate(t, d.key, nil)
		d.store.hang = time.Hour
		time.Sleep(2 * time.Minute)
		var waits []time.Duration
		for range 20 {
			begun := time.Now()
			d.expectAuthenticate(t, d.key, nil)
			if waited := time.Since(begun); waited > 0 {
				waits = append(waits, waited)
			}
			time.Sleep(10 * time.Second)
		}
		if len(waits) != 1 || waits[0] > 2*time.Second { // the first call waits for the time limit
			t.Errorf("waits of a valid key: got %v, want one of at most 2s", waits)
		}
		if n := d.store.keys.Load(); n > 22 {
			t.Errorf("look-ups in 200 s while the store hangs: got %d, want at most 22", n)
		}
	})
}

func TestConcurrentCallsShareAFailedLookUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDirectoryFixture(t)
		d.store.hang = time.Hour
		begun := time.Now()
		var all sync.WaitGroup
		for range 50 {
			all.Go(func() { d.expectAuthenticate(t, d.key, subscription.ErrUnavailable) })
		}
		all.Wait()
		if took, n := time.Since(begun), d.store.keys.Load(); took > 2*time.Second || n != 1 {
			t.Errorf("got %d look-ups in %s, want 1 within 2s", n, took)
		}
		if n := d.Remembered(); n != 0 {
			t.Errorf("keys remembered after a failed look-up: got %d, want 0", n)
		}
	})
}

func TestALookUpGoesOnWhenTheCallThatStartedItLeaves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDirectoryFixture(t)
		leaving, leave := context.WithCancel(t.Context())
		d.store.hang = time.Second
		gone := make(chan error)
		go func() {
			_, err := d.Authenticate(leaving, d.key)
			gone <- err
		}()
		synctest.Wait() // until the look-up is in progress
		leave()
		if err := <-gone; !errors.Is(err, subscription.ErrUnavailable) || !errors.Is(err, context.Canceled) {
			t.Errorf("the first call: got %v, want ErrUnavailable and context.Canceled", err)
		}
		d.expectAuthenticate(t, d.key, nil)
		if n := d.store.keys.Load(); n != 1 {
			t.Errorf("look-ups: got %d, want 1", n)
		}
	})
}

func TestAnInvalidTierIsUnavailableNotUnauthorized(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDirectoryFixture(t)
		s, err := d.store.Subscription(t.Context(), "a")
		if err != nil {
			t.Fatal(err)
		}
		s.Overrides = overrides(t, `{"burstTokens":-1}`)
		if _, err := d.store.PutSubscription(t.Context(), s); err != nil {
			t.Fatal(err)
		}
		if _, err := d.Authenticate(t.Context(), d.key); !errors.Is(err, subscription.ErrUnavailable) || !strings.Contains(err.Error(), "limits.tokens.burst") {
			t.Errorf("Authenticate: got %v, want ErrUnavailable naming limits.tokens.burst", err)
		}
	})
}

func TestAFloodOfUnknownKeysTakesBoundedMemoryAndEvictsNoValidKey(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDirectoryFixture(t)
		d.expectAuthenticate(t, d.key, nil)
		for range 20_001 {
			_, _ = d.Authenticate(t.Context(), subscription.NewKey())
		}
		if n := d.Remembered(); n > 10_000 {
			t.Errorf("keys remembered: got %d, want at most 10,000", n)
		}
		d.store.Fail(errors.New("down"))
		d.expectAuthenticate(t, d.key, nil)
	})
}

func TestAuthenticateAllocatesNothingForRememberedKeys(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDirectoryFixture(t)
		d.expectAuthenticate(t, d.key, nil)
		junk := d.key[:40] + "!"
		if n := testing.AllocsPerRun(1000, func() {
			_, _ = d.Authenticate(t.Context(), d.key)
			_, _ = d.Authenticate(t.Context(), junk)
		}); n >= 4 { // with the race detector, sync.Pool drops a quarter of the hashers; without it there are 0
			t.Errorf("allocations: got %v, want 0, or fewer than 4 with the race detector", n)
		}
	})
}

func BenchmarkAuthenticateWarm(b *testing.B) {
	store, ctx := memstore.New(), b.Context()
	key := subscriptiontest.Seed(b, store, subscription.Tier{ID: "gold"}, "a")
	d := subscriptiontest.Directory(b, store)
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

func TestAKeyIsRefusedOnceItExpires(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDirectoryFixture(t)
		if err := d.store.ExpireKey(t.Context(), d.pepper.Hash(d.key), time.Now().Add(20*time.Second)); err != nil {
			t.Fatal(err)
		}
		d.expectAuthenticate(t, d.key, nil)
		time.Sleep(20*time.Second - 2*time.Millisecond)
		d.expectAuthenticate(t, d.key, nil)
		time.Sleep(2 * time.Millisecond)
		d.expectAuthenticate(t, d.key, subscription.ErrUnauthorized) // from memory: the result is less than 30 s old
		d.store.Fail(errors.New("down"))
		time.Sleep(time.Minute)
		d.expectAuthenticate(t, d.key, subscription.ErrUnauthorized) // an unreachable store doesn't extend it
	})
}

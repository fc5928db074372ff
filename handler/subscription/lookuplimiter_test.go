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
)

// flood presents perSecond invented keys a second until stop is called. turnedAway counts the
// keys that were refused without a look-up.
func flood(t *testing.T, d *directoryFixture, perSecond int) (turnedAway *atomic.Int64, stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	turnedAway = new(atomic.Int64)
	var all sync.WaitGroup
	all.Go(func() {
		every := time.NewTicker(time.Second / time.Duration(perSecond))
		defer every.Stop()
		for ctx.Err() == nil {
			<-every.C
			key := subscription.NewKey()
			all.Go(func() {
				switch _, err := d.Authenticate(ctx, key); {
				case errors.Is(err, subscription.ErrBusy):
					turnedAway.Add(1)
				case !errors.Is(err, subscription.ErrUnauthorized) && ctx.Err() == nil:
					t.Errorf("an unknown key: got %v, want ErrUnauthorized or ErrBusy", err)
				}
			})
		}
	})
	return turnedAway, func() { cancel(); all.Wait() }
}

// addKeys stores n new keys of the subscription and returns them.
func (d *directoryFixture) addKeys(t *testing.T, n int) []string {
	t.Helper()
	keys := make([]string, n)
	for i := range keys {
		keys[i] = subscription.NewKey()
		if err := d.store.PutKey(t.Context(), subscription.KeyRecord{Hash: d.pepper.Hash(keys[i]), Subscription: "a", Slot: subscription.Primary}); err != nil {
			t.Fatal(err)
		}
	}
	return keys
}

func TestLookUpsOfUnknownKeysAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDirectoryFixture(t)
		turnedAway, stop := flood(t, d, 2000)
		time.Sleep(20 * time.Second)
		stop()
		reads := d.store.keys.Load()
		if most := int64(1000 + 20*100 + 10); reads > most || reads < 2500 {
			t.Errorf("look-ups for 40,000 unknown keys in 20 s: got %d, want 2,500 to %d", reads, most)
		}
		if n := turnedAway.Load() + reads; n < 39_000 {
			t.Errorf("keys looked up or refused: got %d, want at least 39,000", n)
		}
		if lists := d.store.lists.Load(); lists != 1 {
			t.Errorf("times the keys were listed in 20 s: got %d, want 1", lists)
		}
	})
}

func TestStoredKeysAreAcceptedDuringAFloodOfUnknownKeys(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDirectoryFixture(t)
		keys := d.addKeys(t, 3000)
		d.expectAuthenticate(t, d.key, nil)
		_, stop := flood(t, d, 2000)
		time.Sleep(5 * time.Second)
		var cold sync.WaitGroup
		for _, key := range keys {
			cold.Go(func() { d.expectAuthenticate(t, key, nil) })
		}
		cold.Wait()
		began := time.Now()
		for _, key := range append(keys, d.key) {
			d.expectAuthenticate(t, key, nil)
		}
		if took := time.Since(began); took > 0 {
			t.Errorf("remembered keys: got a wait of %s, want none", took)
		}
		late := d.addKeys(t, 1)[0] // stored after the keys were listed
		for time.Since(began) < 31*time.Second {
			if _, err := d.Authenticate(t.Context(), late); err == nil {
				break
			}
			time.Sleep(subscription.BusyRetryAfter)
		}
		d.expectAuthenticate(t, late, nil)
		stop()
	})
}

func TestANewDirectoryAcceptsThousandsOfKeysAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDirectoryFixture(t)
		var cold sync.WaitGroup
		for _, key := range d.addKeys(t, 5000) {
			cold.Go(func() { d.expectAuthenticate(t, key, nil) })
		}
		cold.Wait()
	})
}

// Presenting the same keys again, once the remembered results are too old, must not get around
// the limit.
func TestLookUpsOfRepeatedUnknownKeysAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDirectoryFixture(t)
		keys := make([]string, 5000)
		for i := range keys {
			keys[i] = subscription.NewKey()
		}
		for range 4 {
			for _, key := range keys {
				_, _ = d.Authenticate(t.Context(), key)
			}
			time.Sleep(30 * time.Second)
		}
		if n, most := d.store.keys.Load(), int64(1000+150*100); n > most {
			t.Errorf("look-ups of the same 5,000 keys: got %d, want at most %d", n, most)
		}
	})
}

func TestUnknownKeysAreRefusedEvenIfListingFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDirectoryFixture(t)
		d.expectAuthenticate(t, d.key, nil)
		d.store.listErr = errors.New("down")
		turnedAway, stop := flood(t, d, 2000)
		time.Sleep(5 * time.Second)
		stop()
		d.expectAuthenticate(t, d.key, nil)
		if n := d.store.keys.Load(); n > 1600 || turnedAway.Load() < 8000 {
			t.Errorf("10,000 unknown keys: got %d look-ups and %d keys refused, want at most 1600 and at least 8000", n, turnedAway.Load())
		}
		if text := subscription.ErrBusy.Error(); strings.Contains(text, "tg_") {
			t.Errorf("ErrBusy: got %q, want no key in it", text)
		}
	})
}

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

// flood has strangers present keys of their own making, perSecond of them, until
// stop is called; it counts how many were turned away unread.
func flood(t *testing.T, d *desk, perSecond int) (turnedAway *atomic.Int64, stop func()) {
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
					t.Errorf("a stranger got %v", err)
				}
			})
		}
	})
	return turnedAway, func() { cancel(); all.Wait() }
}

// hire makes keys of the desk's subscription.
func (d *desk) hire(t *testing.T, n int) []string {
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

func TestStrangersLookUpsAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(t)
		turnedAway, stop := flood(t, d, 2000)
		time.Sleep(20 * time.Second)
		stop()
		reads := d.store.keys.Load()
		if most := int64(1000 + 20*100 + 10); reads > most || reads < 2500 {
			t.Errorf("%d look-ups for 40,000 unknown keys in 20 s, want some 3,000 and %d at most", reads, most)
		}
		if n := turnedAway.Load() + reads; n < 39_000 {
			t.Errorf("%d of 40,000 were looked up or turned away", n)
		}
		if lists := d.store.lists.Load(); lists != 1 {
			t.Errorf("the keys were listed %d times in 20 s, want once", lists)
		}
	})
}

// TestKeysThatThereAreGetInThroughAFlood on an instance that starts in it, and
// whoever is known doesn't wait at all.
func TestKeysThatThereAreGetInThroughAFlood(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(t)
		keys := d.hire(t, 3000)
		d.expect(t, d.key, nil)
		_, stop := flood(t, d, 2000)
		time.Sleep(5 * time.Second)
		var cold sync.WaitGroup
		for _, key := range keys {
			cold.Go(func() { d.expect(t, key, nil) })
		}
		cold.Wait()
		began := time.Now()
		for _, key := range append(keys, d.key) {
			d.expect(t, key, nil)
		}
		if took := time.Since(began); took > 0 {
			t.Errorf("known keys waited %s", took)
		}
		late := d.hire(t, 1)[0] // made after the keys were listed
		for time.Since(began) < 31*time.Second {
			if _, err := d.Authenticate(t.Context(), late); err == nil {
				break
			}
			time.Sleep(subscription.BusyRetryAfter)
		}
		d.expect(t, late, nil)
		stop()
	})
}

// TestThousandsOfKeysGetInAtOnceAfterAStart although none of them is known.
func TestThousandsOfKeysGetInAtOnceAfterAStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(t)
		var cold sync.WaitGroup
		for _, key := range d.hire(t, 5000) {
			cold.Go(func() { d.expect(t, key, nil) })
		}
		cold.Wait()
	})
}

// TestAKeyRefusedBeforeIsUnknownToo: a stranger can't get around the brake by
// presenting the same keys again once what was remembered of them is old.
func TestAKeyRefusedBeforeIsUnknownToo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(t)
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
			t.Errorf("%d look-ups of the same 5,000 keys, want %d at most", n, most)
		}
	})
}

func TestWithoutAListOfTheKeysStrangersAreStillTurnedAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(t)
		d.expect(t, d.key, nil)
		d.store.unlisted = errors.New("down")
		turnedAway, stop := flood(t, d, 2000)
		time.Sleep(5 * time.Second)
		stop()
		d.expect(t, d.key, nil)
		if n := d.store.keys.Load(); n > 1600 || turnedAway.Load() < 8000 {
			t.Errorf("%d look-ups, %d turned away", n, turnedAway.Load())
		}
		if text := subscription.ErrBusy.Error(); strings.Contains(text, "tg_") {
			t.Errorf("the error shows a key: %s", text)
		}
	})
}

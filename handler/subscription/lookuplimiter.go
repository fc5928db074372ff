package subscription

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"time"

	"golang.org/x/time/rate"
)

const (
	// unknownPerSecond and unknownBurst limit an instance's look-ups of keys that turn
	// out not to exist. At this rate, 40 instances use a fifth of the requests that a
	// storage account can serve.
	// Source: https://learn.microsoft.com/azure/storage/common/scalability-targets-standard-account
	unknownPerSecond = 100
	unknownBurst     = 1000
	// listEvery is the shortest time between two listings of the stored keys.
	listEvery = 30 * time.Second
	// listTimeout bounds one listing.
	listTimeout = 10 * time.Second
	// maxListed is the most keys that are listed. Keys beyond it are looked up at the
	// rate for unknown keys.
	maxListed = 200_000
)

// ErrBusy means that a key was not looked up, because callers are presenting too many keys
// that don't exist. Retry after BusyRetryAfter.
var ErrBusy = errors.New("too many unknown keys are being presented")

// BusyRetryAfter is how long to wait after ErrBusy.
const BusyRetryAfter = time.Second

// A lookupLimiter limits the look-ups of unknown keys. Anyone can invent keys, and each costs
// a read from the storage account that also holds the counters. Only look-ups that find
// nothing count, so that a new instance can look up thousands of valid keys at once. When the
// limit is reached, the stored keys are listed: listed keys are still looked up, and all
// others are refused without a read.
type lookupLimiter struct {
	bucket       *rate.Limiter // loses one for each look-up that found nothing
	pending      int           // look-ups in progress, each of which may find nothing
	storedHashes map[[sha256.Size]byte]struct{}
	listAfter    time.Time     // the earliest time of the next listing
	listing      chan struct{} // closed when the listing in progress ends; nil: none is in progress
}

func newLookupLimiter() lookupLimiter {
	return lookupLimiter{bucket: rate.NewLimiter(unknownPerSecond, unknownBurst)}
}

// admits reports whether an unknown key may be looked up.
func (b *lookupLimiter) admits(hash [sha256.Size]byte, now time.Time) bool {
	if _, listed := b.storedHashes[hash]; listed {
		return true
	}
	return b.bucket.TokensAt(now) >= float64(b.pending+1)
}

// finish records the end of a look-up that admits allowed.
func (b *lookupLimiter) finish(found bool, now time.Time) {
	b.pending--
	if !found {
		b.bucket.AllowN(now, 1)
	}
}

// startListing starts to list the stored keys, unless a listing is in progress or started
// less than listEvery ago. The returned channel is closed when the listing in progress ends;
// nil: none is. d.mu must be held.
func (d *Directory) startListing(now time.Time) <-chan struct{} {
	if d.unknownKeys.listing == nil && !now.Before(d.unknownKeys.listAfter) {
		d.unknownKeys.listing = make(chan struct{})
		d.unknownKeys.listAfter = now.Add(listEvery)
		go d.listStoredKeys()
	}
	return d.unknownKeys.listing
}

func (d *Directory) listStoredKeys() {
	ctx, cancel := context.WithTimeout(context.Background(), listTimeout)
	defer cancel()
	hashes, err := d.store.Hashes(ctx, maxListed)
	stored := make(map[[sha256.Size]byte]struct{}, len(hashes))
	for _, text := range hashes {
		if sum, err := base64.RawURLEncoding.DecodeString(text); err == nil && len(sum) == sha256.Size {
			stored[[sha256.Size]byte(sum)] = struct{}{}
		}
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if err == nil {
		d.unknownKeys.storedHashes = stored
	}
	close(d.unknownKeys.listing)
	d.unknownKeys.listing = nil
}

// waitForList waits for a listing of the stored keys and authenticates again, or
// returns ErrBusy if no listing is in progress.
func (d *Directory) waitForList(ctx context.Context, key string, listed <-chan struct{}) (*Grant, error) {
	if listed == nil {
		return nil, ErrBusy
	}
	select {
	case <-listed:
		return d.Authenticate(ctx, key)
	case <-ctx.Done():
		return nil, ErrBusy
	}
}

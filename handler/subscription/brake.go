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
	// strangersPerSecond is how many look-ups of keys that turn out to be nobody's
	// an instance makes a second, strangersAtOnce how many of them at once. 40
	// instances at this rate use a fifth of what a storage account takes.
	// Source: https://learn.microsoft.com/azure/storage/common/scalability-targets-standard-account
	strangersPerSecond = 100
	strangersAtOnce    = 1000
	// listEvery is the shortest time between two lists of the stored keys.
	listEvery = 30 * time.Second
	// listTime bounds the making of such a list.
	listTime = 10 * time.Second
	// mostListed is the most keys that a list takes up, in keys; others are looked
	// up at the strangers' rate.
	mostListed = 200_000
)

// ErrBusy says that a key wasn't looked up because too many keys that nobody
// holds are being presented; BusyRetryAfter is when to try again.
var ErrBusy = errors.New("too many unknown keys are being presented")

// BusyRetryAfter is how long after ErrBusy a key may be looked up again.
const BusyRetryAfter = time.Second

// brake bounds the look-ups of keys that aren't known to be somebody's: anyone
// can make up keys, and each costs a read from the account that holds the
// counters, too. A look-up that finds a subscription costs nothing here, so that
// an instance that starts can look up thousands of keys at once. Once strangers
// have used up their rate, the keys that are stored are listed: those are still
// looked up, and all others are turned away.
type brake struct {
	bucket  *rate.Limiter // one token for each look-up that found nobody
	running int           // look-ups under way that may find nobody
	stored  map[[sha256.Size]byte]struct{}
	due     time.Time     // when they may be listed again
	listing chan struct{} // closed when the list under way ends; nil: there is none
}

func newBrake() brake { return brake{bucket: rate.NewLimiter(strangersPerSecond, strangersAtOnce)} }

// admits says whether a key that isn't known may be looked up.
func (b *brake) admits(hash [sha256.Size]byte, now time.Time) bool {
	if _, stored := b.stored[hash]; stored {
		return true
	}
	return b.bucket.TokensAt(now) >= float64(b.running+1)
}

// ended counts a look-up that was admitted.
func (b *brake) ended(found bool, now time.Time) {
	b.running--
	if !found {
		b.bucket.AllowN(now, 1)
	}
}

// list begins to list the stored keys, unless that is under way or was done just
// now. The channel is closed when there is a new list; nil: there won't be one.
func (d *Directory) list(now time.Time) <-chan struct{} {
	if d.brake.listing == nil && !now.Before(d.brake.due) {
		d.brake.listing = make(chan struct{})
		d.brake.due = now.Add(listEvery)
		go d.listStored()
	}
	return d.brake.listing
}

func (d *Directory) listStored() {
	ctx, cancel := context.WithTimeout(context.Background(), listTime)
	defer cancel()
	hashes, err := d.store.Hashes(ctx, mostListed)
	stored := make(map[[sha256.Size]byte]struct{}, len(hashes))
	for _, text := range hashes {
		if sum, err := base64.RawURLEncoding.DecodeString(text); err == nil && len(sum) == sha256.Size {
			stored[[sha256.Size]byte(sum)] = struct{}{}
		}
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if err == nil {
		d.brake.stored = stored
	}
	close(d.brake.listing)
	d.brake.listing = nil
}

// turnAway waits for a list of the stored keys, if one is being made, and tries
// once more then.
func (d *Directory) turnAway(ctx context.Context, key string, listed <-chan struct{}) (*Grant, error) {
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

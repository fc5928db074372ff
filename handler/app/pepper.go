package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"time"

	"tollgate/handler/subscription"
)

const (
	// claimTime bounds one try to compare the pepper.
	claimTime = 10 * time.Second
	// claimPause is how long after a failed one the next comes.
	claimPause = 30 * time.Second
)

// claimPepper compares the pepper with the one that the tables' keys were made
// under, and keeps its fingerprint where there is none yet. Under a wrong one
// every key is refused, so that is said where the host shows errors. Tables that
// are out of reach are asked again until ctx is done: callers don't wait for this.
func claimPepper(ctx context.Context, store subscription.Store, pepper subscription.Pepper, log *slog.Logger, stderr io.Writer) {
	for {
		err := comparePepper(ctx, store, pepper)
		switch {
		case err == nil || ctx.Err() != nil:
			return
		case errors.Is(err, subscription.ErrOtherPepper):
			log.Error("every key is refused", "cause", err.Error())
			fmt.Fprintf(stderr, "tollgate refuses every key: %v\n", err)
			return
		}
		log.Info("the pepper could not be compared with the one that keys were made under", "cause", err.Error())
		select {
		case <-time.After(claimPause):
		case <-ctx.Done():
			return
		}
	}
}

// comparePepper is one try. An app that may only read the keys leaves it to whoever
// makes the first one to keep the fingerprint.
func comparePepper(ctx context.Context, store subscription.Store, pepper subscription.Pepper) error {
	ctx, cancel := context.WithTimeout(ctx, claimTime)
	defer cancel()
	registry := subscription.Registry{Store: store}
	switch err := registry.ComparePepper(ctx, pepper); {
	case errors.Is(err, subscription.ErrNotFound):
		_ = registry.ClaimPepper(ctx, pepper)
		return nil
	case errors.Is(err, subscription.ErrOtherPepper):
		return registry.ClaimPepper(ctx, pepper) // where no key is stored, any pepper is right
	default:
		return err
	}
}

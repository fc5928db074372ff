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
	// claimTimeout bounds one attempt to compare the pepper.
	claimTimeout = 10 * time.Second
	// claimPause is the time from a failed attempt to the next.
	claimPause = 30 * time.Second
)

// claimPepper compares the pepper with the one that the stored keys were hashed
// with, and stores its fingerprint if there is none yet. A wrong pepper refuses every
// key, so the fault also goes to stderr, which the host shows as an error. While the
// tables can't be reached, claimPepper tries again until ctx is done; calls don't
// wait for it.
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
		log.Info("cannot compare KEY_PEPPER with the pepper of the stored keys; trying again", "in", claimPause.String(), "cause", err.Error())
		select {
		case <-time.After(claimPause):
		case <-ctx.Done():
			return
		}
	}
}

// comparePepper makes one attempt. It ignores an error of writing the fingerprint: if the app may
// only read keys, the command that creates the first key writes it.
func comparePepper(ctx context.Context, store subscription.Store, pepper subscription.Pepper) error {
	ctx, cancel := context.WithTimeout(ctx, claimTimeout)
	defer cancel()
	registry := subscription.Registry{Store: store}
	switch err := registry.ComparePepper(ctx, pepper); {
	case errors.Is(err, subscription.ErrNotFound):
		_ = registry.ClaimPepper(ctx, pepper)
		return nil
	case errors.Is(err, subscription.ErrOtherPepper):
		return registry.ClaimPepper(ctx, pepper) // without stored keys, any pepper is right
	default:
		return err
	}
}

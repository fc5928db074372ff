package azure

import (
	"context"
	"math/rand/v2"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/data/aztables"
)

// Retry runs an operation, and again after each of the pauses, until the service has answered
// it. Each pause varies by up to half, so that instances don't retry at the same time. The
// error is the last attempt's. lost reports whether an earlier attempt got no answer, and so
// may have taken effect.
func Retry(ctx context.Context, pauses []time.Duration, operation func() error) (lost bool, err error) {
	for _, pause := range pauses {
		if err = operation(); err == nil || answered(err) {
			return lost, err
		}
		select {
		case <-time.After(pause/2 + rand.N(pause)):
		case <-ctx.Done():
			return lost, err
		}
		lost = true
	}
	return lost, operation()
}

// readPage reads the next page of entities: the one at which options continue. It uses Retry.
// The SDK's pager is unusable after a failure, so each attempt makes a new one.
func readPage(ctx context.Context, client *aztables.Client, options *aztables.ListEntitiesOptions, pauses []time.Duration) (page aztables.ListEntitiesResponse, err error) {
	_, err = Retry(ctx, pauses, func() (err error) {
		page, err = client.NewListEntitiesPager(options).NextPage(ctx)
		return err
	})
	return page, err
}

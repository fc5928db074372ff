package azure

import (
	"context"
	"math/rand/v2"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/data/aztables"
)

// Retry tries an operation, and once more after each of the pauses, until the
// service has answered it. Each pause is up to half longer or shorter, so that
// instances don't come back together. The error is the last try's; lost says
// whether an earlier one's answer was lost, so that it may have had its effect.
func Retry(ctx context.Context, pauses []time.Duration, operation func() error) (lost bool, err error) {
	for _, pause := range pauses {
		if err = operation(); err == nil || Answered(err) {
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

// Page reads a page of entities where options continue, by Retry. The SDK's
// pager gives up for good after a failure, so each try has one of its own.
func Page(ctx context.Context, client *aztables.Client, options *aztables.ListEntitiesOptions, pauses []time.Duration) (page aztables.ListEntitiesResponse, err error) {
	_, err = Retry(ctx, pauses, func() (err error) {
		page, err = client.NewListEntitiesPager(options).NextPage(ctx)
		return err
	})
	return page, err
}

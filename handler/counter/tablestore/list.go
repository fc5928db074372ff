package tablestore

import (
	"context"
	"iter"
	"math/rand/v2"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/data/aztables"

	"tollgate/handler/storage"
)

// list goes through the entities that a filter admits, with all columns or
// those selected. A table that isn't there is empty.
func list(ctx context.Context, client *aztables.Client, filter, columns string) iter.Seq2[[]byte, error] {
	options := &aztables.ListEntitiesOptions{}
	if filter != "" {
		options.Filter = &filter
	}
	if columns != "" {
		options.Select = &columns
	}
	return func(yield func([]byte, error) bool) {
		for more := true; more; {
			page, err := nextPage(ctx, client, options)
			if storage.HasCode(err, aztables.TableNotFound) {
				return
			}
			if err != nil {
				yield(nil, translate("list rows", err))
				return
			}
			for _, entity := range page.Entities {
				if !yield(entity, nil) {
					return
				}
			}
			options.NextPartitionKey, options.NextRowKey = page.NextPartitionKey, page.NextRowKey
			more = options.NextPartitionKey != nil && *options.NextPartitionKey != ""
		}
	}
}

// A page that the service could not give is asked for again after a pause: a
// long walk through a table should not fail for one busy moment.
const (
	pageTries  = 4
	firstPause = 200 * time.Millisecond
)

// nextPage reads where options continue. The SDK's pager gives up for good
// after a failure, so each try has one of its own.
func nextPage(ctx context.Context, client *aztables.Client, options *aztables.ListEntitiesOptions) (aztables.ListEntitiesResponse, error) {
	for try := 0; ; try++ {
		page, err := client.NewListEntitiesPager(options).NextPage(ctx)
		if err == nil || try == pageTries-1 || storage.Answered(err) {
			return page, err
		}
		pause := firstPause << try
		select {
		case <-time.After(pause/2 + rand.N(pause)):
		case <-ctx.Done():
			return page, err
		}
	}
}

package tablestore

import (
	"context"
	"iter"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/data/aztables"

	"tollgate/handler/azure"
)

// list yields the entities that match a filter, with all columns or those
// selected. A missing table is empty.
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
			page, err := azure.Page(ctx, client, options, pagePauses)
			if azure.HasCode(err, aztables.TableNotFound) {
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

// pagePauses are the pauses before a page that the service could not deliver
// is requested again: a long list should not fail because of one busy moment.
var pagePauses = []time.Duration{200 * time.Millisecond, 400 * time.Millisecond, 800 * time.Millisecond}

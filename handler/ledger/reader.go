package ledger

import (
	"context"
	"time"
)

// A Reader reads the ledger.
type Reader struct{ Store Store }

// Rows returns the rows of a subscription's minutes and hours that begin in [from, to).
// [Join] tells what they say.
func (r Reader) Rows(ctx context.Context, subscription string, from, to time.Time) ([]Row, error) {
	return read(ctx, r.Store, Partition(subscription), from, to)
}

package ledgertest

import (
	"context"
	"log/slog"
	"time"

	"tollgate/handler/ledger"
)

// Happened records what a subscription used of a model at a time, as a process of its own
// would have.
func Happened(ctx context.Context, store ledger.Store, at time.Time, subscription, model string, used ledger.Totals) error {
	recorder := ledger.NewRecorder(ledger.Config{Store: store, Now: func() time.Time { return at }, Log: slog.New(slog.DiscardHandler)})
	recorder.Record(subscription, model, used)
	return recorder.Close(ctx)
}

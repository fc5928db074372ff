package ledgertest

import (
	"log/slog"
	"testing"
	"time"

	"tollgate/handler/ledger"
)

// Record stores usage of a subscription and model at a time, as a new process would have
// recorded it.
func Record(t testing.TB, store ledger.Store, subscription, model string, at time.Time, used ledger.Totals) {
	t.Helper()
	recorder := ledger.NewRecorder(ledger.Config{Store: store, Now: func() time.Time { return at }, Log: slog.New(slog.DiscardHandler)})
	recorder.Record(subscription, model, used)
	if err := recorder.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
}

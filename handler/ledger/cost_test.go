package ledger_test

import (
	"context"
	"fmt"
	"iter"
	"log/slog"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"tollgate/handler/ledger"
	"tollgate/handler/ledger/memstore"
)

// A counted store counts operations as Table Storage bills them: each transaction is one, and
// so is each page of a list.
type counted struct {
	ledger.Store
	operations atomic.Int64
}

// pageSize is the most rows of a page. Source:
// https://learn.microsoft.com/rest/api/storageservices/query-timeout-and-pagination
const pageSize = 1000

func (c *counted) Apply(ctx context.Context, changes []ledger.Change) ([]ledger.Version, error) {
	c.operations.Add(1)
	time.Sleep(12500 * time.Microsecond)
	return c.Store.Apply(ctx, changes)
}

func (c *counted) Rows(ctx context.Context, partition, from, to string) iter.Seq2[ledger.Row, error] {
	return paged(c, c.Store.Rows(ctx, partition, from, to))
}

func (c *counted) Partitions(ctx context.Context, from, to string) iter.Seq2[string, error] {
	return paged(c, c.Store.Partitions(ctx, from, to))
}

// paged counts the pages of a list.
func paged[T any](c *counted, list iter.Seq2[T, error]) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		c.operations.Add(1)
		rows := 0
		for row, err := range list {
			if rows++; rows%pageSize == 0 {
				c.operations.Add(1)
			}
			if !yield(row, err) {
				return
			}
		}
	}
}

// A cost is the number of table operations that some calls cause.
type cost struct{ calls, ledger, housekeeping int64 }

// per returns how many of the operations there are for a number of calls.
func (c cost) per(calls, operations int64) float64 {
	return float64(operations) * float64(calls) / float64(c.calls)
}

// A traffic describes calls at a steady rate, spread evenly over processes and subscriptions.
// Housekeeping runs two hours after they end.
type traffic struct {
	processes, subscriptions int
	perSecond                float64
	lasts                    time.Duration
}

// run makes the calls in virtual time and returns their cost.
func (w traffic) run(t *testing.T) (c cost) {
	synctest.Test(t, func(t *testing.T) {
		log := slog.New(slog.DiscardHandler)
		store := &counted{Store: memstore.New(nil)}
		var recorders []*ledger.Recorder
		for range w.processes {
			recorders = append(recorders, ledger.NewRecorder(ledger.Config{Store: store, Log: log}))
		}
		call := ledger.Totals{Calls: 1, PromptTokens: 25, CompletionTokens: 233}
		for begin := time.Now(); time.Since(begin) < w.lasts; c.calls++ {
			subscription := fmt.Sprintf("team-%d", int(c.calls)%w.subscriptions)
			recorders[int(c.calls)%w.processes].Record(subscription, "DeepSeek-R1", call)
			time.Sleep(time.Duration(float64(time.Second) / w.perSecond))
		}
		time.Sleep(10 * time.Minute)
		for _, r := range recorders {
			if err := r.Close(t.Context()); err != nil {
				t.Error(err)
			}
		}
		c.ledger = store.operations.Swap(0)
		time.Sleep(2 * time.Hour)
		if _, err := (ledger.Upkeep{Store: store, Retention: 400 * 24 * time.Hour, Log: log}).Run(t.Context()); err != nil {
			t.Error(err)
		}
		c.housekeeping = store.operations.Load()
	})
	return c
}

// hot is one busy subscription on 16 processes.
func hot(lasts time.Duration) traffic { return traffic{16, 1, 500, lasts} }

// many is 10,000 subscriptions with a call a minute each, on one process.
func many(lasts time.Duration) traffic { return traffic{1, 10_000, 10_000. / 60, lasts} }

// lone is a single call.
var lone = traffic{1, 1, 1, time.Second}

func TestTheLedgerCostsFewTableOperations(t *testing.T) {
	for name, test := range map[string]struct {
		traffic traffic
		calls   int64   // the number of calls that most is for
		most    float64 // the most operations
	}{
		"a busy subscription of 16 processes":       {hot(2 * time.Minute), 1000, 7},
		"a lone call":                               {lone, 1, 2},
		"10,000 subscriptions with a call a minute": {many(time.Minute), 1, 1.05},
	} {
		t.Run(name, func(t *testing.T) {
			c := test.traffic.run(t)
			t.Logf("%d calls: %d operations of the ledger, %d of housekeeping", c.calls, c.ledger, c.housekeeping)
			if got := c.per(test.calls, c.ledger); got > test.most || c.ledger == 0 {
				t.Errorf("got %.3f operations for %d calls, want some, and at most %v", got, test.calls, test.most)
			}
		})
	}
}

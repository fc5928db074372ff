package counter_test

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"tollgate/handler/counter"
	"tollgate/handler/counter/memstore"
	"tollgate/handler/limit"
)

// silent is a history that never answers.
type silent struct{}

func (silent) PutClosed(ctx context.Context, _, _ string, _ limit.Closed) error {
	<-ctx.Done()
	return ctx.Err()
}

// TestAHistoryThatIsDownIsTriedOncePerWrite, not once for each closed minute, so
// Close is quick and the log short.
func TestAHistoryThatIsDownIsTriedOncePerWrite(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		store := memstore.New(nil)
		c := counter.New(counter.Config{Store: store, History: silent{}, Log: slog.New(slog.NewTextHandler(&log, nil))})
		for range 50 {
			r, _ := reserve(t, c, minute, 10)
			r.Settle(limit.Usage{PromptTokens: 10})
			time.Sleep(time.Minute)
		}
		r, _ := reserve(t, c, minute, 10)
		r.Settle(limit.Usage{PromptTokens: 10})
		began := time.Now()
		if err := c.Close(t.Context()); err != nil || time.Since(began) > 3*time.Second {
			t.Errorf("Close: got %v after %v, want no error within 3s", err, time.Since(began))
		}
		if lines, writes := int64(strings.Count(log.String(), "\n")), c.Stats().Writes; lines > writes {
			t.Errorf("log lines: got %d, want at most one for each of %d writes: %s", lines, writes, log.String())
		}
		if waiting := len(written(t, store).Outbox); waiting != 50 {
			t.Errorf("closed minutes in the outbox: got %d, want 50", waiting)
		}
	})
}

package counter_test

import (
	"context"
	"errors"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"tollgate/handler/counter"
	"tollgate/handler/counter/memstore"
	"tollgate/handler/limit"
)

// TestRecentReturnsMinutesMissingInTheHistory: closed minutes that couldn't be
// written yet, and the running one.
func TestRecentReturnsMinutesMissingInTheHistory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := counter.New(counter.Config{Store: memstore.New(nil), Log: slog.New(slog.DiscardHandler),
			History: memstore.NewHistory(func(string) (bool, error) { return false, errors.New("down") })})
		spend := func(tokens, usage int64) {
			r, _ := reserve(t, c, minute, tokens)
			r.Settle(limit.Usage{PromptTokens: tokens, CompletionTokens: usage - tokens})
		}
		first := limit.Minute(time.Now())
		spend(25, 100)
		spend(25, 50)
		time.Sleep(70 * time.Second)
		spend(300, 310) // ten tokens beyond the reservation
		if _, d := reserve(t, c, minute, 1); d.Verdict != limit.RateExceeded {
			t.Errorf("one more call: got %v, want RateExceeded", d.Verdict)
		}
		got, err := c.Recent(t.Context(), "key", minute)
		if err != nil {
			t.Fatal(err)
		}
		want := []limit.Closed{
			{Minute: first, From: first, Usage: limit.Usage{PromptTokens: 50, CompletionTokens: 100}, Requests: 2, Charged: 150},
			{Minute: first + 1, From: first + 1, Usage: limit.Usage{PromptTokens: 300, CompletionTokens: 10}, Requests: 1, Refused: 1, Charged: 310},
		}
		if diff := cmp.Diff(want, got.Minutes); diff != "" || got.Epoch == "" || got.Standing.Used != 310 {
			t.Errorf("recent: got epoch %q and %d used, want an epoch and 310; minutes (-want +got):\n%s", got.Epoch, got.Standing.Used, diff)
		}
		if err := c.Close(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

// behind is a store whose clock is behind this machine's. It counts its reads.
type behind struct {
	*memstore.Store
	by    time.Duration
	reads int
}

func (b *behind) Load(ctx context.Context, key string) (limit.State, counter.Version, time.Time, error) {
	time.Sleep(meanOperation)
	b.reads++
	state, version, date, err := b.Store.Load(ctx, key)
	return state, version, date.Add(-b.by), err
}

// TestTheFirstStandingReadsTheRowOnceWhateverTheClock of the store says.
func TestTheFirstStandingReadsTheRowOnceWhateverTheClock(t *testing.T) {
	for _, by := range []time.Duration{-time.Hour, 0, 900 * time.Millisecond, time.Hour} {
		synctest.Test(t, func(t *testing.T) {
			store := &behind{Store: memstore.New(nil), by: by}
			c := instance(store)
			if _, err := c.Standing(t.Context(), "key", minute); err != nil || store.reads != 1 {
				t.Errorf("a store whose clock is %v behind: got %d reads, %v; want 1, no error", by, store.reads, err)
			}
		})
	}
}

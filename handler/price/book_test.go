package price_test

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"tollgate/handler/limit"
	"tollgate/handler/price"
	"tollgate/handler/price/memstore"
)

// A slow store delays and counts readings.
type slow struct {
	memstore.Store
	takes    time.Duration // delay of each reading
	readings atomic.Int64
	running  atomic.Int64 // readings in progress
	together atomic.Int64 // the most readings in progress at once
}

func (s *slow) Read(ctx context.Context) (price.Snapshot, error) {
	s.readings.Add(1)
	s.together.Store(max(s.together.Load(), s.running.Add(1)))
	defer s.running.Add(-1)
	select {
	case <-time.After(s.takes):
		return s.Store.Read(ctx)
	case <-ctx.Done():
		return price.Snapshot{}, ctx.Err()
	}
}

// set stores the price of a million prompt tokens of the model m.
func (s *slow) set(t *testing.T, prompt price.Decimal) {
	t.Helper()
	p, err := s.Price(t.Context(), "m", "2026-01-01")
	if err != nil {
		p = since("2026-01-01", price.Rates{Completion: "0"})
		p.Version = 0
	}
	p.Prompt = prompt
	if _, err := s.Put(t.Context(), p); err != nil {
		t.Fatal(err)
	}
}

// wantCost checks that a quote comes within a time and prices a prompt token at want.
func wantCost(t *testing.T, b *price.Book, within time.Duration, want int64) {
	t.Helper()
	started := time.Now()
	q, err := b.Quote(t.Context(), "m", nil, noon)
	if took := time.Since(started); took > within {
		t.Errorf("Quote: got it after %v, want at most %v", took, within)
	}
	if got := q.Cost(limit.Usage{PromptTokens: 1}, ""); err != nil || got != want {
		t.Errorf("Quote: got %d for a token and error %v, want %d", got, err, want)
	}
}

func TestABookReadsOnceInHalfAMinuteForAllCalls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &slow{takes: 100 * time.Millisecond}
		store.set(t, "1")
		b := price.NewBook(store)
		var all sync.WaitGroup
		for range 50 {
			all.Go(func() { wantCost(t, b, 100*time.Millisecond, 1_000) })
		}
		all.Wait()
		wantCost(t, b, 0, 1_000)
		if got := store.readings.Load(); got != 1 {
			t.Errorf("50 first calls: got %d readings, want 1", got)
		}
		store.set(t, "2")
		time.Sleep(29 * time.Second)
		wantCost(t, b, 0, 1_000)
		time.Sleep(2 * time.Second)
		for range 50 {
			all.Go(func() { wantCost(t, b, 0, 1_000) }) // from the old list, without waiting
		}
		all.Wait()
		synctest.Wait()
		time.Sleep(time.Second)
		wantCost(t, b, 0, 2_000)
		if got, together := store.readings.Load(), store.together.Load(); got != 2 || together != 1 {
			t.Errorf("got %d readings, %d of them at once; want 2, one at a time", got, together)
		}
	})
}

func TestAnOldListIsReadAgainBeforeItIsUsed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &slow{takes: 100 * time.Millisecond}
		store.set(t, "1")
		b := price.NewBook(store)
		wantCost(t, b, time.Second, 1_000)
		store.set(t, "2")
		time.Sleep(time.Hour)
		wantCost(t, b, 100*time.Millisecond, 2_000)
	})
}

func TestABookUsesItsLastListWhileTheStoreIsDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := new(slow)
		store.set(t, "1")
		b := price.NewBook(store)
		wantCost(t, b, 0, 1_000)
		store.Fail(errors.New("down"))
		time.Sleep(2 * time.Minute)
		wantCost(t, b, 0, 1_000)
		store.takes = time.Hour // the store hangs
		time.Sleep(24 * time.Hour)
		before := store.readings.Load()
		for range 100 {
			wantCost(t, b, 0, 1_000) // the last reading failed, so calls don't wait for the next
			time.Sleep(100 * time.Millisecond)
		}
		if got := store.readings.Load() - before; got > 3 {
			t.Errorf("10 s of calls while the store hangs: got %d readings, want at most 3", got)
		}
		store.Fail(nil)
		store.takes = 0
		store.set(t, "2")
		time.Sleep(10 * time.Second)
		wantCost(t, b, 0, 1_000)
		synctest.Wait()
		wantCost(t, b, 0, 2_000)
	})
}

func TestQuoteFailsIfPricesWereNeverRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := new(slow)
		store.Fail(errors.New("down"))
		b := price.NewBook(store)
		for range 10 {
			if _, err := b.Quote(t.Context(), "m", nil, noon); !errors.Is(err, price.ErrUnavailable) {
				t.Errorf("got error %v, want ErrUnavailable", err)
			}
		}
		if got := store.readings.Load(); got != 1 {
			t.Errorf("10 calls at once: got %d readings, want 1", got)
		}
		store.Fail(nil)
		store.set(t, "1")
		time.Sleep(5 * time.Second)
		wantCost(t, b, 0, 1_000)
	})
}

func TestAReadingGoesOnWhenItsCallerLeaves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &slow{takes: time.Second}
		store.set(t, "1")
		b := price.NewBook(store)
		ctx, leave := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer leave()
		if _, err := b.Quote(ctx, "m", nil, noon); !errors.Is(err, price.ErrUnavailable) || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("a caller that left: got error %v, want ErrUnavailable by its deadline", err)
		}
		wantCost(t, b, time.Second, 1_000)
		if got := store.readings.Load(); got != 1 {
			t.Errorf("got %d readings, want 1", got)
		}
	})
}

func TestAReadingEndsAfterTwoSeconds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, started := price.NewBook(&slow{takes: time.Hour}), time.Now()
		if _, err := b.Quote(t.Context(), "m", nil, noon); !errors.Is(err, price.ErrUnavailable) || time.Since(started) > 2*time.Second {
			t.Errorf("a store that hangs: got error %v after %v, want ErrUnavailable within 2s", err, time.Since(started))
		}
	})
}

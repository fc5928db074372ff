package gateway

import (
	"context"
	"errors"
	"math/rand/v2"
	"net/http"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

const mb = 1 << 20

// A waits is an allotment that grows in a goroutine of its own, which may have to wait.
type waits struct {
	*allotment
	err  error
	took time.Duration
	done bool
}

func (b *budget) ask(ctx context.Context, owner string, bytes int64, grow func(*allotment, context.Context, int64) error) *waits {
	w, begun := &waits{allotment: b.allot(owner)}, time.Now()
	go func() {
		w.err = grow(w.allotment, ctx, bytes)
		w.took, w.done = time.Since(begun), true
	}()
	synctest.Wait()
	return w
}

func (w *waits) granted() bool {
	synctest.Wait()
	return w.done && w.err == nil
}

func TestTheBudgetIsNeverExceeded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBudget(64 * mb)
		var group sync.WaitGroup
		for i := range 300 {
			group.Go(func() {
				h := b.allot([]string{"a", "b", "c", "d"}[i%4])
				grow := h.growBody
				if i%3 == 0 {
					grow = h.growAnswer
				}
				for range 5 {
					if grow(t.Context(), rand.Int64N(16*mb)) != nil {
						break
					}
					b.mu.Lock()
					if b.used > b.size || b.owners[h.owner] > b.size/2 {
						t.Errorf("got %d bytes held, %d by one subscription; want at most %d, and half of that", b.used, b.owners[h.owner], b.size)
					}
					b.mu.Unlock()
					time.Sleep(rand.N(time.Second))
					h.shrink(rand.Int64N(8 * mb))
				}
				h.shrink(0)
			})
		}
		group.Wait()
		if b.used != 0 || len(b.owners) != 0 || len(b.waiting) != 0 {
			t.Errorf("at the end: got %d bytes held by %v, and %d waiting; want none", b.used, b.owners, len(b.waiting))
		}
	})
}

func TestWaitingForRoomTimesOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBudget(8 * mb)
		held := b.ask(t.Context(), "a", 4*mb, (*allotment).growBody)
		body := b.ask(t.Context(), "a", 4*mb, (*allotment).growBody)
		answer := b.ask(t.Context(), "a", 4*mb, (*allotment).growAnswer)
		ctx, leave := context.WithTimeout(t.Context(), time.Second)
		defer leave()
		left := b.ask(ctx, "a", 4*mb, (*allotment).growBody)
		time.Sleep(time.Minute)
		synctest.Wait()
		if !held.granted() || !errors.Is(body.err, errNoRoom) || body.took != bodyTimeout || !errors.Is(answer.err, errNoRoom) || answer.took != answerTimeout {
			t.Errorf("got room for held %t, a body waiting %v: %v, and an answer %v: %v; want room, and waits of %v and %v with %v", held.granted(), body.took, body.err, answer.took, answer.err, bodyTimeout, answerTimeout, errNoRoom)
		}
		if !errors.Is(left.err, context.DeadlineExceeded) || left.took != time.Second {
			t.Errorf("one whose caller left: got a wait of %v: %v; want 1s and a deadline exceeded", left.took, left.err)
		}
		held.shrink(0)
		if b.used != 0 || len(b.waiting) != 0 {
			t.Errorf("got %d bytes held and %d waiting, want 0 and 0", b.used, len(b.waiting))
		}
	})
}

func TestRoomIsGivenInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBudget(32 * mb) // large bodies may use 28 MiB of it
		first, second := b.ask(t.Context(), "a", 14*mb, (*allotment).growBody), b.ask(t.Context(), "b", 14*mb, (*allotment).growBody)
		large := b.ask(t.Context(), "c", 10*mb, (*allotment).growBody)
		later := b.ask(t.Context(), "d", 1*mb, (*allotment).growBody)
		answer := b.ask(t.Context(), "e", 8*mb, (*allotment).growAnswer)
		small := b.ask(t.Context(), "f", smallBody, (*allotment).growBody)
		if !first.granted() || !second.granted() || large.granted() || later.granted() || answer.granted() || !small.granted() {
			t.Errorf("got room for first %t, second %t, large %t, later %t, answer %t, small %t; want it for first, second and small alone", first.granted(), second.granted(), large.granted(), later.granted(), answer.granted(), small.granted())
		}
		first.shrink(5 * mb)
		if !answer.granted() || large.granted() || later.granted() {
			t.Errorf("got room for answer %t, large %t, later %t; want it for the answer alone, which is paid for already", answer.granted(), large.granted(), later.granted())
		}
		first.shrink(0)
		second.shrink(9 * mb)
		if !large.granted() || later.granted() {
			t.Errorf("got room for large %t, later %t; want it for the large body alone, which came first", large.granted(), later.granted())
		}
		second.shrink(0)
		if !later.granted() {
			t.Error("got no room for the last body once the others are done, want room")
		}
	})
}

// A subscription that has filled its half of the budget waits for its own calls. Others
// still get room.
func TestASubscriptionHoldsNoMoreThanItsShare(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBudget(32 * mb)
		held := b.ask(t.Context(), "a", 14*mb, (*allotment).growBody)
		waiting := b.ask(t.Context(), "a", 4*mb, (*allotment).growBody)
		small := b.ask(t.Context(), "a", smallBody, (*allotment).growBody)
		other := b.ask(t.Context(), "b", 4*mb, (*allotment).growBody)
		if !held.granted() || waiting.granted() || !small.granted() || !other.granted() {
			t.Errorf("got room for held %t, waiting %t, small %t, other %t; want it for all but the subscription's second large body (waiting)", held.granted(), waiting.granted(), small.granted(), other.granted())
		}
		held.shrink(0)
		if !waiting.granted() {
			t.Error("got no room for the second large body once the first is done, want room")
		}
	})
}

func TestWithoutABudgetNothingIsBounded(t *testing.T) {
	if err := newBudget(0).allot("a").growBody(t.Context(), 1<<40); err != nil {
		t.Errorf("got %v for 1 TiB, want room", err)
	}
}

func TestNoRoomIsA503WithRetryAfter(t *testing.T) {
	p := asProblem(noRoomProblem(errNoRoom))
	if p.status != http.StatusServiceUnavailable || p.retry != budgetRetry || !p.isRefusal() {
		t.Errorf("got %+v, want a 503 that says when to come back", p)
	}
	if p := asProblem(noRoomProblem(context.Canceled)); p.status != statusClientClosed {
		t.Errorf("got %+v for a caller that left, want status 499", p)
	}
}

func TestReleasingTwiceCountsOnce(t *testing.T) {
	s := newConcurrency()
	first, _ := s.enter("a", 1)
	if _, within := s.enter("b", 1); !within {
		t.Error("another subscription's first call: got it refused, want it within the limit of 1")
	}
	second, within := s.enter("a", 1)
	if within {
		t.Error("a second call: got it within the limit of 1, want it refused")
	}
	second.release()
	second.release()
	if third, within := s.enter("a", 1); within {
		t.Error("a third call after the second is released twice: got it within the limit of 1, want it refused: the first still counts")
	} else {
		third.release()
	}
	first.release()
	if _, within := s.enter("a", 1); !within {
		t.Error("a call after the first is released: got it refused, want it within the limit of 1")
	}
	(*admission)(nil).release()
}

package counter_test

import (
	"testing"
	"testing/synctest"
	"time"

	"tollgate/handler/counter"
	"tollgate/handler/limit"
)

// TestTokensReturnedToAnEarlierMinutesShareDoNotEnlargeTheNext: a call that reserved much and
// took little used to make room beyond the next minute's share.
func TestTokensReturnedToAnEarlierMinutesShareDoNotEnlargeTheNext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, broken, c := breakable()
		terms := onDown(limit.Degrade, limit.Limits{TokensPerMinute: 400})
		broken.Store(true)
		first, _ := reserve(t, c, terms, 90)
		time.Sleep(time.Minute)
		second, _ := reserve(t, c, terms, 90) // of a quarter of 400
		if first == nil || second == nil {
			t.Fatal("a share is not given out")
		}
		first.Settle(limit.Usage{PromptTokens: 5})
		if r, d := reserve(t, c, terms, 90); r != nil {
			t.Errorf("180 tokens of 100 are reserved: %+v", d)
		}
		second.Cancel()
		if r, d := reserve(t, c, terms, 90); r == nil {
			t.Errorf("what came back of this minute's share isn't there: %+v", d)
		}
		broken.Store(false)
		time.Sleep(10 * time.Second)
	})
}

// TestHugeReservationsDoNotOverflowTheShare: their sum used to overflow, and the
// calls of subscriptions that share the counter had no limit.
func TestHugeReservationsDoNotOverflowTheShare(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, broken, c := breakable()
		limits := limit.Limits{TokensPerMinute: 400}
		broken.Store(true)
		var open []*counter.Reservation
		for range 3 {
			r, _ := reserve(t, c, onDown(limit.FailOpen, limits), 1<<62)
			open = append(open, r)
		}
		if r, d := reserve(t, c, onDown(limit.Degrade, limits), 400); r != nil {
			t.Errorf("400 of a share of 100 passed: %+v", d)
		}
		for _, r := range open {
			r.Cancel()
		}
		if r, d := reserve(t, c, onDown(limit.Degrade, limits), 90); r == nil {
			t.Errorf("90 of a share of 100: %+v", d)
		}
		broken.Store(false)
		time.Sleep(10 * time.Second)
	})
}

// TestTheStandingOfACounterNeverReadIncludesTheCallItself: its answer used to say what was
// left before it wrote anything.
func TestTheStandingOfACounterNeverReadIncludesTheCallItself(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, broken, c := breakable()
		terms := onDown(limit.Degrade, limit.Limits{TokensPerMinute: 400})
		broken.Store(true)
		r, _ := reserve(t, c, terms, 25)
		if s := r.Settle(limit.Usage{PromptTokens: 25, CompletionTokens: 90}); s.TokensPerMinute != 400 || s.Remaining != 285 {
			t.Errorf("settled, %d of %d are left, want 285 of 400", s.Remaining, s.TokensPerMinute)
		}
		time.Sleep(time.Minute)
		r, _ = reserve(t, c, terms, 25)
		time.Sleep(time.Minute)
		if s := r.Cancel(); s.Used != 0 || s.Remaining != 400 {
			t.Errorf("cancelled in a later minute, %d are used, want none", s.Used)
		}
		broken.Store(false)
		time.Sleep(10 * time.Second)
	})
}
